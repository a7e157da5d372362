"""Pressure, breakers, resilience, nodes and dead letters: the pure part of knowing how the cluster
is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift.deciders.fleet import breaker
from ringrift.deciders.fleet.breaker import Breaker
from ringrift.deciders.fleet.health import health
from ringrift.deciders.fleet.pressure import (
    TIERS,
    batch_size,
    frees_caches,
    must_leave,
    takes_work,
    tier_after,
    worst,
)
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS, quorum_level, resilience
from ringrift.deciders.kit import changed
from ringrift.events.settings import OperationSettings

DEFAULT = OperationSettings()
START = datetime(2026, 1, 1, tzinfo=UTC)
shares = st.floats(0.0, 1.0)
tiers = st.sampled_from(TIERS)


# pressure


@pytest.mark.parametrize(
    ("used", "tier"),
    [
        (0.0, "normal"),
        (0.599, "normal"),
        (0.6, "caution"),
        (0.7, "warning"),
        (0.8, "critical"),
        (0.9, "emergency"),
    ],
)
def test_tiers_rise_at_their_borders(used: float, tier: str) -> None:
    assert tier_after("normal", used, DEFAULT) == tier


@given(tiers, shares)
def test_a_tier_is_never_below_what_the_share_says_and_at_most_the_hysteresis_above(
    previous: Any, used: float
) -> None:
    found = TIERS.index(tier_after(previous, used, DEFAULT))
    assert found >= TIERS.index(tier_after("normal", used, DEFAULT))
    assert found <= TIERS.index(
        tier_after("normal", min(1.0, used + DEFAULT.pressure.hysteresis + 1e-9), DEFAULT)
    )


@pytest.mark.parametrize(
    ("used", "tier"), [(0.75, "normal"), (0.8, "caution"), (0.95, "warning"), (0.99, "emergency")]
)
def test_a_disk_may_be_fuller(used: float, tier: str) -> None:
    assert tier_after("normal", used, DEFAULT, "disk") == tier


@given(tiers, shares)
def test_a_second_look_at_the_same_share_changes_nothing(previous: Any, used: float) -> None:
    once = tier_after(previous, used, DEFAULT)
    assert tier_after(once, used, DEFAULT) == once


@given(tiers, shares, shares)
def test_more_in_use_is_never_a_lower_tier(previous: Any, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert TIERS.index(tier_after(previous, low, DEFAULT)) <= TIERS.index(
        tier_after(previous, high, DEFAULT)
    )


@given(
    st.sampled_from((0.6, 0.7, 0.8, 0.9)),
    st.lists(st.floats(-0.024, 0.024), min_size=2, max_size=30),
)
def test_noise_around_a_border_changes_the_tier_at_most_once(
    border: float, noise: list[float]
) -> None:
    tier, changes = tier_after("normal", border - 0.025, DEFAULT), 0
    for step in noise:
        after = tier_after(tier, border + step, DEFAULT)
        changes, tier = changes + (after != tier), after
    assert changes <= 1


def test_what_each_tier_asks_for() -> None:
    assert takes_work({"ram": "caution", "disk": "normal"})
    assert not takes_work({"ram": "normal", "disk": "warning"})
    assert worst({"ram": "caution", "vram": "critical"}) == ("vram", "critical")
    assert worst({"ram": "normal"}) == (None, "normal")
    assert must_leave("ram", "emergency")
    assert not must_leave("disk", "emergency"), "a full disk is not freed by leaving"
    assert not must_leave("ram", "critical")
    assert frees_caches("vram", "critical")
    assert not frees_caches("disk", "critical")


def test_fewer_games_at_once_where_memory_is_tight() -> None:
    assert [batch_size(64, {"ram": tier}) for tier in TIERS] == [64, 64, 32, 16, 16]
    assert batch_size(64, {"ram": "caution", "vram": "critical", "disk": "emergency"}) == 16, (
        "the tighter of the two"
    )
    assert batch_size(64, {"disk": "emergency", "files": "critical"}) == 64, (
        "neither needs less for fewer games"
    )
    assert batch_size(1, {"vram": "emergency"}) == 1


# breakers


def test_a_breaker_opens_at_the_threshold_and_is_probed_after_its_cooldown() -> None:
    item = Breaker()
    for _ in range(9):
        item = item.failed(100.0, 10, "no luck")
        assert item.allows(100.0)
    item = item.failed(100.0, 10, "no luck")
    assert (item.state, item.allows(100.0), item.allows(279.0), item.allows(280.0)) == (
        "open",
        False,
        False,
        True,
    )
    probing = item.probed(280.0)
    assert not probing.allows(281.0), "one probe at a time"
    assert probing.allows(280.0 + breaker.PROBE_SECONDS), (
        "a probe that died does not close it permanently"
    )
    assert not probing.failed(281.0, 10, "again").allows(282.0), "a failed probe opens it at once"


@given(shares, shares)
def test_the_more_is_broken_the_more_is_forgiven(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 10 <= breaker.threshold(low) <= breaker.threshold(high) <= 20


# health


FIT: dict[str, Any] = {"nodes": 4, "connected": 4, "quarantined": 0, "wanted": 10, "running": 10}


@pytest.mark.parametrize(
    ("level", "change", "expected"),
    [
        ("HEALTHY", {}, "HEALTHY"),
        ("HEALTHY", {"nodes": 0, "connected": 0}, "HEALTHY"),
        ("DEGRADED", {}, "HEALTHY"),
        ("MINIMUM", {}, "WARNING"),
        ("HEALTHY", {"connected": 0}, "WARNING"),
        ("HEALTHY", {"connected": 0, "running": 0}, "DEGRADED"),
        ("MINIMUM", {"connected": 0, "running": 0}, "CRITICAL"),
        ("LOST", {}, "CRITICAL"),
    ],
)
def test_health_has_the_predecessors_borders_and_a_lost_quorum_is_critical(
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
def test_one_more_of_anything_never_makes_it_worse(
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


# resilience

HELD = {"planner": "a.1", "promoter": "a.2", "monitor": "b.1"}
WANTED = ("planner", "promoter", "monitor", "rater", "selfplay")
WELL: dict[str, Any] = {
    "tier": "normal",
    "roles": HELD,
    "level": "HEALTHY",
    "wanted": WANTED,
    "running": WANTED,
}


def test_all_well_is_one() -> None:
    found = resilience(**WELL)
    assert (found.score, found.level, found.advice) == (1.0, "HEALTHY", ())


@pytest.mark.parametrize(
    "change", [{"tier": "emergency"}, {"roles": dict.fromkeys(HELD)}, {"running": ()}]
)
def test_a_part_that_is_lost_entirely_warns_whatever_the_sum(change: dict[str, Any]) -> None:
    found = resilience(**WELL | change)
    assert found.score >= 0.70, "the sum alone would not warn"
    assert found.level == "WARNING"
    assert len(found.advice) == 1


def test_a_lost_quorum_is_critical_whatever_the_sum() -> None:
    assert resilience(**WELL | {"level": "LOST"}).level == "CRITICAL"


@given(
    tiers,
    st.sets(st.sampled_from(sorted(HELD))),
    st.sampled_from(QUORUM_LEVELS),
    st.sets(st.sampled_from([*WANTED, "other"])),
)
def test_the_score_is_a_share_and_what_is_not_whole_has_advice(
    tier: Any, vacant: Any, level: Any, running: Any
) -> None:
    roles = {**HELD, **dict.fromkeys(vacant)}
    found = resilience(tier=tier, roles=roles, level=level, wanted=WANTED, running=running)
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


def test_what_is_said_of_a_stranger_changes_nothing() -> None:
    known = {"a": Breaker(), "b": Breaker()}
    assert changed(known, "a", why="slow") == {"a": Breaker(why="slow"), "b": Breaker()}
    assert changed(known, "c", why="slow") is known
    assert known["a"] == Breaker()
