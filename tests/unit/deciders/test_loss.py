"""Losses: abnormal is relative to the config's own trainings; a plateau is reported
once per level."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st

from ringrift.deciders.feedback.loss import DECIDER, deviations_above, plateau_severity
from ringrift.deciders.feedback.regression import SEVERITIES
from ringrift.events.facts import (
    LossAnomalyDetected,
    PlateauCleared,
    PlateauDetected,
    TrainingFinished,
)
from ringrift.events.settings import LossSettings

CONFIG = "hex8_2p"
USUAL = (1.0, 1.02, 0.98, 1.01, 0.99)
QUIET = LossSettings(plateau_trainings=1000)


def trained(
    value: float, config: str = CONFIG, validation: float | None = None
) -> TrainingFinished:
    return TrainingFinished(
        config=config,
        generation=1,
        ticket="t",
        model="b" * 64,
        steps=1,
        samples=1,
        loss=value,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=validation,
        train_seconds=1.0,
        node="n",
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(loss=QUIET), *map(trained, USUAL))


def test_a_usual_loss_is_no_anomaly(life):
    life.when(trained(1.03)).then()


def test_a_loss_far_above_is_an_anomaly(life):
    (fact,) = life.when(trained(1.07)).then(LossAnomalyDetected)
    assert (fact.severity, fact.expected, fact.loss) == ("minor", 1.0, 1.07)


@pytest.mark.parametrize(
    ("value", "severity"), [(1.07, "minor"), (1.10, "major"), (1.5, "critical")]
)
def test_severity_rises_with_the_deviation(life, value, severity):
    (fact,) = life.when(trained(value)).then(LossAnomalyDetected)
    assert fact.severity == severity


def test_a_low_loss_is_no_anomaly(life):
    life.when(trained(0.2)).then()


def test_a_short_history_proves_nothing(story, settings_changed):
    story(DECIDER).given(settings_changed(), *map(trained, USUAL[:3])).when(trained(50.0)).then()


def test_one_anomaly_does_not_hide_the_next(life):
    life.when(trained(5.0)).then(LossAnomalyDetected)
    life.when(trained(5.0)).then(LossAnomalyDetected)


def test_the_threshold_follows_recent_losses(life):
    life.given(*[trained(2.0 + i / 100) for i in range(10)])
    life.when(trained(2.05)).then()


def test_the_validation_loss_counts_where_there_is_one(life):
    life.when(trained(9.0, validation=1.0)).then()
    life.when(trained(1.0, validation=9.0)).then(LossAnomalyDetected)


def test_configs_have_their_own_thresholds(life):
    life.when(trained(9.0, config="square8_2p")).then()


def test_five_trainings_without_a_gain_are_one_plateau(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), trained(1.0), *[trained(1.0)] * 4)
    (fact,) = life.when(trained(1.0)).then(PlateauDetected)
    assert (fact.trainings, fact.severity, fact.best_loss) == (5, "minor", 1.0)
    life.when(trained(1.0)).then()


def test_a_longer_plateau_is_more_severe(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), *[trained(1.0)] * 10)
    (fact,) = life.when(trained(1.0)).then(PlateauDetected)
    assert fact.severity == "major"


def test_a_gain_ends_the_plateau(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), *[trained(1.0)] * 8)
    (fact,) = life.when(trained(0.9)).then(PlateauCleared)
    assert (fact.trainings, fact.best_loss) == (8, 0.9)
    life.when(trained(0.8)).then()


def test_a_tiny_gain_does_not(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), *[trained(1.0)] * 8)
    life.when(trained(0.999)).then()


def test_a_fresh_run_has_no_findings(story, settings_changed):
    life = story(DECIDER).given(settings_changed())
    for value in (2.5, 2.9, 2.2, 2.4):
        life.when(trained(value)).then()


def test_the_state_survives_json(life):
    assert life.restored() == life.state


values = st.floats(0.1, 10.0)


@for_all(history=st.lists(values, min_size=4, max_size=10).map(tuple), low=values, high=values)
def test_a_higher_loss_is_never_less_severe(history, low, high):
    low, high = sorted((low, high))
    order = [None, *SEVERITIES]
    levels = [
        LossSettings().deviations.reached(deviations_above(value, history, LossSettings())[1])
        for value in (low, high)
    ]
    assert order.index(levels[0]) <= order.index(levels[1])


@for_all(
    history=st.lists(values, min_size=4, max_size=10).map(tuple),
    value=values,
    scale=st.sampled_from([0.25, 0.5, 2.0, 8.0]),
)
def test_the_unit_of_the_loss_does_not_matter(history, value, scale):
    one = deviations_above(value, history, LossSettings())[1]
    other = deviations_above(
        value * scale, tuple(item * scale for item in history), LossSettings()
    )[1]
    assert one == pytest.approx(other)


@for_all(trainings=st.integers(0, 100))
def test_plateaus_have_three_levels(trainings):
    expected = (
        None
        if trainings < 5
        else "minor"
        if trainings < 10
        else "major"
        if trainings < 20
        else "critical"
    )
    assert plateau_severity(trainings, LossSettings()) == expected
