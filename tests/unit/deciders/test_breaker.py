"""Circuit breakers open at a threshold and are probed after a cool-down."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ringrift.deciders.fleet import breaker
from ringrift.deciders.fleet.breaker import Breaker

shares = st.floats(0.0, 1.0)


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
    assert probing.allows(280.0 + breaker.PROBE_SECONDS), "a dead probe expires"
    assert not probing.failed(281.0, 10, "again").allows(282.0), "a failed probe opens it at once"


@given(shares, shares)
def test_the_threshold_rises_with_the_share_of_broken_targets(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 10 <= breaker.threshold(low) <= breaker.threshold(high) <= 20
