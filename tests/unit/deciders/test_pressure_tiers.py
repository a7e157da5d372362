"""Tiers of pressure: they rise at thresholds, fall with hysteresis, and ask for measures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ringrift.deciders.fleet.pressure import (
    TIERS,
    batch_size,
    frees_caches,
    must_leave,
    takes_work,
    tier_after,
    worst,
)
from ringrift.events.settings import OperationSettings

DEFAULT = OperationSettings()
shares = st.floats(0.0, 1.0)
tiers = st.sampled_from(TIERS)


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
def test_tiers_rise_at_their_thresholds(used: float, tier: str) -> None:
    assert tier_after("normal", used, DEFAULT) == tier


@given(tiers, shares)
def test_a_tier_is_at_most_the_hysteresis_above_that_of_its_share(
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
def test_the_same_share_keeps_its_tier(previous: Any, used: float) -> None:
    once = tier_after(previous, used, DEFAULT)
    assert tier_after(once, used, DEFAULT) == once


@given(tiers, shares, shares)
def test_a_larger_share_never_has_a_lower_tier(previous: Any, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert TIERS.index(tier_after(previous, low, DEFAULT)) <= TIERS.index(
        tier_after(previous, high, DEFAULT)
    )


@given(
    st.sampled_from((0.6, 0.7, 0.8, 0.9)),
    st.lists(st.floats(-0.024, 0.024), min_size=2, max_size=30),
)
def test_noise_around_a_threshold_changes_the_tier_at_most_once(
    border: float, noise: list[float]
) -> None:
    tier, changes = tier_after("normal", border - 0.025, DEFAULT), 0
    for step in noise:
        after = tier_after(tier, border + step, DEFAULT)
        changes, tier = changes + (after != tier), after
    assert changes <= 1


def test_each_tier_has_its_measures() -> None:
    assert takes_work({"ram": "caution", "disk": "normal"})
    assert not takes_work({"ram": "normal", "disk": "warning"})
    assert worst({"ram": "caution", "vram": "critical"}) == ("vram", "critical")
    assert worst({"ram": "normal"}) == (None, "normal")
    assert must_leave("ram", "emergency")
    assert not must_leave("disk", "emergency"), "a full disk is not freed by leaving"
    assert not must_leave("ram", "critical")
    assert frees_caches("vram", "critical")
    assert not frees_caches("disk", "critical")


def test_memory_pressure_reduces_the_batch() -> None:
    assert [batch_size(64, {"ram": tier}) for tier in TIERS] == [64, 64, 32, 16, 16]
    assert batch_size(64, {"ram": "caution", "vram": "critical", "disk": "emergency"}) == 16, (
        "the tighter of the two"
    )
    assert batch_size(64, {"disk": "emergency", "files": "critical"}) == 64, (
        "neither needs less for fewer games"
    )
    assert batch_size(1, {"vram": "emergency"}) == 1
