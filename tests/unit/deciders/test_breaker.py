"""Circuit breakers open at a threshold and are probed after a cool-down."""

from __future__ import annotations

from hypothesis import given, strategies as st

from ringrift.deciders.fleet import breaker
from ringrift.deciders.fleet.breaker import Breaker
from ringrift.events.settings import OperationSettings

shares = st.floats(0.0, 1.0)


WAITS = (10.0, 60.0)


def test_a_breaker_opens_at_the_threshold_and_is_probed_within_seconds() -> None:
    item = Breaker()
    for _ in range(9):
        item = item.failed(100.0, 10, "no luck", WAITS)
        assert item.allows(100.0)
    item = item.failed(100.0, 10, "no luck", WAITS)
    assert item.state == "open"
    assert [item.allows(time) for time in (100.0, 109.0, 110.0)] == [False, False, True]
    probing = item.probed(110.0)
    assert not probing.allows(111.0), "one probe at a time"
    assert probing.allows(110.0 + breaker.PROBE_SECONDS), "a dead probe expires"
    again = probing.failed(111.0, 10, "again", WAITS)
    assert (again.state, again.tier, again.until) == ("open", 1, 171.0)
    assert again.probed(171.0).failed(171.0, 10, "again", WAITS).tier == 1, "the highest"


@given(shares, shares)
def test_the_threshold_rises_with_the_share_of_broken_targets(one: float, other: float) -> None:
    low, high = sorted((one, other))
    settings = OperationSettings()
    assert 10 <= breaker.threshold(low, settings) <= breaker.threshold(high, settings) <= 20
