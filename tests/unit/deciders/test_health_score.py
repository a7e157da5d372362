"""The health of the cluster as one score."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ringrift.deciders.fleet.health import health
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS

FIT: dict[str, Any] = {"nodes": 4, "connected": 4, "quarantined": 0, "wanted": 10, "running": 10}


@pytest.mark.parametrize(
    ("level", "change", "expected"),
    [
        ("HEALTHY", {}, "HEALTHY"),
        ("HEALTHY", {"nodes": 0, "connected": 0}, "HEALTHY"),
        ("DEGRADED", {}, "HEALTHY"),
        ("MINIMUM", {}, "WARNING"),
        ("HEALTHY", {"running": 9}, "WARNING"),
        ("HEALTHY", {"failures": 1}, "WARNING"),
        ("HEALTHY", {"connected": 0}, "WARNING"),
        ("HEALTHY", {"connected": 0, "running": 0}, "DEGRADED"),
        ("MINIMUM", {"connected": 0, "running": 0}, "CRITICAL"),
        ("LOST", {}, "CRITICAL"),
    ],
)
def test_levels_follow_the_score_but_a_lost_quorum_is_critical(
    level: Any, change: Any, expected: str
) -> None:
    assert health(level, **FIT | change).level == expected


@given(
    st.sampled_from(QUORUM_LEVELS),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_one_more_of_anything_never_lowers_the_score(
    level: Any, nodes: int, connected: int, quarantined: int, running: int
) -> None:
    numbers = {
        "nodes": nodes,
        "connected": min(connected, nodes),
        "quarantined": min(quarantined, nodes),
        "wanted": 9,
    }
    found = health(level, running=running, **numbers)
    assert 0.0 <= found.score <= health(level, running=running + 1, **numbers).score <= 1.0
    if numbers["connected"] < nodes:
        assert (
            found.score
            < health(
                level, running=running, **numbers | {"connected": numbers["connected"] + 1}
            ).score
        )
