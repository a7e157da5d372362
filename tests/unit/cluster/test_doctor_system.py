"""Findings of `ringrift doctor` about the copies of streams."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.cluster.doctor import fail, warn
from ringrift.cluster.doctor.system import copies
from ringrift.log.topology import STREAMS

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
