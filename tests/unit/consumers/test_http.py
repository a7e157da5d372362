"""Health over HTTP, spoken to with raw sockets, well-behaved and not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime import http
from ringrift.runtime.condition import (
    LAG_READY_MAX,
    STALLED_SECONDS_MAX,
    WORK_STALLED_SECONDS_MAX,
    Condition,
)
from ringrift.runtime.health import health_port, serve_health
from ringrift.runtime.metrics import METRICS, Metrics
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("RINGRIFT_HEALTH_PORT", "0")
    log = MemoryLog(MemoryBroker())
    return Process("rater", "test", log)


@contextlib.asynccontextmanager
async def served(process: Process, limits: http.Limits = http.LIMITS) -> AsyncIterator[str]:
    server, address = await serve_health(process, limits)
    try:
        yield address
    finally:
        server.close()


async def say(address: str, data: bytes, *, end: bool = False) -> tuple[int, bytes]:
    """Send bytes, read all that comes back: status and body."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            if end:
                writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_a_process_that_is_well(process: Process) -> None:
    process.condition.observed(5, 5, asyncio.get_running_loop().time())
    async with served(process) as address:
        assert await say(address, get("/health")) == (200, b"alive\n")
        assert await say(address, get("/ready?verbose=1")) == (200, b"ready\n")
        status, body = await say(address, get("/metrics"))
        assert status == 200
        assert b'ringrift_consumer_ready{consumer="rater",node="test"} 1.0\n' in body
        status, body = await say(address, get("/status"))
        known = json.loads(body)
        assert (status, known["consumer"], known["lag_events"]) == (200, "rater", 0)
        assert known["cluster"]["quorum"] == "HEALTHY"
        assert known["cluster"]["resilience"]["level"] == "WARNING", "nobody holds a role"
        assert any(line.startswith("coordinator:") for line in known["cluster"]["advice"])


async def test_a_process_that_has_not_heard_of_the_server_is_alive_but_not_ready(
    process: Process,
) -> None:
    async with served(process) as address:
        assert (await say(address, get("/health")))[0] == 200
        assert await say(address, get("/ready")) == (503, b"the server does not answer\n")


async def test_a_head_has_no_body(process: Process) -> None:
    async with served(process) as address:
        assert await say(address, b"HEAD /health HTTP/1.1\r\n\r\n") == (200, b"")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /health\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET //metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"POST /health HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET /health HTTP/1.1\r\nA: " + b"x" * http.LIMITS.head_bytes + b"\r\n\r\n", 431),
        (b"x" * (http.LIMITS.head_bytes * 4), 431),
    ],
)
async def test_what_is_no_plain_request_is_refused_with_one_line(
    process: Process, request_: bytes, status: int
) -> None:
    async with served(process) as address:
        found, body = await say(address, request_)
        assert found in (status, 0), "0: reset, with what it still wanted to send"
        assert body.count(b"\n") == (1 if found else 0)
        assert (await say(address, get("/health")))[0] == 200, "and the next one is answered"


async def test_half_a_request_is_refused_when_it_ends(process: Process) -> None:
    async with served(process) as address:
        assert (await say(address, b"GET /health HT", end=True))[0] == 400


async def test_a_slow_request_is_refused_in_time(process: Process) -> None:
    async with served(process, http.Limits(head_seconds=0.05)) as address:
        assert (await say(address, b"GET /heal"))[0] == 408


async def test_more_connections_than_there_are_slots_are_sent_away(process: Process) -> None:
    async with served(process, http.Limits(connections=2)) as address:
        host, _, port = address.rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        for _ in range(20):  # the server takes them in its own time
            status = (await say(address, get("/health")))[0]
            if status == 503:
                break
        assert status == 503
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise_anything_else(head: bytes) -> None:
    with contextlib.suppress(http.Refused):
        method, path = http.parse_head(head)
        assert method in ("GET", "HEAD")
        assert path.startswith("/")


def test_the_port_asked_for_is_checked() -> None:
    assert [health_port(text, "monitor") for text in (None, "0", "9000")] == [8790, 0, 9000]
    assert (health_port(None, "planner"), health_port(None, "evaluator")) == (8791, 8800)
    assert len({spec.port for spec in PROCESSES.values()}) == len(PROCESSES)
    for text in ("", "x", "-1", "65536"):
        with pytest.raises(OSError, match="give a port between 0 and 65535"):
            health_port(text, "rater")


