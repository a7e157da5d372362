"""Velocity: Elo per hour above the heuristic, its pace, stalls by recorded time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as for_all, strategies as st
from support.ratings import HEURISTIC, RANDOM, table, trial

from ringrift.deciders.feedback import velocity
from ringrift.deciders.feedback.velocity import DECIDER, Point, pace_of
from ringrift.events.facts import (
    ModelPromoted,
    ModelRolledBack,
    ProgressRecovered,
    ProgressStalled,
    RatingsUpdated,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import VelocitySettings

CONFIG = "hex8_2p"
B, C = "b" * 64, "c" * 64
START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = TickRecorded(minute=1)


def promoted(model: str, config: str = CONFIG) -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rated(config: str = CONFIG, zero: float = 0.0, **elo: float) -> RatingsUpdated:
    """Ratings of networks named by their first letter, above a heuristic at `zero`."""
    named = {trial(name): zero + value for name, value in elo.items()}
    if not zero:
        return table(named, config=config)
    return table({**named, HEURISTIC: zero}, config=config, anchor=RANDOM)


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), promoted(B))


def minutes(life, count: int):
    """So many ticks; what the last one decided is in `life.decided`, what all of them did is
    returned."""
    return [fact for _ in range(count) for fact in life.after(seconds=59).when(TICK).decided]


def test_one_network_has_a_gap_and_no_velocity(life):
    (fact,) = life.when(rated(b=50)).then(VelocityChanged)
    assert (fact.model, fact.elo_per_hour, fact.pace, fact.elo_above_heuristic) == (
        B,
        None,
        None,
        50.0,
    )


def test_a_stronger_network_makes_velocity(life):
    life.given(rated(b=50)).after(hours=4).given(promoted(C))
    (fact,) = life.when(rated(b=50, c=70)).then(VelocityChanged)
    assert fact.elo_per_hour == pytest.approx(5.0, rel=0.01)
    assert fact.pace == "fast"


def test_the_zero_of_the_table_does_not_matter(life):
    life.given(rated(b=50)).after(hours=4).given(promoted(C))
    (fact,) = life.when(rated(zero=-300, b=50, c=70)).then(VelocityChanged)
    assert fact.elo_per_hour == pytest.approx(5.0, rel=0.01)


def test_two_networks_within_an_hour_count_as_an_hour_apart(life):
    life.given(rated(b=50), promoted(C))
    (fact,) = life.when(rated(b=50, c=70)).then(VelocityChanged)
    assert fact.elo_per_hour == pytest.approx(20.0)


def test_a_weaker_network_is_regressing(life):
    life.given(rated(b=50)).after(hours=2).given(promoted(C))
    (fact,) = life.when(rated(b=50, c=40)).then(VelocityChanged)
    assert fact.pace == "regressing"


def test_a_rollback_changes_the_current_network(life):
    life.given(rated(b=50)).after(hours=2).given(promoted(C), rated(b=50, c=-100))
    life.given(
        ModelRolledBack(
            config=CONFIG, model=C, current=B, elo_drop=150, why="w", settings_version=1
        )
    )
    (fact,) = life.when(rated(b=50, c=-100)).then(VelocityChanged)
    assert (fact.model, fact.elo_above_heuristic, fact.pace) == (B, 50.0, "stalled")


def test_an_unchanged_table_is_not_reported(life):
    life.given(rated(b=50)).when(rated(b=50.2)).then()


def test_nothing_is_reported_without_the_heuristic(life):
    life.when(table({trial("b"): 50.0}, anchor=RANDOM)).then()


def test_the_gap_has_the_error_of_the_difference_to_the_heuristic(life):
    (anchored,) = life.when(rated(b=50)).then(VelocityChanged)
    assert anchored.elo_95_half_width == pytest.approx(1.96 * 10, rel=1e-3)
    (other,) = life.when(rated(zero=200, b=90)).then(VelocityChanged)
    assert (other.elo_above_heuristic, other.elo_95_half_width) == (90, None)


def test_without_promotions_the_pace_falls_with_the_hours(life):
    life.given(rated(b=50)).after(hours=1).given(promoted(C), rated(b=50, c=60))
    found = minutes(life, 60 * 8)
    assert [fact.pace for fact in found] == ["steady", "stalled"]


def test_a_day_without_a_gain_is_one_stall(life):
    life.given(rated(b=50))
    found = [fact for fact in minutes(life, 60 * 25) if isinstance(fact, ProgressStalled)]
    assert [fact.best_elo_above_heuristic for fact in found] == [50.0]
    assert found[0].stalled_seconds == pytest.approx(86_400, abs=120)


def test_hours_without_a_coordinator_do_not_count(life):
    life.given(rated(b=50), TICK).after(hours=48)
    life.when(TICK).then()


def test_a_gain_ends_the_stall(life):
    life.given(rated(b=50))
    minutes(life, 60 * 25)
    life.given(promoted(C))
    facts = life.when(rated(b=50, c=80)).decided
    assert [type(fact) for fact in facts] == [VelocityChanged, ProgressRecovered]
    assert facts[1].elo_gain == pytest.approx(30.0)


def test_a_gain_within_the_error_does_not(life):
    life.given(rated(b=50))
    minutes(life, 60 * 25)
    life.given(promoted(C)).when(rated(b=50, c=53)).then(VelocityChanged)


def test_a_config_that_is_switched_off_does_not_stall(life, settings_changed):
    life.given(rated(b=50), settings_changed(version=2, configs=("square8_2p",)))
    assert minutes(life, 60 * 25) == []


def test_the_state_survives_json(life):
    life.given(rated(b=50), TICK)
    assert life.restored() == life.state


gaps = st.lists(st.floats(-500, 500), min_size=2, max_size=8)


@for_all(values=gaps, shift=st.integers(-400, 400))
def test_velocity_does_not_depend_on_the_zero(values, shift):
    def of(offset: float) -> float | None:
        points = tuple(
            Point(model=B, at=START + timedelta(hours=i), gap=value + offset)
            for i, value in enumerate(values)
        )
        return velocity.velocity(points, START + timedelta(hours=len(values)), VelocitySettings())

    assert of(0) == pytest.approx(of(shift), abs=1e-6)


@for_all(value=st.floats(-100, 100))
def test_every_velocity_has_one_pace(value):
    expected = (
        "regressing"
        if value < -0.5
        else "stalled"
        if value < 0.5
        else "steady"
        if value <= 2
        else "fast"
    )
    assert pace_of(value, VelocitySettings()) == expected
