"""The outcome of a ticket counts once, however often a worker writes it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import (
    A,
    B,
    finished,
    planned,
    played,
    promoted,
    registered,
    requested,
    scored,
)

from ringrift.deciders.feedback import deadlock, scheduling
from ringrift.deciders.fleet import ageing, assignment
from ringrift.deciders.kit import TICKETS_MAX, noted
from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events.facts import EvaluationFailed, EvaluationRequested, TrainingFailed
from ringrift.events.tickets import request_of, tickets_of

SCORE = scored("promotion", 10, 8, model=A)
FAILED = EvaluationFailed(
    config=SCORE.config,
    generation=1,
    ticket=SCORE.ticket,
    candidate_model=A,
    purpose="promotion",
    reason="r",
    node="n",
)

TRAINING_FAILED = TrainingFailed(
    config=SCORE.config, generation=1, ticket="t", node="n", reason="r"
)
REQUEST = request_of(tickets_of(planned(games=128), "EVENTS/2")[0].ticket)
"""the second fact of a story"""


@pytest.mark.parametrize("decider", [elo.DECIDER, promotion.DECIDER, training.DECIDER])
@pytest.mark.parametrize("again", [SCORE, replace(SCORE, node="other", play_seconds=9.0)])
def test_a_score_counts_once(decider, again, story, settings_changed):
    life = story(decider).given(settings_changed(), registered(B), promoted(B), registered(A))
    once = life.given(SCORE).state
    assert life.given(again).state == once


def test_self_play_counts_once(story, settings_changed):
    life = story(training.DECIDER).given(settings_changed(), planned(games=128))
    done = played()
    once = life.given(done).state
    assert life.given(done).state == once


@pytest.mark.parametrize(
    "decider",
    [deadlock.DECIDER, scheduling.DECIDER, ageing.DECIDER, assignment.DECIDER, selfplay.DECIDER],
)
def test_self_play_counts_once_for_feedback_and_fleet(decider, story, settings_changed):
    life = story(decider).given(settings_changed(), planned(games=128))
    done = replace(played(), ticket=f"{REQUEST}-0")
    once = life.given(done).state
    assert life.given(replace(done, node="other")).state == once


@pytest.mark.parametrize("again", [finished(), TRAINING_FAILED])
def test_a_training_counts_once(again, story, settings_changed):
    life = story(deadlock.DECIDER).given(settings_changed(), requested(), requested(2))
    done = replace(finished(), ticket="t")
    once = life.given(done).state
    assert once.configs[done.config].trainings == 1
    assert life.given(replace(again, ticket="t")).state == once


@pytest.mark.parametrize("again", [SCORE, FAILED])
def test_an_evaluation_is_answered_once(again, story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    life.when(registered(A)).then(*[EvaluationRequested] * 3)
    life.given(SCORE)
    assert (life.state.waiting, life.state.configs[SCORE.config].trials[A].answered) == (5, 1)
    life.when(again).then()
    assert (life.state.waiting, life.state.configs[SCORE.config].trials[A].answered) == (5, 1)


def test_the_newest_tickets_are_remembered():
    tickets = ()
    for number in range(TICKETS_MAX + 5):
        tickets = noted(tickets, f"t{number}")
    assert (len(tickets), tickets[0]) == (TICKETS_MAX, "t5")
