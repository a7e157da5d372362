"""Findings of `ringrift doctor` about the copies of streams."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.cluster.doctor import fail, warn
from ringrift.cluster.doctor.system import copies, queues
from ringrift.log.topology import (
    CONSUMERS,
    PEER_LAG_MAX,
    PEERS_EXPECTED,
    REDELIVERED_MAX,
    STREAMS,
    WORK_TICKETS_MAX,
    replicated,
)

UNLED: dict[str, Any] = {
    "cluster": {"replicas": [{"name": name, "current": False} for name in "abc"]}
}


def infos(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Answers of three servers about the streams; `changes` replace parts of the usual answer."""
    replicas = [{"name": "b", "current": True}, {"name": "c", "current": True}]
    usual = {"config": {"num_replicas": 3}, "cluster": {"leader": "a", "replicas": replicas}}
    names = [stream.name for stream in STREAMS if stream.name != "KV_breakers"]
    return {name: {**usual, **changes.get(name, {})} for name in names}


def test_streams_with_all_their_copies_give_no_finding() -> None:
    assert copies(infos()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"WORK": {"config": {"num_replicas": 1}, "cluster": {"leader": "a"}}},
            warn("copies", "WORK has 1, other streams 3", "`ringrift contract apply --replicas 3`"),
        ),
        (
            {
                "GAMES": {
                    "cluster": {
                        "leader": "a",
                        "replicas": [
                            {"name": "b", "current": False},
                            {"name": "c", "current": True},
                        ],
                    }
                }
            },
            warn("copies", "GAMES: b away or behind", "start that server; it catches up by itself"),
        ),
        (
            {"WORK": UNLED, "KV_leases": UNLED},
            fail(
                "copies",
                "no leader: WORK, KV_leases",
                "the dispatcher recreates them after 60 s; check that one is running",
            ),
        ),
        (
            {"GAMES": UNLED, "WORK": UNLED},
            fail(
                "copies",
                "no leader: GAMES, WORK",
                "each needs most of its copies: start the servers that are away; "
                "after a power cut see docs/promises.md",
            ),
        ),
    ],
)
def test_missing_and_late_copies_are_found(changes: dict[str, Any], expected: object) -> None:
    assert copies(infos(**changes)) == [expected]


@pytest.mark.parametrize(
    ("copy", "late"),
    [
        ({"lag": PEER_LAG_MAX, "active": 10_000_000_000}, False),
        ({"lag": PEER_LAG_MAX + 1}, True),
        ({"active": 10_000_000_001}, True),
    ],
)
def test_a_copy_is_late_by_the_thresholds_of_the_tool(copy: dict[str, Any], late: bool) -> None:
    cluster = {"leader": "a", "replicas": [{"name": "b", "current": True, **copy}]}
    assert bool(copies(infos(GAMES={"cluster": cluster}))) is late
    metadata = STREAMS[0].metadata
    assert metadata["io.nats.monitor.peer-lag-critical"] == str(PEER_LAG_MAX)
    assert metadata["io.nats.monitor.peer-seen-critical"] == "10s"


@pytest.mark.parametrize(
    ("field", "limit"), [("num_redelivered", REDELIVERED_MAX), ("num_pending", WORK_TICKETS_MAX)]
)
def test_a_queue_is_in_trouble_by_the_thresholds_of_the_tool(field: str, limit: int) -> None:
    assert queues({"WORK.selfplay": {field: limit - 1}}) == []
    (finding,) = queues({"WORK.selfplay": {field: limit}})
    assert (finding.level, finding.text.startswith(f"WORK.selfplay: {limit:,} ")) == ("fail", True)
    assert str(limit) in CONSUMERS[0].metadata.values()


def test_the_tool_expects_as_many_copies_as_there_are() -> None:
    three = STREAMS[0].with_replicas(3)
    assert three["metadata"][PEERS_EXPECTED] == "3"
    assert PEERS_EXPECTED not in replicated(three, 1)["metadata"]
    assert replicated(three, 1) == STREAMS[0].with_replicas(1)
