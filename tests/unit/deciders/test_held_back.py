"""Reasons to hold back a due training: pressure, cool-down, quality and stale data."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support.loop_facts import fresh
from support.training_facts import (
    CONFIG,
    OTHER,
    TICK,
    A,
    B,
    assessed,
    exported,
    failed,
    finished,
    pace,
    planned,
    played,
    started,
)

from ringrift.deciders.loop import evaluation, selfplay
from ringrift.deciders.loop.held_back import cooldown_seconds, intensity
from ringrift.deciders.loop.training import DECIDER
from ringrift.events.facts import (
    ConsumerStarted,
    EvaluationBackpressureEngaged,
    EvaluationBackpressureReleased,
    EvaluationFailed,
    EvaluationRequested,
    ModelRegistered,
    NodePresenceChanged,
    PipelinePaused,
    QualityAssessed,
    SelfplayPlanned,
    ShardExported,
    TrainingBlocked,
    TrainingDelayed,
    TrainingRequested,
)
from ringrift.events.settings import EvaluationSettings, TrainingSettings

PRESSED = EvaluationBackpressureEngaged(waiting=70, settings_version=1)
RELEASED = EvaluationBackpressureReleased(waiting=35, settings_version=1)


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), planned(), played())


def test_training_waits_while_too_many_matches_wait(life):
    life.given(PRESSED).when(exported()).then(TrainingDelayed)
    life.when(TICK).then()
    life.when(RELEASED).then(TrainingRequested)


def test_backpressure_is_recorded_at_both_thresholds(story, settings_changed):
    bounds = EvaluationSettings(waiting_max=4, waiting_resume=1)
    life = story(evaluation.DECIDER).given(settings_changed(evaluation=bounds))

    def registered(model: str) -> ModelRegistered:
        return ModelRegistered(
            config=CONFIG,
            model=model,
            generation=1,
            architecture="a",
            encoder="e",
            parameters=1,
            parents=(),
            ticket=fresh(),
        )

    lost = EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket=fresh(),
        candidate_model=None,
        purpose="random",
        reason="r",
        node="n",
    )
    life.when(registered(A)).then(EvaluationRequested, EvaluationRequested)
    life.when(registered(B)).then(
        EvaluationRequested, EvaluationRequested, EvaluationBackpressureEngaged
    )
    life.when(replace(lost, ticket=fresh())).then()
    life.when(replace(lost, ticket=fresh())).then()
    life.when(replace(lost, ticket=fresh())).then(EvaluationBackpressureReleased)
    life.when(replace(lost, ticket=fresh())).then()


def trained_once(story, settings_changed, *configs: str):
    life = story(DECIDER).given(
        settings_changed(configs=configs), planned(), played(), exported(), started(), finished()
    )
    return life.given(planned(1), played(1))


def test_one_config_alone_never_cools_down(story, settings_changed):
    trained_once(story, settings_changed, CONFIG).when(exported()).then(TrainingRequested)


def other(fact: Any) -> Any:
    return replace(fact, config=OTHER)


def other_trains(life):
    """Another config is trained, and one trainer runs."""
    return life.given(other(planned()), other(played()), other(exported()), other(started()))


def test_a_free_trainer_does_not_wait_for_a_cool_down(story, settings_changed):
    trained_once(story, settings_changed, CONFIG, OTHER).when(exported()).then(TrainingRequested)


def test_a_config_that_cools_down_lets_others_go_first(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER))
    (delay,) = life.when(exported()).then(TrainingDelayed)
    assert (delay.reason, delay.generation) == ("a trainer", 1)
    assert 200 < delay.seconds_max <= 300
    life.after(seconds=120).when(TICK).then()
    life.after(seconds=180).when(TICK).then(TrainingRequested)


def test_it_begins_as_soon_as_the_trainer_is_free(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER)).given(exported())
    (request,) = life.when(other(finished())).then(TrainingRequested)
    assert request.config == CONFIG


def test_a_second_trainer_is_free_too(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER))
    for node in ("n1", "n2"):
        life.given(ConsumerStarted(node=node, consumer="trainer", instance=node, version="1"))
    life.when(exported()).then(TrainingRequested)


def test_a_trainer_that_left_is_not_counted(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER))
    for node in ("n1", "n2"):
        life.given(ConsumerStarted(node=node, consumer="trainer", instance=node, version="1"))
    life.given(
        NodePresenceChanged(node="n2", present=False, left=False, silent_seconds=9.0, processes=0)
    )
    life.when(exported()).then(TrainingDelayed)


def test_a_training_that_a_pause_stops_keeps_no_trainer_busy(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER))
    life.given(PipelinePaused(scope=OTHER, kind="training", why="w"))
    life.when(exported()).then(TrainingRequested)


def test_a_failed_training_does_not_cool_down(story, settings_changed):
    life = trained_once(story, settings_changed, CONFIG, OTHER).after(seconds=400).given(exported())
    life.when(failed("t2")).then(TrainingRequested)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("fast", 150), ("steady", 300), (None, 300), ("stalled", 450), ("regressing", 600)],
)
def test_the_cool_down_follows_the_pace(name, seconds):
    assert cooldown_seconds(name, TrainingSettings()) == seconds


def test_a_fast_config_is_trained_sooner(story, settings_changed):
    life = other_trains(trained_once(story, settings_changed, CONFIG, OTHER))
    life.given(pace("fast"), exported())
    life.after(seconds=150).when(TICK).then(TrainingRequested)


def test_poor_data_hold_a_training_back(life):
    (fact,) = life.given(assessed(0.2)).when(exported()).then(TrainingBlocked)
    assert (fact.reason, fact.detail) == ("quality", "quality 0.20, 0.40 needed")
    life.when(TICK).then()


def test_a_better_assessment_releases_the_training(life):
    life.given(assessed(0.2), exported())
    life.when(assessed(0.6)).then(TrainingRequested)


def test_a_faded_assessment_releases_the_training(life):
    life.given(assessed(0.2), exported())
    life.after(hours=1).when(TICK).then()
    life.after(hours=1).when(TICK).then(TrainingRequested)


def test_data_that_were_never_assessed_are_trained_on(life):
    life.when(exported()).then(TrainingRequested)


def told_of(adjusted: float, digest: str = B) -> QualityAssessed:
    return msgspec.structs.replace(assessed(adjusted), shard=digest)


def newest(digest: str = B) -> ShardExported:
    return msgspec.structs.replace(exported(wins=(32, 32)), digest=digest)


def test_a_training_waits_for_the_assessment_of_the_newest_shard(life):
    life.given(told_of(0.9, A)).when(newest()).then()
    life.when(TICK).then()
    life.when(told_of(0.8, A)).then()
    life.when(told_of(0.8)).then(TrainingRequested)


def test_a_poor_newest_shard_holds_the_training_back(life):
    life.given(told_of(0.9, A)).when(newest()).then()
    (fact,) = life.when(told_of(0.2)).then(TrainingBlocked)
    assert fact.reason == "quality"


def test_a_training_does_not_wait_for_an_assessment_that_never_comes(life):
    life.given(told_of(0.9, A), newest())
    life.after(seconds=50).when(TICK).then()
    life.after(seconds=10).when(TICK).then(TrainingRequested)


def test_a_shard_without_a_summary_is_not_waited_for(life):
    life.given(told_of(0.9, A)).when(exported()).then(TrainingRequested)


def test_the_generation_plays_on_when_its_data_are_poor(story, settings_changed):
    small = msgspec.structs.replace(settings_changed().settings.selfplay, bootstrap_games=64)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=small), played(), exported())
    blocked = TrainingBlocked(
        config=CONFIG, generation=0, reason="quality", detail="d", settings_version=1
    )
    (plan,) = life.when(blocked).then(SelfplayPlanned)
    assert plan.generation == 0


def test_poor_data_hold_a_generation_back_a_few_times_only(life):
    life.given(assessed(0.1), exported())
    for _ in range(2):
        life.given(planned(), played())
        life.when(exported()).then(TrainingBlocked)
    life.given(planned(), played())
    life.when(exported()).then(TrainingRequested)


def test_stale_data_are_not_trained_on_before_more_were_played(life):
    life.given(PRESSED, exported()).after(hours=25)
    (fact,) = life.when(RELEASED).then(TrainingBlocked)
    assert fact.reason == "stale data"
    life.given(planned(), played())
    life.when(exported()).then(TrainingRequested)


def test_poor_data_get_fewer_epochs(story, settings_changed):
    long = settings_changed(training=TrainingSettings(first_samples=20_000))
    life = story(DECIDER).given(long, planned(), played())
    (fact,) = life.given(assessed(0.42)).when(exported()).then(TrainingRequested)
    assert fact.intensity == pytest.approx(0.92, abs=1e-3)


def test_good_data_get_the_usual_epochs_unless_set(story, settings_changed):
    long = settings_changed(training=TrainingSettings(first_samples=20_000))
    life = story(DECIDER).given(long, planned(), played())
    (fact,) = life.given(assessed(0.9)).when(exported()).then(TrainingRequested)
    assert fact.intensity == 1.0
    eager = TrainingSettings(intensity_good=1.5, first_samples=20_000)
    eager = story(DECIDER).given(settings_changed(training=eager), planned(), played())
    (fact,) = eager.given(assessed(0.75)).when(exported()).then(TrainingRequested)
    assert fact.intensity == pytest.approx(1.25, abs=1e-3)


@for_all(one=st.floats(0.0, 1.0), other=st.floats(0.0, 1.0), good=st.floats(1.0, 3.0))
def test_better_data_never_get_fewer_epochs(one, other, good):
    settings = TrainingSettings(intensity_good=good)
    low, high = (intensity(quality, settings) for quality in sorted((one, other)))
    assert settings.intensity_poor <= low <= high <= good + 1e-4
    assert intensity(0.5, settings) == 1.0
