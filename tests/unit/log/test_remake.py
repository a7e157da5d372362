"""When a stream counts as without a leader for good, on servers that answer as told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringrift.log import api
from ringrift.log.errors import LogUnavailable
from ringrift.log.protocol import Remade
from ringrift.log.recreate import LEADERLESS_SECONDS_MAX, REMADE, Remaker
from ringrift.log.topology import CONSUMERS, EVENTS, STREAMS, WORK

LED: dict[str, Any] = {"leader": "n1", "replicas": [{"name": "n2"}, {"name": "n3"}]}
LEADERLESS: dict[str, Any] = {"replicas": [{"name": "n1"}, {"name": "n2"}, {"name": "n3"}]}
KEPT = ("GAMES", EVENTS, "DEAD", "OBJ_models")


def refusal(code: int, status: int = 404) -> dict[str, Any]:
    return {"error": {"code": status, "err_code": code, "description": "as told"}}


class Servers:
    """What they are asked to change, and what they say of each stream's group: `None` for one that
    does not exist."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any] | Exception | None] = {
            stream.name: LED for stream in STREAMS
        }
        self.changes: list[tuple[str, Any]] = []
        self.time = 0.0
        self.remaker = Remaker(self.ask, lambda: self.time)

    async def ask(self, subject: str, payload: bytes, timeout: float) -> bytes:
        what, how, stream, *_ = subject.removeprefix("$JS.API.").split(".")
        if (what, how) == ("STREAM", "INFO"):
            group = self.groups[stream]
            if isinstance(group, Exception):
                raise group
            found = (
                refusal(api.NO_STREAM)
                if group is None
                else {"config": {"num_replicas": 3}, "cluster": group}
            )
            return json.dumps(found).encode()
        if how == "INFO":
            return json.dumps(refusal(api.NO_CONSUMER)).encode()
        request = json.loads(payload) if payload else None
        self.changes.append((subject.removeprefix("$JS.API."), request))
        if how == "DELETE":
            answer = refusal(api.NO_STREAM) if self.groups[stream] is None else {"success": True}
            return json.dumps(answer).encode()
        if what == "STREAM":
            self.groups[stream] = LED
        return json.dumps({"config": request.get("config", request)}).encode()

    async def looks(self, *times: float) -> list[Remade]:
        found = []
        for self.time in times:
            found += await self.remaker.look()
        return found


async def test_a_queue_that_nobody_leads_for_a_minute_is_made_anew_with_its_consumers_and_higher_sequences() -> (
    None
):
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    assert await servers.looks(0.0, 30.0, LEADERLESS_SECONDS_MAX - 1) == []
    assert servers.changes == []
    assert await servers.looks(LEADERLESS_SECONDS_MAX + 1) == [
        Remade(WORK, "leaderless", LEADERLESS_SECONDS_MAX + 1)
    ]
    asked = [subject for subject, _ in servers.changes]
    made = [f"CONSUMER.CREATE.{WORK}.{consumer.name}" for consumer in CONSUMERS]
    assert asked == [f"STREAM.DELETE.{WORK}", f"STREAM.CREATE.{WORK}", *made]
    config = servers.changes[1][1]
    assert (config["num_replicas"], config["retention"]) == (3, "workqueue")
    assert config["first_seq"] > 1_000_000_000_000
    assert await servers.looks(1000.0, 2000.0) == []


async def test_one_that_is_not_there_is_made() -> None:
    servers = Servers()
    servers.groups["KV_leases"] = None
    assert await servers.looks(0.0, 61.0) == [Remade("KV_leases", "missing", 61.0)]
    assert servers.groups["KV_leases"] == LED


@pytest.mark.parametrize("stream", REMADE)
async def test_what_facts_give_again_is_made_anew(stream: str) -> None:
    servers = Servers()
    servers.groups[stream] = LEADERLESS
    assert [found.stream for found in await servers.looks(0.0, 61.0)] == [stream]


@pytest.mark.parametrize("stream", KEPT)
async def test_what_facts_do_not_give_again_is_left_alone(stream: str) -> None:
    servers = Servers()
    servers.groups[stream] = LEADERLESS
    assert await servers.looks(0.0, 61.0, 1000.0) == []
    assert servers.changes == []
    assert {*KEPT, *REMADE} == set(servers.groups)


@pytest.mark.parametrize("state", [LEADERLESS, None, TimeoutError(), LogUnavailable("away")])
async def test_while_the_log_itself_has_no_leader_nothing_is_made_anew(
    state: dict[str, Any] | Exception | None,
) -> None:
    servers = Servers()
    servers.groups |= {EVENTS: state, WORK: LEADERLESS}
    assert await servers.looks(0.0, 61.0, 1000.0) == []
    servers.groups[EVENTS] = LED
    assert await servers.looks(1001.0) == []
    assert await servers.looks(1062.0) == [Remade(WORK, "leaderless", 61.0)]


async def test_an_election_of_all_is_not_counted() -> None:
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    await servers.looks(0.0)
    servers.groups[EVENTS] = LEADERLESS
    await servers.looks(59.0, 60.0)
    servers.groups[EVENTS] = LED
    assert await servers.looks(61.0, 120.0) == []
    assert await servers.looks(121.0) == [Remade(WORK, "leaderless", 60.0)], (
        "but what was seen before is not forgotten"
    )


async def test_a_leader_in_between_or_no_answer_at_all_is_no_reason() -> None:
    servers = Servers()
    servers.groups[WORK] = LEADERLESS
    await servers.looks(0.0)
    servers.groups[WORK] = TimeoutError()
    assert await servers.looks(100.0) == []
    servers.groups[WORK] = LED
    await servers.looks(101.0)
    servers.groups[WORK] = LEADERLESS
    assert await servers.looks(102.0, 150.0) == []
    servers.groups[WORK] = {"leader": "", "replicas": []}  # a single server
    assert await servers.looks(200.0, 300.0) == []
