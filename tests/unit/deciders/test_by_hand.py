"""Networks that a person imports, promotes or rolls back: the loop goes on from them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.loop_facts import (
    CONFIG,
    SMALL,
    A,
    B,
    C,
    exported,
    played,
    promoted,
    registered,
    requested,
    scored,
)
from support.retraction_facts import S0, ready, shard

from ringrift.deciders.feedback import deadlock
from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.events.facts import (
    EvaluationRequested,
    Evidence,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    SelfplayPlanned,
    TrainingRequested,
)

IMPORTED = replace(registered(C, generation=0), ticket="import-c", source="net", why="a gift")
BACK = ModelRolledBack(
    config=CONFIG, model=C, current=B, elo_drop=0.0, why="by hand", settings_version=1
)

EVIDENCE = Evidence(
    llr=3.0, lower=-3.0, upper=3.0, starts=9, games=18, score=0.9, elo=99.0, elo_95_half_width=9.0
)


def by_hand(model: str, generation: int = 0, previous: str | None = None) -> ModelPromoted:
    return replace(promoted(model, generation, previous), evidence=None, why="by hand")


def test_an_imported_network_is_measured_against_the_incumbent(
    story: Any, settings_changed: Any
) -> None:
    life = story(evaluation.DECIDER).given(settings_changed(), registered(B), promoted(B))
    requests = life.when(IMPORTED).then(
        EvaluationRequested, EvaluationRequested, EvaluationRequested
    )
    assert [one.purpose for one in requests] == ["promotion", "random", "heuristic"]
    assert {one.candidate.model for one in requests} == {C}


def test_an_imported_network_that_wins_is_promoted(story: Any, settings_changed: Any) -> None:
    life = story(promotion.DECIDER).given(settings_changed(), registered(B), promoted(B), IMPORTED)
    (fact,) = life.when(scored("promotion", 70, 2, model=C)).then(ModelPromoted)
    assert (fact.model, fact.previous, fact.generation) == (C, B, 0)


def test_its_promotion_begins_no_generation_but_it_plays_the_next_plan(
    story: Any, settings_changed: Any
) -> None:
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL), played(), exported(), requested(), promoted(B)
    )
    life.when(by_hand(C, previous=B)).then()
    assert life.state.configs[CONFIG].generation == 1
    (plan,) = life.when(promoted(A, generation=2, previous=C)).then(SelfplayPlanned)
    assert (plan.generation, plan.model) == (2, A)


def test_a_candidate_on_trial_that_a_person_promotes_begins_its_generation(
    story: Any, settings_changed: Any
) -> None:
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL), played(), exported(), requested()
    )
    (plan,) = life.when(by_hand(B, generation=1)).then(SelfplayPlanned)
    assert (plan.generation, plan.model) == (1, B)


def test_results_of_a_candidate_that_a_person_promoted_are_ignored(
    story: Any, settings_changed: Any
) -> None:
    life = story(promotion.DECIDER).given(
        settings_changed(),
        registered(B),
        promoted(B),
        registered(C, generation=2),
        by_hand(C, 2, B),
    )
    life.when(scored("promotion", 60, 4, model=C)).then()
    assert life.state.configs[CONFIG].current == C


def test_the_other_candidates_start_again_against_it(story: Any, settings_changed: Any) -> None:
    life = story(evaluation.DECIDER).given(
        settings_changed(),
        registered(B),
        promoted(B),
        registered(A, generation=2),
        by_hand(C, 0, B),
    )
    assert life.state.configs[CONFIG].trials[A].rival == C


def test_trainings_go_on_from_a_network_promoted_by_hand(story: Any, settings_changed: Any) -> None:
    measured = replace(by_hand(C), evidence=EVIDENCE)
    for promotion_, parent in ((by_hand(C), C), (measured, None)):
        given = (*ready(settings_changed), IMPORTED, promotion_)
        (request,) = (
            story(training.DECIDER).given(*given).when(shard(0, S0)).then(TrainingRequested)
        )
        assert request.parent == parent


def test_after_a_rollback_by_hand_nothing_is_promoted_for_a_while(
    story: Any, settings_changed: Any
) -> None:
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), promoted(B), by_hand(C, 0, B), BACK
    )
    assert life.state.configs[CONFIG].current == B
    assert life.state.configs[CONFIG].rolled_back_at is not None


def test_an_imported_network_sets_no_generation_back(story: Any, settings_changed: Any) -> None:
    life = story(deadlock.DECIDER).given(settings_changed(), promoted(B, generation=3), by_hand(C))
    assert life.state.configs[CONFIG].generation == 3


def test_the_source_of_a_network_is_optional() -> None:
    assert isinstance(registered(B), ModelRegistered)
    assert (registered(B).source, registered(B).why) == ("", "")
