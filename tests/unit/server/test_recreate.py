"""When a stream counts as having lost its leader for good, on servers with given answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ringrift.log import api
from ringrift.log.errors import LogUnavailable, ServerRefused, StreamMissing
from ringrift.log.topology import CONSUMERS, EVENTS, STREAMS, WORK
from ringrift.server.recreate import LEADERLESS_SECONDS_MAX, RECREATED, Recreated, Recreator
from ringrift.tools.memory_log import MemoryLog

LED: dict[str, Any] = {"leader": "n1", "replicas": [{"name": "n2"}, {"name": "n3"}]}
LEADERLESS: dict[str, Any] = {"replicas": [{"name": "n1"}, {"name": "n2"}, {"name": "n3"}]}
KEPT = ("GAMES", EVENTS, "DEAD", "OBJ_models")


class Servers(MemoryLog):
    """Answers with a group for each stream, None for one that does not exist; `changes` are the
    requests that change something."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, dict[str, Any] | Exception | None] = {
            stream.name: LED for stream in STREAMS
        }
        self.changes: list[tuple[str, Any]] = []
        self.time = 0.0
        self.recreator = Recreator(self, lambda: self.time)

    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        what, verb, stream, *_ = subject.split(".")
        if verb == "INFO":
            return self._info(what, stream)
        self.changes.append((subject, request))
        if verb == "DELETE":
            if self.groups[stream] is None:
                raise StreamMissing(stream)
            return {"success": True}
        assert request is not None
        if what == "STREAM":
            self.groups[stream] = LED
        return {"config": request.get("config", request)}

    def _info(self, what: str, stream: str) -> dict[str, Any]:
        if what == "CONSUMER":
            raise ServerRefused(api.NO_CONSUMER, "consumer not found", 404)
        group = self.groups[stream]
        if group is None:
            raise StreamMissing(stream)
        if isinstance(group, Exception):
            raise group
        return {"config": {"num_replicas": 3}, "cluster": group}

    async def checks(self, *times: float) -> list[Recreated]:
        found = []
        for self.time in times:
            found += await self.recreator.check()
        return found


async def test_a_queue_without_a_leader_is_recreated_after_a_minute() -> None:
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    assert await servers.checks(0.0, 30.0, LEADERLESS_SECONDS_MAX - 1) == []
    assert servers.changes == []
    assert await servers.checks(LEADERLESS_SECONDS_MAX + 1) == [
        Recreated(WORK, "leaderless", LEADERLESS_SECONDS_MAX + 1)
    ]
    asked = [subject for subject, _ in servers.changes]
    made = [f"CONSUMER.CREATE.{WORK}.{consumer.name}" for consumer in CONSUMERS]
    assert asked == [f"STREAM.DELETE.{WORK}", f"STREAM.CREATE.{WORK}", *made]
    config = servers.changes[1][1]
    assert (config["num_replicas"], config["retention"]) == (3, "workqueue")
    assert config["first_seq"] > 1_000_000_000_000
    assert await servers.checks(1000.0, 2000.0) == []


async def test_a_missing_stream_is_created() -> None:
    servers = Servers()
    servers.groups["KV_leases"] = None
    assert await servers.checks(0.0, 61.0) == [Recreated("KV_leases", "missing", 61.0)]
    assert servers.groups["KV_leases"] == LED


@pytest.mark.parametrize("stream", RECREATED)
async def test_a_stream_that_follows_from_facts_is_recreated(stream: str) -> None:
    servers = Servers()
    servers.groups[stream] = LEADERLESS
    assert [found.stream for found in await servers.checks(0.0, 61.0)] == [stream]


@pytest.mark.parametrize("stream", KEPT)
async def test_other_streams_are_left_alone(stream: str) -> None:
    servers = Servers()
    servers.groups[stream] = LEADERLESS
    assert await servers.checks(0.0, 61.0, 1000.0) == []
    assert servers.changes == []
    assert {*KEPT, *RECREATED} == set(servers.groups)


@pytest.mark.parametrize("state", [LEADERLESS, None, LogUnavailable("no answer")])
async def test_nothing_is_recreated_while_the_events_have_no_leader(
    state: dict[str, Any] | Exception | None,
) -> None:
    servers = Servers()
    servers.groups |= {EVENTS: state, WORK: LEADERLESS}
    assert await servers.checks(0.0, 61.0, 1000.0) == []
    servers.groups[EVENTS] = LED
    assert await servers.checks(1001.0) == []
    assert await servers.checks(1062.0) == [Recreated(WORK, "leaderless", 61.0)]


async def test_the_time_of_an_election_of_all_streams_is_not_counted() -> None:
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    await servers.checks(0.0)
    servers.groups[EVENTS] = LEADERLESS
    await servers.checks(59.0, 60.0)
    servers.groups[EVENTS] = LED
    assert await servers.checks(61.0, 120.0) == []
    assert await servers.checks(121.0) == [Recreated(WORK, "leaderless", 60.0)], (
        "the time before the election counts"
    )


async def test_a_leader_in_between_starts_the_minute_again() -> None:
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    await servers.checks(0.0)
    servers.groups[WORK] = LogUnavailable("no answer")
    assert await servers.checks(100.0) == []
    servers.groups[WORK] = LED
    await servers.checks(101.0)
    servers.groups[WORK] = LEADERLESS
    assert await servers.checks(102.0, 150.0) == []
    servers.groups[WORK] = {"leader": "", "replicas": []}  # a single server
    assert await servers.checks(200.0, 300.0) == []
