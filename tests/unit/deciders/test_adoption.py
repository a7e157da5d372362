"""A config without a network begins with that of the other board of its kind."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import (
    SMALL,
    B,
    C,
    exported,
    planned,
    played,
    promoted,
    registered,
    rejected,
    scored,
)
from support.story import Story

from ringrift.deciders.loop import adoption, evaluation, promotion, retraction, selfplay, training
from ringrift.deciders.loop.verdict import ADOPTED_STARTS
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    ModelAdopted,
    ModelPromoted,
    ModelRolledBack,
    ModelTainted,
    NodeAssigned,
    PipelinePaused,
    PromotionRejected,
    SelfplayPlanned,
    SelfplaySuspended,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings

BOTH = ("hex8_2p", "hexagonal_2p")
OFF = TrainingSettings(adoption=False)


def large(fact: Any) -> Any:
    """The same fact of hexagonal_2p."""
    return replace(fact, config="hexagonal_2p")


def adopted(config: str = "hexagonal_2p", model: str = B) -> ModelAdopted:
    return ModelAdopted(
        config=config,
        model=model,
        origin="hex8_2p",
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        why="w",
        settings_version=1,
    )


def first_network() -> tuple[Any, ...]:
    """hex8_2p as far as its first promotion, which is the next fact."""
    return planned(), played(), exported(), registered(B)


def test_a_large_board_waits_for_the_network_of_the_small_one(story, settings_changed):
    life = story(selfplay.DECIDER)
    (plan,) = life.when(settings_changed(selfplay=SMALL, configs=BOTH)).then(SelfplayPlanned)
    assert plan.config == "hex8_2p"
    life.given(*first_network())
    (plan,) = life.when(promoted(B)).then(SelfplayPlanned)
    assert plan.config == "hex8_2p"
    life.when(adopted()).then()


def test_it_is_adopted_once_with_the_promotion(story, settings_changed):
    life = story(adoption.DECIDER)
    life.when(settings_changed(configs=BOTH)).then()
    life.given(*first_network())
    (fact,) = life.when(promoted(B)).then(ModelAdopted)
    known = registered(B)
    assert (fact.config, fact.origin, fact.model) == ("hexagonal_2p", "hex8_2p", B)
    assert (fact.architecture, fact.parameters) == (known.architecture, known.parameters)
    life.given(registered(C, generation=2)).when(promoted(C, generation=2)).then()
    life.when(large(rejected(B, generation=0, current=None))).then()
    assert life.restored() == life.state


def test_a_config_that_is_switched_on_later_adopts_at_once(story, settings_changed):
    for small, later in (("hex8_2p", "hexagonal_2p"), ("hexagonal_2p", "hex8_2p")):
        known = [replace(fact, config=small) for fact in (planned(), registered(B), promoted(B))]
        life = story(adoption.DECIDER).given(settings_changed(configs=(small,)), *known)
        on = settings_changed(version=2, configs=(small, later))
        (fact,) = life.when(on).then(ModelAdopted)
        assert (fact.config, fact.origin) == (later, small)
        life = story(selfplay.DECIDER).given(settings_changed(configs=(small,)), *known)
        life.when(on).then()  # its self-play waits for the trial


def test_a_network_that_was_withdrawn_is_offered_to_no_config(story, settings_changed):
    back = ModelRolledBack(
        config="hex8_2p", model=C, current=B, elo_drop=90.0, why="w", settings_version=1
    )
    tainted = ModelTainted(
        config="hex8_2p",
        model=C,
        generation=2,
        retraction="EVENTS/3",
        inherited=False,
        clean_ancestor=B,
    )
    for fact in (back, tainted):
        life = story(adoption.DECIDER).given(settings_changed(configs=("hex8_2p",)), planned())
        life.given(registered(B), promoted(B), registered(C, generation=2))
        life.given(promoted(C, generation=2), fact)
        life.when(settings_changed(version=2, configs=BOTH)).then()


def test_a_config_with_a_network_of_its_own_adopts_none(story, settings_changed):
    for own in (registered(C), adopted()):
        life = story(adoption.DECIDER).given(settings_changed(configs=BOTH), large(own))
        life.given(registered(B)).when(promoted(B)).then()


def test_nodes_of_a_fleet_play_games_of_the_heuristic_meanwhile(story, settings_changed):
    assigned = NodeAssigned(
        node="n", kinds=("selfplay",), why="w", ticket_seconds=60.0, settings_version=1
    )
    life = story(selfplay.DECIDER).given(assigned)
    life.when(settings_changed(configs=BOTH)).then(SelfplayPlanned, SelfplayPlanned)
    plan = life.decided[1]
    assert (plan.config, plan.model) == ("hexagonal_2p", None)
    # the network is put on trial all the same
    story(adoption.DECIDER).given(settings_changed(configs=BOTH), plan, registered(B)).when(
        promoted(B)
    ).then(ModelAdopted)


@pytest.mark.parametrize(
    "configs", [("hex8_2p", "hexagonal_3p"), ("hex8_2p", "square19_2p"), ("hexagonal_2p",)]
)
def test_others_begin_with_the_heuristic_at_once(story, settings_changed, configs):
    on = settings_changed(configs=configs)
    plans = story(selfplay.DECIDER).when(on).then(*[SelfplayPlanned] * len(configs))
    assert {plan.config for plan in plans} == {*configs}
    if "hex8_2p" in configs:
        story(adoption.DECIDER).given(on, registered(B)).when(promoted(B)).then()


@pytest.mark.parametrize("training", [OFF, TrainingSettings(init=(f"hexagonal_2p={C}",))])
def test_settings_turn_it_off(story, settings_changed, training):
    on = settings_changed(configs=BOTH, training=training)
    story(selfplay.DECIDER).when(on).then(SelfplayPlanned, SelfplayPlanned)
    story(adoption.DECIDER).given(on, registered(B)).when(promoted(B)).then()


@pytest.mark.parametrize(
    "hopeless",
    [
        rejected(B, generation=1, current=None),
        PipelinePaused(scope="hex8_2p", kind="selfplay", why="w"),
        SelfplaySuspended(
            config="hex8_2p", failures=3, retry_seconds=1.0, why="w", settings_version=1
        ),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_nobody_waits_for_a_network_that_may_never_come(story, settings_changed, hopeless):
    life = story(selfplay.DECIDER).given(settings_changed(configs=BOTH), registered(B))
    life.when(hopeless)
    assert "hexagonal_2p" in [plan.config for plan in life.decided]


def test_an_adopted_network_meets_the_heuristic_only(story, settings_changed):
    life = story(evaluation.DECIDER).given(settings_changed(configs=BOTH))
    (match,) = life.when(adopted()).then(EvaluationRequested)
    assert (match.config, match.purpose, match.starts) == (
        "hexagonal_2p",
        "heuristic",
        ADOPTED_STARTS,
    )
    assert match.candidate.model == B
    life.when(promoted(B)).then()


def test_it_becomes_current_above_its_fair_share(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(configs=BOTH), adopted())
    life.when(large(scored("random", 32, 0))).then()
    (fact,) = life.when(large(scored("heuristic", 12, 4))).then(ModelPromoted)
    assert (fact.config, fact.generation, fact.previous) == ("hexagonal_2p", 0, None)
    assert "of another config: scores 75.0% against heuristic" in fact.why
    assert fact.evidence.games == 32


def test_it_does_not_at_its_fair_share_or_if_its_match_fails(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(configs=BOTH), adopted())
    life.when(large(scored("heuristic", 9, 7))).then(PromotionRejected)
    failure = EvaluationFailed(
        config="hexagonal_2p",
        generation=0,
        ticket="t",
        node="n",
        candidate_model=B,
        purpose="heuristic",
        reason="r",
    )
    life = story(promotion.DECIDER).given(settings_changed(configs=BOTH), adopted())
    life.when(failure).then(PromotionRejected)


def test_its_first_generation_is_its_own_games(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL, configs=BOTH), *first_network(), promoted(B), adopted()
    )
    (plan,) = life.when(large(replace(promoted(B), generation=0))).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.model) == ("hexagonal_2p", 0, B)
    assert plan.games == SMALL.bootstrap_games
    life.given(large(played()))
    assert life.restored() == life.state


def test_games_of_the_heuristic_begin_if_it_is_rejected(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL, configs=BOTH), *first_network(), promoted(B), adopted()
    )
    (plan,) = life.when(large(rejected(B, generation=0, current=None))).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.model) == ("hexagonal_2p", 0, None)


@pytest.mark.parametrize("won", [True, False])
def test_the_first_training_starts_from_it(story: type[Story], settings_changed, won):
    trained = TrainingSettings(min_samples=1000, first_samples=2_000, window_samples=90_000)
    verdict = large(promoted(B) if won else rejected(B, generation=0, current=None))
    life = story(training.DECIDER).given(
        settings_changed(configs=BOTH, training=trained), adopted(), replace(verdict, generation=0)
    )
    life.given(large(planned()), large(played()))
    (fact,) = life.when(large(exported())).then(TrainingRequested)
    assert (fact.config, fact.parent) == ("hexagonal_2p", B)
    # as short as one from random weights
    assert fact.intensity * fact.samples * trained.epochs == pytest.approx(2_000, rel=0.01)


def test_networks_that_descend_from_it_know_it(story, settings_changed):
    life = story(retraction.DECIDER).given(adopted())
    assert life.state.configs["hexagonal_2p"].models[B].span is None
