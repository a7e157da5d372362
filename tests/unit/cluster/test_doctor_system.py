"""What `ringrift doctor` finds about the copies of streams."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.cluster.doctor import fail, warn
from ringrift.cluster.doctor.system import copies
from ringrift.log import api
from ringrift.log.errors import ServerRefused

UNLED: dict[str, Any] = {
    "cluster": {"replicas": [{"name": name, "current": False} for name in "abc"]}
}


class Servers:
    """Three servers; `changes` are answers about streams that differ from the usual one."""

    def __init__(self, **changes: dict[str, Any]) -> None:
        self._changes = changes

    async def call(self, subject: str) -> dict[str, Any]:
        name = subject.rpartition(".")[2]
        if name == "KV_breakers":
            raise ServerRefused(api.NO_STREAM, "stream not found", 404)
        replicas = [{"name": "b", "current": True}, {"name": "c", "current": True}]
        whole = {"config": {"num_replicas": 3}, "cluster": {"leader": "a", "replicas": replicas}}
        return {**whole, **self._changes.get(name, {})}


async def found(log: Any) -> list[Any]:
    return [finding async for finding in copies(log)]


async def test_streams_with_all_their_copies_give_no_finding() -> None:
    assert await found(Servers()) == []


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
async def test_missing_and_late_copies_are_found(changes: dict[str, Any], expected: object) -> None:
    assert await found(Servers(**changes)) == [expected]
