"""Voters in the server's answer about `EVENTS`."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.runtime.cluster_view import voters_in

HERE: dict[str, Any] = {"name": "b", "current": True}
BEHIND: dict[str, Any] = {"name": "b", "current": False}
AWAY: dict[str, Any] = {"name": "c", "current": True, "offline": True}


@pytest.mark.parametrize(
    ("cluster", "leader", "alive", "voters", "level"),
    [
        (None, "single", 1, 1, "HEALTHY"),
        ({"leader": "a", "replicas": []}, "a", 1, 1, "HEALTHY"),
        ({"leader": "a", "replicas": [HERE, HERE]}, "a", 3, 3, "HEALTHY"),
        ({"leader": "a", "replicas": [HERE, AWAY]}, "a", 2, 3, "MINIMUM"),
        ({"leader": "a", "replicas": [BEHIND, AWAY]}, "a", 1, 3, "LOST"),
        ({"replicas": [HERE, HERE, HERE]}, None, 3, 3, "LOST"),
        ({"leader": "", "replicas": [HERE, AWAY, AWAY]}, None, 1, 3, "LOST"),
    ],
)
def test_the_quorum_counts_current_voters(
    cluster: dict[str, Any] | None, leader: str | None, alive: int, voters: int, level: str
) -> None:
    found = voters_in({"cluster": cluster} if cluster else {})
    assert (found.leader, found.alive, found.voters, found.level) == (leader, alive, voters, level)
