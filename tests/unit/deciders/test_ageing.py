"""Requests that have waited for hours take precedence, by recorded ticks only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all, strategies as st
from support.story import Story

from ringrift.deciders.fleet import ageing
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    PipelinePaused,
    PipelineResumed,
    Ranking,
    SelfplayFinished,
    SelfplayPlanned,
    TickRecorded,
    TrainingFailed,
    TrainingRequested,
    TrainingTimedOut,
    WorkEscalated,
)
from ringrift.events.participants import seat
from ringrift.events.settings import SchedulingSettings

HEX = "hex8_2p"
TICK = TickRecorded(minute=1)
WAITING = ageing.Waiting(
    config=HEX, kind="selfplay", since=datetime(2026, 1, 1, tzinfo=UTC), tickets=6
)


def plan(games: int = 96) -> SelfplayPlanned:
    """Two tickets."""
    return SelfplayPlanned(
        config=HEX,
        generation=0,
        games=games,
        games_per_ticket=48,
        simulations=32,
        model=None,
        seed=1,
        settings_version=1,
    )


def played(ticket: str, games: int = 48) -> SelfplayFinished:
    return SelfplayFinished(
        config=HEX, generation=0, ticket=ticket, games=games, plies=1, play_seconds=1.0, node="n"
    )


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
MATCH = EvaluationRequested(
    config=HEX,
    generation=1,
    candidate=seat("heuristic"),
    opponent=seat("random"),
    purpose="random",
    round=0,
    starts=1,
    seed=1,
    settings_version=1,
)


@pytest.fixture
def old(story, settings_changed):
    return story(ageing.DECIDER).given(settings_changed())


def test_a_request_is_escalated_once_after_four_hours(old):
    old.given(plan())
    old.after(hours=3.9).when(TickRecorded(minute=1)).then()
    (fact,) = old.after(hours=0.2).when(TickRecorded(minute=2)).then(WorkEscalated)
    assert (fact.kind, fact.config, fact.request) == ("selfplay", HEX, "EVENTS/2")
    old.after(hours=1).when(TickRecorded(minute=3)).then()


def test_a_finished_request_does_not_age(old):
    old.given(plan(), played("selfplay-events-2-0"))
    assert old.state.waiting["selfplay-events-2"].done == ("selfplay-events-2-0",)
    old.given(played("selfplay-events-2-1"))
    old.after(hours=5).when(TickRecorded(minute=2)).then()


def test_a_request_that_is_worked_off_is_not_moved_to_the_front(old):
    old.given(plan(games=144)).after(hours=3).given(played("selfplay-events-2-0"))
    old.after(hours=2).when(TickRecorded(minute=1)).then()
    (fact,) = old.after(hours=2).when(TickRecorded(minute=2)).then(WorkEscalated)
    assert 4.0 <= fact.waited_seconds / 3600.0 < 4.1


def test_a_paused_request_waits_from_the_end_of_the_pause(old):
    old.given(plan(), PipelinePaused(scope="all", why="w"))
    old.after(hours=9).when(TickRecorded(minute=1)).then()
    old.given(PipelineResumed(scope="all", why="w"))
    old.after(hours=3).when(TickRecorded(minute=2)).then()
    old.after(hours=2).when(TickRecorded(minute=3)).then(WorkEscalated)


def test_time_passes_by_ticks_and_not_by_other_facts(old):
    old.given(plan())
    old.after(hours=9).when(played("other")).then()


def test_trainings_and_matches_age_too(old):
    old.given(ASKED, MATCH)
    found = old.after(hours=5).when(TICK).then(WorkEscalated, WorkEscalated)
    assert [(fact.kind, fact.request) for fact in found] == [
        ("training", "EVENTS/2"),
        ("evaluation", "EVENTS/3"),
    ]


@pytest.mark.parametrize(
    "outcome",
    [
        TrainingFailed(config=HEX, generation=1, ticket="training-events-2", reason="r", node="n"),
        TrainingTimedOut(
            config=HEX,
            generation=1,
            ticket="training-events-2",
            silent_seconds=7200.0,
            settings_version=1,
        ),
    ],
    ids=["failed", "killed"],
)
def test_a_failed_request_does_not_age(old, outcome):
    old.given(ASKED, outcome).after(hours=5).when(TICK).then()


def test_a_match_that_was_played_does_not_age(old):
    scored = EvaluationScored(
        config=HEX,
        generation=1,
        ticket="evaluation-events-2",
        candidate="a",
        candidate_model=None,
        opponent="b",
        purpose="random",
        round=0,
        games=2,
        wins=1.0,
        scores=((0.5, 1),),
        rankings=(
            Ranking(order=("a", "b"), ranks=(1, 2), count=1),
            Ranking(order=("b", "a"), ranks=(1, 2), count=1),
        ),
        play_seconds=1.0,
        node="n",
    )
    old.given(MATCH, scored).after(hours=5).when(TICK).then()


def test_only_old_requests_are_escalated(old):
    old.given(plan()).after(hours=3)
    old.given(ASKED).after(hours=2)
    (fact,) = old.when(TICK).then(WorkEscalated)
    assert fact.kind == "selfplay"


def test_a_pause_of_one_kind_leaves_the_others_waiting(old):
    old.given(plan(), ASKED, PipelinePaused(scope=HEX, kind="training", why="w"))
    (fact,) = old.after(hours=5).when(TICK).then(WorkEscalated)
    assert fact.kind == "selfplay"


def test_how_old_is_a_setting(story, settings_changed):
    soon = settings_changed(scheduling=SchedulingSettings(ageing_seconds=60.0))
    story(ageing.DECIDER).given(soon, ASKED).after(seconds=60).when(TICK).then(WorkEscalated)


@for_all(done=st.sets(st.integers(0, 5)))
def test_a_request_waits_until_its_last_ticket_is_done(done):
    life = Story(ageing.DECIDER, ageing.Ageing(waiting={"selfplay-events-2": WAITING}))
    life.given(*(played(f"selfplay-events-2-{number}") for number in done))
    assert bool(life.state.waiting) == (len(done) < 6)
