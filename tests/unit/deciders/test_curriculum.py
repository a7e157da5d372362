"""Curriculum: what moves the weight of a config, and how far it carries to its relatives."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st
from support.story import Story, settings_changed

from ringrift.deciders.feedback import curriculum
from ringrift.deciders.feedback.curriculum import DECIDER, carried, kinship
from ringrift.events import Settings
from ringrift.events.facts import (
    CurriculumReweighted,
    LossAnomalyDetected,
    ModelPromoted,
    ProgressRecovered,
    ProgressStalled,
    QualityDegraded,
    QualityRecovered,
    RegressionDetected,
    SettingsChanged,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import CurriculumSettings

HEX, SIBLING, FAMILY, OTHER, FAR = "hex8_2p", "hex8_3p", "hexagonal_2p", "square8_2p", "square19_4p"
ALL = (HEX, SIBLING, FAMILY, OTHER, FAR)
B = "b" * 64


def anomaly(severity="critical", config: str = HEX) -> LossAnomalyDetected:
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


def promoted(config: str = HEX) -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=B,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def regressed(drop: float = 150.0, config: str = HEX) -> RegressionDetected:
    return RegressionDetected(
        config=config,
        severity="critical",
        model=B,
        best=B,
        rollback_to=B,
        elo_drop=drop,
        standard_error=1.0,
        settings_version=1,
    )


def gap(config: str, value: float) -> VelocityChanged:
    return VelocityChanged(
        config=config,
        model=B,
        elo_per_hour=None,
        pace=None,
        elo_above_heuristic=value,
        settings_version=1,
    )


def stalled(config: str = HEX) -> ProgressStalled:
    return ProgressStalled(
        config=config, best_elo_above_heuristic=1.0, stalled_seconds=1.0, settings_version=1
    )


def recovered(config: str = HEX) -> ProgressRecovered:
    return ProgressRecovered(
        config=config,
        best_elo_above_heuristic=1.0,
        elo_gain=10.0,
        stalled_seconds=1.0,
        settings_version=1,
    )


DEGRADED = QualityDegraded(config=HEX, adjusted=0.4, weakest="length", settings_version=1)
RECOVERED = QualityRecovered(config=HEX, adjusted=0.6, settings_version=1)


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(configs=ALL))


@pytest.mark.parametrize(
    ("severity", "weight"), [("minor", 1.1), ("major", 1.2), ("critical", 1.4)]
)
def test_an_anomaly_raises_the_weight_by_its_severity(life, severity, weight):
    (fact,) = life.when(anomaly(severity)).then(CurriculumReweighted)
    assert (fact.config, fact.reason, fact.weights[HEX]) == (
        HEX,
        "loss anomaly",
        pytest.approx(weight),
    )


def test_relatives_follow_by_their_kinship(life):
    (fact,) = life.when(anomaly()).then(CurriculumReweighted)
    assert fact.weights[FAMILY] == pytest.approx(1.4**0.8)
    assert fact.weights[SIBLING] == pytest.approx(1.4**0.6)
    assert (fact.weights[OTHER], fact.weights[FAR]) == (1.0, 1.0)


def test_another_family_follows_only_if_it_is_not_stronger(life):
    life.given(gap(HEX, 100), gap(OTHER, 50))
    (fact,) = life.when(anomaly()).then(CurriculumReweighted)
    assert fact.weights[OTHER] == pytest.approx(1.4**0.4)
    (fact,) = life.given(gap(OTHER, 150)).when(anomaly()).then(CurriculumReweighted)
    assert fact.weights[OTHER] == pytest.approx(1.4**0.4)


def test_a_promotion_resets_the_weight(life):
    (fact,) = life.given(anomaly()).when(promoted()).then(CurriculumReweighted)
    assert (fact.reason, fact.weights[HEX]) == ("promotion", pytest.approx(1.0))
    assert all(weight == pytest.approx(1.0) for weight in fact.weights.values())


def test_a_regression_restores_the_weight_before_the_promotion(life):
    life.given(anomaly(), anomaly(), promoted())
    (fact,) = life.when(regressed()).then(CurriculumReweighted)
    assert (fact.reason, fact.amplitude, fact.weights[HEX]) == (
        "regression",
        1.0,
        pytest.approx(1.96),
    )


def test_a_regression_rolls_back_in_proportion_to_its_drop(life):
    (fact,) = life.given(promoted()).when(regressed(drop=75)).then(CurriculumReweighted)
    assert (fact.amplitude, fact.weights[HEX]) == (0.5, pytest.approx(1.5**0.5))


def test_a_stall_raises_the_weight_until_progress_is_back(life):
    (fact,) = life.when(stalled()).then(CurriculumReweighted)
    assert fact.weights[HEX] == pytest.approx(1.25)
    (fact,) = life.when(recovered()).then(CurriculumReweighted)
    assert fact.weights == pytest.approx(dict.fromkeys(ALL, 1.0))


def test_poor_quality_raises_the_weight_until_it_has_recovered(life):
    (fact,) = life.when(DEGRADED).then(CurriculumReweighted)
    assert fact.weights[HEX] == pytest.approx(1.2)
    (fact,) = life.when(RECOVERED).then(CurriculumReweighted)
    assert fact.weights == pytest.approx(dict.fromkeys(ALL, 1.0))


def test_no_weight_is_below_usual_after_an_outage(life):
    life.given(TickRecorded(minute=1), recovered(FAR))
    life.after(seconds=59).when(TickRecorded(minute=2)).then()
    (fact,) = life.after(seconds=400).when(TickRecorded(minute=9)).then(CurriculumReweighted)
    assert (fact.reason, fact.config, fact.weights[FAR]) == ("outage", None, 1.0)


def test_an_outage_with_usual_weights_changes_nothing(life):
    life.given(TickRecorded(minute=1)).after(hours=1).when(TickRecorded(minute=61)).then()


def test_a_config_that_is_switched_off_moves_nothing(life):
    life.when(anomaly(config="square19_2p")).then()


def test_a_config_switched_on_later_has_the_usual_weight(life):
    life.given(
        anomaly(),
        SettingsChanged(version=2, settings=Settings(configs=(HEX, "square19_2p")), why="w"),
    )
    assert set(life.state.weights) == {HEX, "square19_2p"}
    assert life.state.weights["square19_2p"] == 1.0


def test_weights_stay_within_their_limits(life):
    life.given(*[anomaly()] * 20)
    assert life.state.weights[HEX] == 4.0


def test_the_state_survives_json(life):
    life.given(anomaly(), promoted(), gap(HEX, 3.0), TickRecorded(minute=1))
    assert life.restored() == life.state


configs = st.sampled_from(
    [f"{board}_{seats}p" for board in curriculum.FAMILIES for seats in (2, 3, 4)]
)


@for_all(source=configs, target=configs)
def test_kinship_is_mutual_and_whole_only_with_itself(source, target):
    settings = CurriculumSettings()
    assert kinship(source, target, settings) == kinship(target, source, settings)
    assert (kinship(source, target, settings) == 1.0) == (source == target)
    assert carried(source, target, {}, settings) <= kinship(source, target, settings)


signals = st.lists(
    st.sampled_from(
        [stalled(), stalled(OTHER), recovered(FAR), DEGRADED, anomaly("minor", SIBLING)]
    ),
    max_size=4,
)


@for_all(events=signals, order=st.randoms(use_true_random=False))
def test_the_order_of_independent_signals_does_not_matter(events, order):
    def weights(sequence) -> dict[str, float]:
        return Story(DECIDER).given(settings_changed(configs=ALL), *sequence).state.weights

    shuffled = list(events)
    order.shuffle(shuffled)
    assert weights(events) == pytest.approx(weights(shuffled))
