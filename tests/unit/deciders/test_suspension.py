"""A config whose trainings fail again and again plays no more, is retried, and comes back."""

from __future__ import annotations

import pytest
from support import loop_facts
from support.loop_facts import fresh

from ringrift.deciders.feedback import deadlock, suspension
from ringrift.deciders.loop import selfplay, training
from ringrift.events.facts import (
    HyperparametersAdjusted,
    SelfplayPlanned,
    SelfplayRestored,
    SelfplaySuspended,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingRetried,
)

HEX = "hex8_2p"
HOUR = 3600.0


def failure(ticket: str | None = None) -> TrainingFailed:
    ticket = ticket or fresh()
    return TrainingFailed(config=HEX, generation=1, ticket=ticket, reason="no memory", node="n")


def success() -> TrainingFinished:
    return TrainingFinished(
        config=HEX,
        generation=1,
        ticket=fresh(),
        model="a" * 64,
        steps=1,
        samples=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def suspended(seconds: float = HOUR) -> SelfplaySuspended:
    return SelfplaySuspended(
        config=HEX, failures=6, retry_seconds=seconds, why="w", settings_version=1
    )


def retried(number: int = 1) -> TrainingRetried:
    return TrainingRetried(config=HEX, retry=number, settings_version=1)


@pytest.fixture
def life(story, settings_changed):
    return story(suspension.DECIDER).given(settings_changed())


def test_six_failures_in_a_row_suspend_self_play_with_the_reason(life):
    for _ in range(5):
        life.when(failure()).then()
    (fact,) = life.when(failure()).then(SelfplaySuspended)
    assert (fact.failures, fact.why, fact.retry_seconds) == (6, "no memory", HOUR)
    life.when(failure()).then()  # the last attempt of the same training


def test_a_success_starts_the_count_again_and_an_outcome_counts_once(life):
    life.given(*(failure() for _ in range(5)), success())
    life.given(*(failure("same") for _ in range(9)))
    life.when(failure()).then()


def test_a_suspended_config_is_retried_ever_later_until_a_training_finishes(life):
    life.given(*(failure() for _ in range(6)))
    life.after(seconds=HOUR / 2).when(TickRecorded(minute=1)).then()
    life.after(seconds=HOUR / 2).when(TickRecorded(minute=2)).then(TrainingRetried)
    life.when(TickRecorded(minute=3)).then()
    (fact,) = life.when(failure()).then(SelfplaySuspended)
    assert fact.retry_seconds == 2 * HOUR
    life.after(seconds=2 * HOUR).when(TickRecorded(minute=4)).then(TrainingRetried)
    life.when(success()).then(SelfplayRestored)
    life.after(seconds=9 * HOUR).when(TickRecorded(minute=5)).then()


def test_tuning_by_a_person_retries_at_once(life):
    tuned = HyperparametersAdjusted(
        config=HEX, values={}, factors={}, why="by hand", settings_version=1
    )
    life.when(tuned).then()
    life.given(*(failure() for _ in range(6)))
    life.when(tuned).then(TrainingRetried)


def test_a_suspended_config_plans_no_games_until_it_is_restored(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(configs=()), suspended())
    life.when(settings_changed(version=2)).then()
    life.when(SelfplayRestored(config=HEX, settings_version=1)).then(SelfplayPlanned)


def test_a_retry_asks_for_one_training_on_the_samples_there_are(story, settings_changed):
    life = story(training.DECIDER).given(
        settings_changed(), loop_facts.planned(), loop_facts.played(), loop_facts.exported()
    )
    life.given(failure(), failure()).when(failure()).then()
    life.when(retried()).then(TrainingRequested)
    life.when(failure()).then()


def test_a_suspension_is_no_deadlock(story, settings_changed):
    life = story(deadlock.DECIDER).given(settings_changed(), loop_facts.planned())
    life.given(loop_facts.played(), loop_facts.requested(), failure(), suspended())
    for minute in range(60):
        life.after(seconds=60).when(TickRecorded(minute=minute)).then()
