"""How long a unit of work takes."""

from __future__ import annotations

import pytest

from ringrift.deciders.fleet.durations import Durations, Spread


def test_a_duration_has_a_mean_and_a_variance():
    spread = Spread()
    for seconds in (1.0, 3.0, 1.0, 3.0):
        spread = spread.after(seconds)
    assert spread.mean == pytest.approx(2.0)
    assert spread.variance == pytest.approx(1.0)
    assert spread.careful == pytest.approx(3.0)


def test_slowness_is_measured_against_the_fleet():
    play = Durations()
    for _ in range(40):
        play = play.after("a", "fast", 10, 10.0).after("a", "slow", 10, 40.0)
    assert play.slowness("fast", 1.0) < 1.0 < play.slowness("slow", 1.0)
