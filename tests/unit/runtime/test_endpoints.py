"""The endpoints of a process and its port."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from support.http_client import get

from ringrift.runtime.condition import WORK_STALLED_SECONDS_MAX
from ringrift.runtime.endpoints import health_port, serve_health
from ringrift.runtime.heartbeat import beat_once
from ringrift.runtime.process import Clock, Process
from ringrift.runtime.processes import PROCESSES
from ringrift.tools.memory_log import MemoryLog

pytestmark = pytest.mark.real_time


class Now:
    """A monotonic clock that a test advances."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def process(now: Now, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("RINGRIFT_HEALTH_PORT", "0")
    return Process("rater", "test", MemoryLog(), Clock(monotonic=now))


@contextlib.asynccontextmanager
async def served(process: Process) -> AsyncIterator[str]:
    server, address = await serve_health(process)
    try:
        yield address
    finally:
        server.close()


async def test_a_process_that_has_caught_up_is_alive_and_ready(process: Process) -> None:
    process.condition.observed(5, 5, 0.0)
    async with served(process) as address:
        assert await get(address, "/health") == (200, b"alive\n")
        assert await get(address, "/ready") == (200, b"ready\n")


async def test_a_process_without_a_server_is_alive_but_not_ready(process: Process) -> None:
    async with served(process) as address:
        assert (await get(address, "/health"))[0] == 200
        assert await get(address, "/ready") == (503, b"the server does not answer\n")


async def test_a_hung_worker_is_not_alive(process: Process, now: Now) -> None:
    process.doing = "playing hex8_2p generation 3, 8 games"
    process.condition.ticket_taken(now())
    now.seconds += WORK_STALLED_SECONDS_MAX
    async with served(process) as address:
        status, body = await get(address, "/health")
    assert status == 503
    assert body == b"playing hex8_2p generation 3, 8 games: no progress for 7200 s\n"


async def test_metrics_are_those_of_the_process(process: Process) -> None:
    process.condition.observed(5, 7, 0.0)
    async with served(process) as address:
        status, body = await get(address, "/metrics")
    assert status == 200
    assert b'ringrift_consumer_ready{consumer="rater",node="test"} 1.0\n' in body
    assert b'ringrift_consumer_lag_events{consumer="rater",node="test"} 2.0\n' in body


async def test_the_status_includes_the_cluster(process: Process) -> None:
    process.condition.observed(5, 5, 0.0)
    async with served(process) as address:
        status, body = await get(address, "/status")
    known = json.loads(body)
    assert (status, known["consumer"], known["lag_events"]) == (200, "rater", 0)
    assert known["cluster"]["quorum"] == "HEALTHY"
    assert any(line.startswith("coordinator:") for line in known["cluster"]["advice"])
    assert (known["node_id"], known["voter_quorum_ok"]) == (known["node"], True)
    assert known["resilience_score"] == known["cluster"]["resilience"]["score"]
    assert known["memory_pressure_tier"] == known["cluster"]["memory_tier"]
    assert (known["leader_id"], known["alive_peers"]) == (known["cluster"]["leader"], 0)


async def test_any_process_serves_the_metrics_of_the_fleet(process: Process) -> None:
    async with served(process) as address:
        process.health_address = address
        await beat_once(process)
        status, body = await get(address, "/metrics/fleet")
        assert (status, await get(address, "/sd")) == (
            200,
            (200, json.dumps(expected(address), separators=(",", ":")).encode()),
        )
    assert b'ringrift_node_processes{consumer="rater",node="test"} 1.0\n' in body
    assert b"ringrift_consumer_alive" not in body, "of the process itself"


def expected(address: str) -> list[dict[str, object]]:
    labels = {"__meta_ringrift_consumer": "rater", "__meta_ringrift_node": "test"}
    return [{"targets": [address], "labels": labels}]


async def test_an_unknown_path_is_answered_with_the_known_ones(process: Process) -> None:
    async with served(process) as address:
        status, body = await get(address, "/")
    assert status == 404
    assert b"/health, /ready, /metrics, /metrics/fleet, /sd and /status" in body


def test_every_consumer_has_a_port_of_its_own() -> None:
    assert health_port(None, "monitor") == 8790
    assert health_port("tcp://10.0.0.1:80", "monitor") == 8790
    assert len({health_port(None, name) for name in PROCESSES}) == len(PROCESSES)


def test_the_environment_may_request_a_port() -> None:
    assert [health_port(text, "monitor") for text in ("0", "9000")] == [0, 9000]


@pytest.mark.parametrize("text", ["", "x", "-1", "65536"])
def test_a_request_for_no_port_is_refused(text: str) -> None:
    with pytest.raises(OSError, match="give a port between 0 and 65535"):
        health_port(text, "rater")


async def test_a_requested_port_that_is_taken_is_refused(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(process) as address:
        port = address.rpartition(":")[2]
        monkeypatch.setenv("RINGRIFT_HEALTH_PORT", port)
        with pytest.raises(OSError, match=f"RINGRIFT_HEALTH_PORT={port}: cannot listen"):
            await serve_health(process)


async def test_a_default_port_that_is_taken_is_replaced_by_a_free_one(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(process) as address:
        monkeypatch.delenv("RINGRIFT_HEALTH_PORT")
        monkeypatch.setattr("ringrift.runtime.endpoints.PROCESSES", {})
        monkeypatch.setattr("ringrift.runtime.endpoints.MONITOR_PORT", int(address.split(":")[1]))
        async with served(process) as other:
            assert other != address
