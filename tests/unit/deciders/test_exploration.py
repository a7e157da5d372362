"""Exploration: boosted by anomalies and plateaus, brought back generation by generation, carried by
the next plan."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from support.story import Story

from ringrift.deciders.feedback.exploration import DECIDER, plies
from ringrift.deciders.loop import selfplay
from ringrift.events.facts import (
    ExplorationAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    PlateauDetected,
    PromotionRejected,
    SelfplayPlanned,
    VelocityChanged,
)

CONFIG = "hex8_2p"
B = "b" * 64


def anomaly(severity="minor", config: str = CONFIG) -> LossAnomalyDetected:
    return LossAnomalyDetected(
        config=config,
        generation=1,
        ticket="t",
        severity=severity,
        loss=2.0,
        expected=1.0,
        deviations=4.0,
        settings_version=1,
    )


def plateau(severity="minor") -> PlateauDetected:
    return PlateauDetected(
        config=CONFIG,
        generation=1,
        severity=severity,
        trainings=5,
        best_loss=1.0,
        settings_version=1,
    )


def promoted(config: str = CONFIG) -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=B,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rejected() -> PromotionRejected:
    return PromotionRejected(
        config=CONFIG,
        generation=2,
        model="c" * 64,
        current=B,
        evidence=None,
        why="w",
        settings_version=1,
    )


def pace(name, config: str = CONFIG) -> VelocityChanged:
    return VelocityChanged(
        config=config,
        model=B,
        elo_per_hour=1.0,
        pace=name,
        elo_above_heuristic=10.0,
        settings_version=1,
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed())


@pytest.mark.parametrize(
    ("severity", "boost"), [("minor", 1.1), ("major", 1.25), ("critical", 1.5)]
)
def test_an_anomaly_boosts_by_its_severity(life, severity, boost):
    (fact,) = life.when(anomaly(severity)).then(ExplorationAdjusted)
    assert (fact.boost, fact.previous, fact.reason) == (pytest.approx(boost), 1.0, "loss anomaly")


@pytest.mark.parametrize(
    ("severity", "boost"), [("minor", 1.05), ("major", 1.15), ("critical", 1.3)]
)
def test_a_plateau_boosts_less(life, severity, boost):
    (fact,) = life.when(plateau(severity)).then(ExplorationAdjusted)
    assert (fact.boost, fact.reason) == (pytest.approx(boost), "plateau")


def test_boosts_multiply_up_to_a_limit(life):
    life.given(anomaly("critical"), anomaly("critical"))
    assert life.state.configs[CONFIG].boost == 2.0
    life.when(anomaly("critical")).then()


@pytest.mark.parametrize(
    ("name", "factor"), [("fast", 0.98), ("steady", 0.9), ("regressing", 1.05)]
)
def test_a_generation_moves_the_boost_by_the_pace(life, name, factor):
    (fact,) = life.given(anomaly("critical"), pace(name)).when(promoted()).then(ExplorationAdjusted)
    assert fact.boost == pytest.approx(1.5 * factor)
    assert fact.reason == ("regression" if name == "regressing" else "decay")


def test_a_stalled_config_keeps_its_boost(life):
    life.given(anomaly("critical"), pace("stalled")).when(rejected()).then()


def test_a_rejection_is_a_generation_too(life):
    life.given(anomaly("critical")).when(rejected()).then(ExplorationAdjusted)


def test_a_usual_boost_does_not_decay(life):
    life.given(pace("fast")).when(promoted()).then()


def test_a_regressing_config_explores_more_than_usual(life):
    (fact,) = life.given(pace("regressing")).when(rejected()).then(ExplorationAdjusted)
    assert fact.boost == pytest.approx(1.05)


def test_a_boost_decays_to_usual(life):
    life.given(anomaly("critical"), *[rejected()] * 4)
    assert life.state.configs[CONFIG].boost == 1.0
    life.when(rejected()).then()


def test_configs_are_independent(life):
    life.given(anomaly("critical", config="square8_2p")).when(promoted()).then()


def test_a_fresh_run_adjusts_nothing(life):
    life.when(promoted()).then()
    life.given(pace(None)).when(rejected()).then()
    life.given(pace("fast")).when(promoted()).then()


def test_the_next_plan_carries_it(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed())
    life.given(
        ExplorationAdjusted(
            config=CONFIG, boost=1.5, previous=1.0, reason="plateau", settings_version=1
        )
    )
    (plan,) = life.when(promoted()).then(SelfplayPlanned)
    assert plan.noise_plies == 36


def test_a_plan_without_a_boost_has_no_noise_plies(story, settings_changed):
    (plan,) = (
        story(selfplay.DECIDER).given(settings_changed()).when(promoted()).then(SelfplayPlanned)
    )
    assert plan.noise_plies is None
    assert msgspec.structs.replace(plan, model=None)


def test_the_state_survives_json(life):
    life.given(anomaly(), pace("fast"))
    assert life.restored() == life.state


steps = st.lists(
    st.sampled_from(
        [
            anomaly(),
            anomaly("critical"),
            plateau("major"),
            promoted(),
            rejected(),
            pace("fast"),
            pace("regressing"),
            pace("stalled"),
        ]
    ),
    max_size=40,
)


@for_all(events=steps)
def test_the_boost_stays_within_its_limits(events):
    life = Story(DECIDER)
    for event in events:
        for fact in life.when(event).decided:
            assert 1.0 <= fact.boost <= 2.0
            assert fact.boost != fact.previous


@for_all(usual=st.integers(0, 200), boost=st.floats(1.0, 2.0))
def test_boosted_plies_are_never_fewer(usual, boost):
    assert (plies(usual, boost) or usual) >= usual
