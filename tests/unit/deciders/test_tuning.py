"""Hyperparameters of the next training: what changes them, how far, and which stay unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from support.story import Story

from ringrift.deciders.feedback import tuning
from ringrift.deciders.feedback.tuning import DECIDER, EPOCHS, RATE, overfit
from ringrift.deciders.loop import training
from ringrift.events import Fact
from ringrift.events.facts import (
    Evidence,
    HyperparametersAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    PlateauDetected,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings, TuningSettings

CONFIG, OTHER = "hex8_2p", "square8_2p"
A, B = "a" * 64, "b" * 64
PLATEAU = PlateauDetected(
    config=CONFIG, generation=9, severity="minor", trainings=5, best_loss=1.0, settings_version=1
)


def anomaly(severity) -> LossAnomalyDetected:
    return LossAnomalyDetected(
        config=CONFIG,
        generation=5,
        ticket="t",
        severity=severity,
        loss=3.0,
        expected=2.0,
        deviations=5.0,
        settings_version=1,
    )


def trained(validation: float | None = 1.0, loss: float = 1.0) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket="t",
        model=B,
        steps=1,
        samples=1,
        loss=loss,
        policy_loss=1.0,
        value_loss=0.0,
        validation_loss=validation,
        train_seconds=1.0,
        node="n",
    )


def rejected(score: float | None = 0.45) -> PromotionRejected:
    evidence = score and Evidence(
        llr=-3.0,
        lower=-2.9,
        upper=2.9,
        starts=64,
        games=128,
        score=score,
        elo=-20.0,
        elo_95_half_width=30.0,
    )
    return PromotionRejected(
        config=CONFIG,
        generation=4,
        model=B,
        current=A,
        evidence=evidence or None,
        why="w",
        settings_version=1,
    )


PROMOTED = ModelPromoted(
    config=CONFIG, generation=5, model=B, previous=A, evidence=None, why="w", settings_version=1
)


def tuned(**values: str) -> HyperparametersAdjusted:
    return HyperparametersAdjusted(
        config=CONFIG,
        values={f"training.{name}": value for name, value in values.items()},
        why="by hand",
        settings_version=1,
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed())


def test_a_plateau_makes_steps_smaller(life):
    (fact,) = life.when(PLATEAU).then(HyperparametersAdjusted)
    assert (fact.values, fact.factors) == ({RATE: "0.0014"}, {RATE: 0.7})
    assert fact.why == "no lower loss in 5 trainings"


@pytest.mark.parametrize("severity", ["major", "critical"])
def test_a_loss_that_jumps_makes_steps_smaller(life, severity):
    (fact,) = life.when(anomaly(severity)).then(HyperparametersAdjusted)
    assert fact.factors == {RATE: 0.7}


def test_a_minor_anomaly_does_not(life):
    life.when(anomaly("minor")).then()


def test_three_candidates_in_a_row_that_are_no_better_do(life):
    life.given(rejected(), rejected())
    (fact,) = life.when(rejected()).then(HyperparametersAdjusted)
    assert fact.why == "3 candidates in a row were no better"
    life.when(rejected()).then()  # the newest change has to show its effect first


def test_a_promotion_between_them_counts_from_nothing(life):
    life.given(rejected(), rejected(), PROMOTED, rejected()).when(rejected()).then()


@pytest.mark.parametrize("score", [None, 0.6])
def test_rejections_without_a_score_do_not_count(life, score):
    life.given(*[rejected(score)] * 5).when(rejected(score)).then()


def test_overfitting_twice_in_a_row_makes_fewer_epochs(life):
    life.given(trained(), trained(), trained(1.2))
    (fact,) = life.when(trained(1.2)).then(HyperparametersAdjusted)
    assert fact.values == {EPOCHS: "1.6"}
    life.when(trained(1.2)).then()


def test_overfitting_once_in_a_while_does_not(life):
    life.given(*[trained(), trained(1.2)] * 4).when(trained()).then()


def test_few_trainings_change_nothing(life):
    life.given(trained(2.0), trained(2.0)).when(trained(2.0)).then()


def test_losses_without_validation_are_ignored(life):
    life.given(*[trained(None)] * 5).when(trained(None)).then()


def test_promotions_lead_half_of_the_way_back(life):
    life.given(PLATEAU)
    (fact,) = life.when(PROMOTED).then(HyperparametersAdjusted)
    assert fact.factors[RATE] == pytest.approx(0.7**0.5)
    life.given(PROMOTED)
    (last,) = life.when(PROMOTED).then(HyperparametersAdjusted)
    assert (last.values, last.factors) == ({}, {})
    life.when(PROMOTED).then()


def test_values_of_a_person_are_kept(life):
    life.given(tuned(learning_rate="0.01", batch="64")).when(PLATEAU).then()
    life.given(trained(), trained(), trained(2.0))
    (fact,) = life.when(trained(2.0)).then(HyperparametersAdjusted)
    assert (fact.values, fact.factors) == (
        {RATE: "0.01", "training.batch": "64", EPOCHS: "1.6"},
        {EPOCHS: 0.8},
    )


def test_a_reset_by_a_person_starts_again(life):
    life.given(PLATEAU, PLATEAU, tuned())
    (fact,) = life.when(PLATEAU).then(HyperparametersAdjusted)
    assert fact.factors == {RATE: 0.7}


def test_factors_apply_to_new_settings(life, settings_changed):
    life.given(PLATEAU)
    (fact,) = life.when(settings_changed(training=TrainingSettings(learning_rate=1e-2))).then(
        HyperparametersAdjusted
    )
    assert fact.values == {RATE: "0.007"}
    life.when(settings_changed(training=TrainingSettings(learning_rate=1e-2))).then()


def test_configs_are_tuned_independently(life):
    life.given(PLATEAU)
    (fact,) = life.when(msgspec.structs.replace(PLATEAU, config=OTHER)).then(
        HyperparametersAdjusted
    )
    assert (fact.config, fact.factors) == (OTHER, {RATE: 0.7})


def test_the_next_training_carries_the_values(story, settings_changed, life):
    (fact,) = life.when(PLATEAU).then(HyperparametersAdjusted)
    plan = SelfplayPlanned(
        config=CONFIG,
        generation=0,
        games=64,
        games_per_ticket=64,
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
    )
    played = SelfplayFinished(
        config=CONFIG, generation=0, ticket="t", games=64, plies=1, play_seconds=1.0, node="n"
    )
    shard = ShardExported(
        config=CONFIG,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=6000,
        rejected=0,
        digest=A,
        size_bytes=1,
    )
    (request,) = (
        story(training.DECIDER)
        .given(settings_changed(), plan, played, fact)
        .when(shard)
        .then(TrainingRequested)
    )
    assert request.hyperparameters == {RATE: "0.0014"}


def test_the_state_survives_json(life):
    life.given(PLATEAU, trained(2.0), rejected())
    assert life.restored() == life.state


HAPPENED = (
    PLATEAU,
    anomaly("critical"),
    rejected(),
    trained(),
    trained(2.0),
    PROMOTED,
    tuned(),
    tuned(epochs="3"),
)
lives = st.lists(st.sampled_from(HAPPENED), max_size=60)


def states(events: list[Fact]) -> Iterator[tuning.Tuning]:
    """The config after each event, and the decisions on it."""
    life = Story(DECIDER)
    for event in events:
        yield life.given(event).state.configs.get(CONFIG, tuning.Tuning())


@for_all(events=lives)
def test_factors_stay_within_their_limits_and_keep_values_of_a_person(events):
    settings = TuningSettings()
    for item in states(events):
        assert all(
            settings.rate_min <= item.factors.get(name, 1.0) <= 1.0 for name in (RATE, EPOCHS)
        )
        assert item.factors.get(EPOCHS, 1.0) >= settings.epochs_min
        assert item.factors.keys() <= item.values.keys()
        assert EPOCHS not in item.factors or item.values[EPOCHS] != "3"


@for_all(events=lives)
def test_promotions_lead_back_to_the_settings(events):
    *_, last = states([*events, *[PROMOTED] * 6])
    assert not last.factors


@for_all(
    validation=st.floats(0.1, 10.0), loss=st.floats(0.1, 10.0), scale=st.sampled_from([0.5, 2.0])
)
def test_the_unit_of_the_loss_does_not_matter(validation, loss, scale):
    assert overfit(trained(validation, loss)) == pytest.approx(
        overfit(trained(validation * scale, loss * scale))
    )
