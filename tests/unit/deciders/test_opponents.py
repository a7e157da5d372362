"""Who plays against the current network in self-play."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, promoted, registered, rejected

from ringrift.deciders.loop import selfplay
from ringrift.events.facts import ModelRolledBack, SelfplayPlanned
from ringrift.events.settings import SelfplaySettings

SHARE = SelfplaySettings(past_share=0.25)


def planned(life, fact) -> SelfplayPlanned:
    (plan,) = life.when(fact).then(SelfplayPlanned)
    return plan


def test_the_heuristic_has_no_opponent(story, settings_changed):
    plan = planned(story(selfplay.DECIDER), settings_changed(selfplay=SHARE))
    assert (plan.opponents, plan.opponent_share) == ((), 0.0)


def test_earlier_incumbents_meet_the_current_network(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SHARE),
        replace(registered(A, 1), architecture="nnue"),
        promoted(A, 1),
    )
    life.given(registered(B, 2), promoted(B, 2, previous=A), registered(C, 3))
    plan = planned(life, promoted(C, 3, previous=B))
    assert plan.opponent_share == 0.25
    past, newer = plan.opponents
    assert (past.model, past.harness, past.evaluator) == (A, "minimax", "nnue")
    assert (newer.model, newer.harness, newer.evaluator) == (B, "gumbel", "network")
    assert (newer.simulations, newer.noise_plies) == (plan.simulations, 24)


@pytest.mark.parametrize(("config", "harness"), [(CONFIG, "minimax"), ("square8_3p", "maxn")])
def test_after_three_incumbents_the_heuristic_plays_by_another_search(
    story, settings_changed, config, harness
):
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=SHARE, configs=(config,)))
    for number, model in enumerate((A, B, C), 1):
        life.given(replace(promoted(model, number), config=config))
    plan = planned(life, replace(promoted("d" * 64, 4), config=config))
    assert [seat.model for seat in plan.opponents] == [A, B, C, None]
    assert plan.opponents[-1].harness == harness


def test_a_rejected_candidate_and_a_regression_are_no_opponents(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=SHARE), promoted(A, 1))
    plan = planned(life, rejected(B, generation=2, current=A))
    assert (plan.opponents, plan.opponent_share) == ((), 0.0)
    back = ModelRolledBack(
        config=CONFIG, model=C, current=A, elo_drop=200.0, why="w", settings_version=1
    )
    life.given(promoted(C, 3, previous=A), back)
    plan = planned(life, rejected(B, generation=4, current=A))
    assert (plan.model, plan.opponents) == (A, ())


def test_a_share_of_none_names_no_opponents(story, settings_changed):
    none = replace(SHARE, past_share=0.0)
    life = story(selfplay.DECIDER).given(settings_changed(selfplay=none), promoted(A, 1))
    assert planned(life, promoted(B, 2, previous=A)).opponents == ()
