"""The outcome of a ticket counts once, however often a worker writes it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import A, B, planned, played, promoted, registered, scored

from ringrift.deciders.kit import TICKETS_MAX, noted
from ringrift.deciders.loop import evaluation, promotion, rating as elo, training
from ringrift.events.facts import EvaluationFailed, EvaluationRequested

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
