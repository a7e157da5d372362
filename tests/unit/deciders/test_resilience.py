"""How much the cluster can still lose, and quorum levels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ringrift.deciders.fleet.pressure import TIERS
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS, quorum_level, resilience

tiers = st.sampled_from(TIERS)
HELD = {"planner": "a.1", "promoter": "a.2", "monitor": "b.1"}
WANTED = ("planner", "promoter", "monitor", "rater", "selfplay")
WELL: dict[str, Any] = {
    "tier": "normal",
    "roles": HELD,
    "standbys": HELD,
    "level": "HEALTHY",
    "voters": 3,
    "wanted": WANTED,
    "running": WANTED,
}


def test_a_whole_cluster_scores_one() -> None:
    found = resilience(**WELL)
    assert (found.score, found.level, found.advice) == (1.0, "HEALTHY", ())


@pytest.mark.parametrize(
    ("change", "score", "advice"),
    [
        ({"standbys": ("planner", "promoter")}, 0.95, ["standby: no other node"]),
        ({"standbys": ()}, 0.85, ["standby: no other node"]),
        ({"standbys": (), "voters": 1}, 0.725, []),
    ],
)
def test_what_nothing_can_replace_counts_half(
    change: dict[str, Any], score: float, advice: list[str]
) -> None:
    found = resilience(**WELL | change)
    assert (found.score, found.level) == (pytest.approx(score), "HEALTHY")
    assert all(map(str.startswith, found.advice, advice))
    assert len(found.advice) == len(advice)


@pytest.mark.parametrize(
    "change", [{"tier": "emergency"}, {"roles": dict.fromkeys(HELD)}, {"running": ()}]
)
def test_a_part_at_zero_is_a_warning(change: dict[str, Any]) -> None:
    found = resilience(**WELL | change)
    assert found.score >= 0.70, "the sum alone would not warn"
    assert found.level == "WARNING"
    assert len(found.advice) == 1


def test_the_advice_names_what_is_short() -> None:
    found = resilience(**WELL | {"tier": "warning", "scarce": "disk"})
    assert found.advice[0].startswith("disk: free some on the node")


def test_a_lost_quorum_is_critical() -> None:
    assert resilience(**WELL | {"level": "LOST"}).level == "CRITICAL"


@given(
    tiers,
    st.sets(st.sampled_from(sorted(HELD))),
    st.sampled_from(QUORUM_LEVELS),
    st.sets(st.sampled_from([*WANTED, "other"])),
)
def test_each_part_below_one_has_advice(tier: Any, vacant: Any, level: Any, running: Any) -> None:
    roles = {**HELD, **dict.fromkeys(vacant)}
    found = resilience(**WELL | {"tier": tier, "roles": roles, "level": level, "running": running})
    assert 0.0 <= found.score <= 1.0
    assert (found.score > 1.0 - 1e-12) == (found.advice == ())


@pytest.mark.parametrize(
    ("voters", "alive", "level"),
    [
        (1, 1, "HEALTHY"),
        (1, 0, "LOST"),
        (3, 3, "HEALTHY"),
        (3, 2, "MINIMUM"),
        (3, 1, "LOST"),
        (5, 5, "HEALTHY"),
        (5, 4, "DEGRADED"),
        (5, 3, "MINIMUM"),
        (5, 2, "LOST"),
    ],
)
def test_quorum_levels(voters: int, alive: int, level: str) -> None:
    assert quorum_level(voters, alive) == level
