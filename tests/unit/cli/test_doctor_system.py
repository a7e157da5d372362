"""What `ringrift doctor` makes of the servers' answers about the copies of each stream."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.cluster.doctor_system import _copies
from ringrift.cluster.findings import fail, warn
from ringrift.log import api
from ringrift.log.errors import ServerRefused

UNLED: dict[str, Any] = {
    "cluster": {"replicas": [{"name": name, "current": False} for name in "abc"]}
}


class Servers:
    """Three of them; `changes` are answers about streams that are not as they should be."""

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
    return [finding async for finding in _copies(log)]


async def test_streams_with_all_their_copies_are_not_spoken_of() -> None:
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
            warn(
                "copies", "GAMES: b away or behind", "start that server; it fetches what it lacks"
            ),
        ),
        (
            {"WORK": UNLED, "KV_leases": UNLED},
            fail(
                "copies",
                "no leader: WORK, KV_leases",
                "the dispatcher makes it anew after 60 s; is one running?",
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
async def test_fewer_copies_and_late_ones_are_told(
    changes: dict[str, Any], expected: object
) -> None:
    assert await found(Servers(**changes)) == [expected]