async def test_a_taken_port_is_refused_if_it_was_asked_for_and_replaced_if_not(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(process) as address:
        port = int(address.rpartition(":")[2])
        monkeypatch.setenv("RINGRIFT_HEALTH_PORT", str(port))
        with pytest.raises(OSError, match=f"RINGRIFT_HEALTH_PORT={port}: cannot listen"):
            await serve_health(process)
        monkeypatch.delenv("RINGRIFT_HEALTH_PORT")
        monkeypatch.setattr("ringrift.runtime.health.PROCESSES", {})
        monkeypatch.setattr("ringrift.runtime.health.HEALTH_PORT", port)
        async with served(process) as other:
            assert other != address


# progress


def test_who_is_behind_and_does_not_move_is_not_alive() -> None:
    condition = Condition()
    condition.observed(10, 10, 0.0)
    assert (condition.alive(1e6), condition.ready(1.0), condition.lag_seconds(1.0)) == (
        True,
        True,
        0.0,
    )
    condition.observed(10, 11 + LAG_READY_MAX, 5.0)
    assert (condition.alive(6.0), condition.ready(6.0), condition.lag_seconds(7.0)) == (
        True,
        False,
        2.0,
    )
    condition.observed(10, 500, 5.0 + STALLED_SECONDS_MAX)
    assert not condition.alive(5.0 + STALLED_SECONDS_MAX)
    condition.observed(11, 500, 70.0)
    assert condition.alive(70.0), "it moves again"
    condition.observed(500, 500, 71.0)
    assert (condition.lag_seconds(80.0), condition.lag_events) == (0.0, 0)


def test_who_hears_nothing_is_not_ready() -> None:
    condition = Condition()
    condition.observed(None, 10, 0.0)
    assert condition.ready(9.0)
    assert not condition.ready(10.0)
    assert condition.lag_seconds(10.0) is None


def test_a_worker_whose_ticket_does_not_get_on_is_not_alive() -> None:
    condition = Condition()
    condition.observed(None, 10, 0.0)
    assert condition.alive(1e6), "it waits for work"
    condition.ticket_taken(10.0)
    assert condition.alive(9.0 + WORK_STALLED_SECONDS_MAX)
    condition.ticket_progressed(100.0)
    assert condition.alive(99.0 + WORK_STALLED_SECONDS_MAX)
    assert not condition.alive(100.0 + WORK_STALLED_SECONDS_MAX)
    condition.ticket_ended()
    condition.ticket_progressed(200.0)  # a thread that has not seen yet that its ticket is gone
    assert condition.alive(1e6)


async def test_health_says_what_a_worker_hangs_in(process: Process) -> None:
    process.doing = "playing hex8_2p generation 3, 8 games"
    process.condition.ticket_taken(time.monotonic() - WORK_STALLED_SECONDS_MAX - 5)
    async with served(process) as address:
        status, body = await say(address, get("/health"))
    assert (status, body.rstrip(b"56789 s\n")) == (
        503,
        b"playing hex8_2p generation 3, 8 games: no progress for 720",
    )


# metrics


def test_metrics_as_prometheus_reads_them() -> None:
    metrics = Metrics(consumer='odd "name"\\\n', node="n")
    metrics.add("ringrift_tickets_total", "selfplay", "done")
    metrics.add("ringrift_tickets_total", "selfplay", "done")
    for seconds in (0.01, 0.5, 1000.0):
        metrics.observe("ringrift_ticket_seconds", seconds, "training")
    lines = metrics.text().decode().splitlines()
    odd = 'consumer="odd \\"name\\"\\\\\\n"'
    assert f'ringrift_tickets_total{{{odd},kind="selfplay",node="n",outcome="done"}} 2.0' in lines
    assert f'ringrift_ticket_seconds_bucket{{{odd},kind="training",le="0.5",node="n"}} 2.0' in lines
    assert f'ringrift_ticket_seconds_count{{{odd},kind="training",node="n"}} 3.0' in lines
    assert "# TYPE ringrift_tickets_total counter" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    metrics.clear("ringrift_tickets_total")
    assert metrics.value("ringrift_tickets_total", "selfplay", "done") is None


def test_only_listed_metrics_can_be_measured() -> None:
    metrics = Metrics(consumer="rater", node="n")
    with pytest.raises(KeyError):
        metrics.set("ringrift_unknown", 1)
    with pytest.raises(ValueError, match="label"):
        metrics.set("ringrift_work_pending", 1)
    assert all(
        metric.name.startswith("ringrift_") and metric.help.endswith(".")
        for metric in METRICS.values()
    )
