"""Circles of waiting are found and broken, by recorded ticks only."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st

from ringrift.deciders.feedback import deadlock as waiting
from ringrift.deciders.loop import selfplay, training
from ringrift.events.facts import (
    DeadlockBroken,
    ModelRegistered,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import SchedulingSettings

HEX = "hex8_2p"
B = "b" * 64


def plan(games: int = 96, **changes) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=HEX,
        generation=0,
        games=games,
        games_per_ticket=48,
        simulations=32,
        model=None,
        seed=1,
        settings_version=1,
        **changes,
    )


def played(ticket: str = "t", games: int = 96, **changes) -> SelfplayFinished:
    fields = {"generation": 0, "plies": 1, "play_seconds": 1.0, "node": "n", **changes}
    return SelfplayFinished(config=HEX, ticket=ticket, games=games, **fields)


ASKED = TrainingRequested(
    config=HEX,
    generation=1,
    architecture="a",
    parent=None,
    shards=(),
    samples=1,
    seed=1,
    reason="r",
    settings_version=1,
)
FAILED = TrainingFailed(config=HEX, generation=1, ticket="training-events-3", reason="r", node="n")
STUCK = (plan(), played(), ASKED, FAILED)


def trained() -> TrainingFinished:
    return TrainingFinished(
        config=HEX,
        generation=1,
        ticket="training-events-3",
        model=B,
        steps=1,
        samples=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def quiet(life, minutes: int) -> None:
    """Minutes in which only the clock ticks."""
    for minute in range(minutes):
        life.after(seconds=59).given(TickRecorded(minute=minute))


@pytest.fixture
def life(story, settings_changed):
    return story(waiting.DECIDER).given(settings_changed())


def test_a_training_that_was_given_up_leaves_a_circle_which_is_broken(life):
    life.given(*STUCK)
    quiet(life, 15)
    (fact,) = life.after(seconds=59).when(TickRecorded(minute=99)).then(DeadlockBroken)
    assert fact.cycle == ("self-play", "training")
    assert fact.waited_seconds >= 900.0


def test_a_deadlock_is_broken_again_only_after_the_same_time(life):
    life.given(*STUCK)
    quiet(life, 16)
    life.after(seconds=59).when(TickRecorded(minute=17)).then()


def test_work_in_hand_is_no_circle(life):
    life.given(*STUCK, ASKED)
    quiet(life, 60)
    life.when(TickRecorded(minute=99)).then()


def test_spare_games_do_not_hide_a_circle(life):
    life.given(*STUCK, plan(spare=True))
    quiet(life, 15)
    life.after(seconds=59).when(TickRecorded(minute=99)).then(DeadlockBroken)


def test_waiting_for_a_shard_or_a_cool_down_is_no_circle(life):
    life.given(plan(), played())
    quiet(life, 60)
    life.when(TickRecorded(minute=99)).then()


def test_a_trial_without_a_match_is_a_circle(life):
    registered = ModelRegistered(
        config=HEX,
        model=B,
        generation=1,
        architecture="a",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )
    life.given(plan(), played(), ASKED, trained(), registered)
    quiet(life, 15)
    (fact,) = life.after(seconds=59).when(TickRecorded(minute=99)).then(DeadlockBroken)
    assert fact.cycle == ("evaluation", "verdict")


def test_a_verdict_ends_the_trial_and_with_it_the_circle(life):
    registered = ModelRegistered(
        config=HEX,
        model=B,
        generation=1,
        architecture="a",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )
    life.given(plan(), played(), ASKED, trained(), registered)
    life.given(
        PromotionRejected(
            config=HEX,
            generation=1,
            model=B,
            current=None,
            evidence=None,
            why="w",
            settings_version=1,
        )
    )
    life.given(plan())
    quiet(life, 60)
    life.when(TickRecorded(minute=99)).then()


def test_how_long_a_circle_may_last_is_a_setting(story, settings_changed):
    patient = settings_changed(scheduling=SchedulingSettings(deadlock_seconds=3600.0))
    life = story(waiting.DECIDER).given(patient, *STUCK)
    quiet(life, 55)
    life.when(TickRecorded(minute=99)).then()


def test_a_pause_is_no_circle_and_neither_is_a_loop_that_has_ended(story, settings_changed):
    life = story(waiting.DECIDER).given(
        settings_changed(), *STUCK, PipelinePaused(scope=HEX, kind="training", why="w")
    )
    quiet(life, 60)
    life.when(TickRecorded(minute=99)).then()
    life.given(PipelineResumed(scope=HEX, kind="training", why="w")).when(
        TickRecorded(minute=100)
    ).then()


def test_hours_without_a_coordinator_do_not_count(life):
    life.given(*STUCK, TickRecorded(minute=0))
    life.after(hours=10).when(TickRecorded(minute=600)).then()


def test_a_broken_circle_plays_other_games_and_trains_again(story, settings_changed):
    broken = DeadlockBroken(
        config=HEX, cycle=("self-play", "training"), waited_seconds=900.0, settings_version=1
    )
    play = story(selfplay.DECIDER).when(settings_changed())
    (first,) = play.then(SelfplayPlanned)
    play.given(played(games=first.games), ASKED)
    (second,) = play.when(broken).then(SelfplayPlanned)
    assert (second.generation, second.seed == first.seed) == (first.generation, False)
    learn = story(training.DECIDER).given(
        settings_changed(), plan(), played(), ASKED, FAILED, FAILED, FAILED, broken
    )
    item = learn.state.configs[HEX]
    assert (item.attempts.count, item.attempts.failed, item.trained) == (0, False, -1)


@for_all(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdefg")))
def test_exactly_the_circles_are_found(waits):
    found = waiting.circle(waits)
    if found:
        assert all(
            waits[name] == following
            for name, following in zip(found, (*found[1:], found[0]), strict=True)
        )
    else:
        for start in waits:
            name, steps = start, 0
            while name in waits:
                name, steps = waits[name], steps + 1
                assert steps <= len(waits), "there was a circle"
