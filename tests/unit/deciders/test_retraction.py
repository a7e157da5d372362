"""Retracted games are excluded from ratings and training, and the networks that learned from them
are reported and evaluated again."""

from __future__ import annotations

from typing import Any

from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec.structs import replace
from support.story import Story

from ringrift.deciders.feedback import quality
from ringrift.deciders.loop import evaluation, promotion, retention, retraction, training
from ringrift.deciders.loop import rating as elo
from ringrift.deciders.loop.retraction import covers
from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GameCompleted,
    GamesRetracted,
    HyperparametersAdjusted,
    ModelPromoted,
    ModelRegistered,
    ModelTainted,
    QualityAssessed,
    Ranking,
    RatingsUpdated,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    ShardRetired,
    ShardSummary,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings

CONFIG = "hex8_2p"
A, B, C, D = (letter * 64 for letter in "abcd")
S0, S1, S2 = (f"{number}" * 64 for number in "012")


def shard(
    index: int,
    digest: str,
    *,
    supersedes: str | None = None,
    retracted: int = 0,
    samples: int = 3000,
) -> ShardExported:
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=index,
        first_seq=1 + 64 * index,
        last_seq=64 + 64 * index,
        games=64,
        samples=samples,
        rejected=0,
        digest=digest,
        size_bytes=1,
        supersedes=supersedes,
        retracted=retracted,
    )


def requested(*shards: str, generation: int = 1) -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG,
        generation=generation,
        architecture="v2-micro",
        parent=None,
        shards=shards,
        samples=1,
        seed=1,
        reason="r",
        settings_version=1,
    )


def registered(
    model: str, *parents: str, generation: int = 1, architecture: str = "v2-micro"
) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=generation,
        architecture=architecture,
        encoder="e",
        parameters=1,
        parents=parents,
        ticket="t",
    )


def retracts(**changes: Any) -> GamesRetracted:
    return GamesRetracted(
        **{
            "config": CONFIG,
            "first_seq": 1,
            "last_seq": 64,
            "count": 3,
            "why": "bad disk",
            **changes,
        }
    )


def scored(
    ticket: str,
    *,
    model: str = A,
    wins: int = 5,
    purpose: Any = "promotion",
    opponent: str = "baseline:random:s0",
) -> EvaluationScored:
    names = (f"{model[:12]}:gumbel:s32", opponent)
    rankings = (
        Ranking(order=names, ranks=(1, 2), count=wins),
        Ranking(order=names[::-1], ranks=(1, 2), count=8 - wins),
    )
    return EvaluationScored(
        config=CONFIG,
        generation=1,
        ticket=ticket,
        candidate=names[0],
        candidate_model=model,
        opponent=opponent,
        purpose=purpose,
        round=0,
        games=8,
        wins=wins,
        scores=((0.5, 4),),
        rankings=tuple(row for row in rankings if row.count),
        play_seconds=1.0,
        node="n",
    )


class Log:
    """Feeds the decider events that have causes; its decisions are folded at theirs."""

    def __init__(self) -> None:
        self.story = Story(retraction.DECIDER)

    def put(self, event: Fact, cause: str | None = None) -> tuple[Fact, ...]:
        self.position = f"EVENTS/{self.story.seq + 1}"
        return self.story.when(event, cause).decided

    @property
    def state(self) -> Any:
        return self.story.state

    def train(self, model: str, *shards: str, parents: tuple[str, ...] = ()) -> tuple[Fact, ...]:
        self.put(requested(*shards))
        return self.put(registered(model, *parents), self.position)


def names(facts: tuple[Fact, ...]) -> list[tuple[str, bool, str | None]]:
    return [
        (fact.model, fact.inherited, fact.clean_ancestor)
        for fact in facts
        if isinstance(fact, ModelTainted)
    ]


def three_networks() -> Log:
    """A saw the first shard, B began from A and saw the second, C began from nothing and saw the
    second."""
    log = Log()
    log.put(shard(0, S0))
    log.train(A, S0)
    log.put(shard(1, S1))
    log.train(B, S1, parents=(A,))
    log.train(C, S1)
    return log


def test_who_saw_the_shard_is_tainted_and_who_came_from_it_too() -> None:
    log = three_networks()
    assert names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")) == [
        (A, False, None),
        (B, True, None),
    ]


def test_another_shard_of_the_same_retraction_taints_nobody_twice() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert names(log.put(shard(1, D, supersedes=S1, retracted=1), "EVENTS/90")) == [
        (C, False, None)
    ]


def test_a_later_retraction_taints_again() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert [
        model for model, *_ in names(log.put(shard(0, D, supersedes=S2, retracted=4), "EVENTS/95"))
    ] == [A, B]


def test_the_nearest_clean_ancestor_is_named() -> None:
    log = three_networks()
    assert names(log.put(shard(1, S2, supersedes=S1, retracted=3), "EVENTS/90")) == [
        (B, False, A),
        (C, False, None),
    ]


def test_a_shard_with_new_targets_taints_nobody() -> None:
    assert three_networks().put(shard(0, S2, supersedes=S0), "EVENTS/90") == ()


def test_a_network_in_training_is_tainted_when_it_comes() -> None:
    log = three_networks()
    log.put(requested(S0, S1))
    position = log.position
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert names(log.put(registered(D), position)) == [(D, False, None)]


def test_a_network_trained_afterwards_is_clean_unless_its_start_is_not() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert log.train("e" * 64, S2, S1, parents=(C,)) == ()
    assert names(log.train(D, S2, S1, parents=(A,))) == [(D, True, None)]


def test_a_network_trained_on_other_games_is_clean() -> None:
    log = three_networks()
    assert C not in {
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    }


def test_a_network_that_was_registered_for_no_training_of_ours_is_not_judged() -> None:
    log = three_networks()
    log.put(registered(D), "EVENTS/77")
    assert D not in {
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    }


def test_a_shard_that_was_retired_still_taints_who_saw_it() -> None:
    log = three_networks()
    log.put(ShardRetired(config=CONFIG, digest=S0, index=0, why="w", settings_version=1))
    assert [
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    ] == [A, B]


def test_configs_are_tainted_apart() -> None:
    other = replace(shard(0, S2, supersedes=S0, retracted=3), config="square8_2p")
    assert three_networks().put(other, "EVENTS/90") == ()


def test_what_a_retraction_covers() -> None:
    seat = Seat(participant="x", harness="gumbel", simulations=1, model=A)
    game = GameCompleted(
        game="g1",
        config=CONFIG,
        origin="selfplay",
        ticket="t",
        seats=(seat, seat),
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="r",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=b"",
        rules_version=1,
        play_seconds=0.0,
        node="n1",
        settings_version=1,
    )
    assert covers(retracts(), game, 64)
    assert not covers(retracts(), game, 65)
    assert covers(retracts(node="n1", model=A, games=("g1",)), game, 1)
    for other in ({"node": "n2"}, {"model": B}, {"games": ("g2",)}, {"config": "hex8_3p"}):
        assert not covers(retracts(**other), game, 1)


@for_all(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=8))
def test_ratings_are_those_of_a_log_without_the_retracted_tickets(
    results: list[tuple[int, bool]],
) -> None:
    def rated(*facts: Fact) -> RatingsUpdated:
        return elo.table(Story(elo.DECIDER).given(*facts).state, CONFIG)

    facts = [(scored(f"t{number}", wins=wins), bad) for number, (wins, bad) in enumerate(results)]
    gone = [fact for fact, bad in facts if bad]
    rankings: tuple[Ranking, ...] = ()
    for fact in gone:
        rankings = elo.added(rankings, fact.rankings)
    fact = retracts(
        scored_tickets=tuple(one.ticket for one in gone),
        rankings=rankings,
        scored_games=8 * len(gone),
    )
    assert rated(*(one for one, _ in facts), fact) == rated(*(one for one, bad in facts if not bad))


def test_a_new_table_follows_a_retraction_that_took_results_back(story: Any) -> None:
    before = story(elo.DECIDER).given(scored("t1"), scored("t2", wins=2))
    before.when(
        retracts(scored_tickets=("t1",), rankings=scored("t1").rankings, scored_games=8)
    ).then(RatingsUpdated)
    assert before.decided[0].games == 8
    before.when(retracts()).then()


def test_a_result_that_comes_after_its_retraction_does_not_count(story: Any) -> None:
    late = story(elo.DECIDER).given(
        scored("t1"), retracts(unscored_tickets=("t2",)), scored("t2", wins=0)
    )
    assert elo.table(late.state, CONFIG) == elo.table(
        story(elo.DECIDER).given(scored("t1")).state, CONFIG
    )
    assert late.state.configs[CONFIG].left_out == ()


def test_a_candidate_whose_results_are_retracted_begins_again(
    story: Any, settings_changed: Any
) -> None:
    given = (
        settings_changed(),
        ModelPromoted(
            config=CONFIG,
            generation=1,
            model=B,
            previous=None,
            evidence=None,
            why="",
            settings_version=1,
        ),
        registered(A, generation=2),
    )
    match = scored("t1", opponent=f"{B[:12]}:gumbel:s32")
    judge = story(promotion.DECIDER).given(*given, match)
    assert judge.state.configs[CONFIG].candidates[A].games == 8
    judge.given(retracts(scored_tickets=("t1",), candidates=(A,)))
    assert judge.state.configs[CONFIG].candidates[A].games == 0
    asking = story(evaluation.DECIDER).given(*given, match)
    again = asking.when(retracts(scored_tickets=("t1",), candidates=(A,))).decided
    assert {fact.purpose for fact in again if isinstance(fact, EvaluationRequested)} == {
        "random",
        "heuristic",
    }
    # the round that was asked for meanwhile goes on, and the next one after it
    nxt = asking.when(scored("t3", opponent=f"{B[:12]}:gumbel:s32")).decided
    assert [fact.purpose for fact in nxt] == ["promotion"]


def tainted(model: str, clean_ancestor: str | None = None) -> ModelTainted:
    return ModelTainted(
        config=CONFIG,
        model=model,
        generation=1,
        retraction="EVENTS/5",
        inherited=False,
        clean_ancestor=clean_ancestor,
    )


def test_a_tainted_network_is_measured_again_once(story: Any, settings_changed: Any) -> None:
    asking = story(evaluation.DECIDER).given(settings_changed())
    first = asking.when(tainted(A)).then(EvaluationRequested, EvaluationRequested)
    assert [(fact.purpose, fact.round) for fact in first] == [("random", 1), ("heuristic", 1)]
    asking.when(TickRecorded(minute=1)).then()
    second = asking.when(tainted(A)).then(EvaluationRequested, EvaluationRequested)
    assert {fact.seed for fact in first}.isdisjoint(fact.seed for fact in second)


def ready(settings_changed: Any, games: int = 64, **settings: Any) -> tuple[Fact, ...]:
    """What makes a training due but the shards of so many games."""
    plan = SelfplayPlanned(
        config=CONFIG,
        generation=0,
        games=games,
        games_per_ticket=64,
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
    )
    done = SelfplayFinished(
        config=CONFIG, generation=0, ticket="t", games=games, plies=1, play_seconds=1.0, node="n"
    )
    return settings_changed(training=TrainingSettings(min_samples=100, **settings)), plan, done


def finished(model: str) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket="t",
        model=model,
        steps=1,
        samples=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def test_the_next_window_has_the_shard_without_the_games_and_a_clean_start(
    story: Any, settings_changed: Any
) -> None:
    planner = story(training.DECIDER).given(
        *ready(settings_changed, 128), shard(0, S0), registered(A), finished(A)
    )
    planner.given(
        shard(0, S2, supersedes=S0, retracted=3, samples=2000), tainted(A, clean_ancestor=B)
    )
    (request,) = planner.when(shard(1, S1)).then(TrainingRequested)
    assert (request.shards, request.parent, request.samples) == ((S2, S1), B, 5000)


def test_a_shard_of_which_nothing_is_left_leaves_the_window(
    story: Any, settings_changed: Any
) -> None:
    planner = story(training.DECIDER).given(*ready(settings_changed), shard(0, S0))
    planner.given(finished(A), shard(0, S2, supersedes=S0, retracted=64, samples=0))
    assert planner.state.configs[CONFIG].window.shards == ()
    assert planner.state.configs[CONFIG].progress.games_exported == 64


def test_hyperparameters_reach_every_request_from_the_next_on(
    story: Any, settings_changed: Any
) -> None:
    values = {"training.learning_rate": "0.01"}
    adjusted = HyperparametersAdjusted(config=CONFIG, values=values, why="w", settings_version=1)
    (request,) = (
        story(training.DECIDER)
        .given(*ready(settings_changed), adjusted)
        .when(shard(0, S0))
        .then(TrainingRequested)
    )
    assert request.hyperparameters == values


def test_shards_of_better_quality_weigh_more_where_that_is_set(
    story: Any, settings_changed: Any
) -> None:
    def assessed(digest: str, adjusted: float) -> QualityAssessed:
        return QualityAssessed(
            config=CONFIG,
            shard=digest,
            games=64,
            score=0.5,
            confidence=1.0,
            adjusted=adjusted,
            components={},
            settings_version=1,
        )

    for power, expected in ((0.0, ()), (1.0, (1.2, 0.8))):
        given = (
            *ready(settings_changed, 128, shard_quality_power=power),
            shard(0, S0),
            assessed(S0, 0.9),
            assessed(S1, 0.6),
        )
        (request,) = (
            story(training.DECIDER).given(*given).when(shard(1, S1)).then(TrainingRequested)
        )
        assert request.shard_weights == expected


def test_a_promotion_makes_the_next_training_that_of_the_taught_architecture(
    story: Any, settings_changed: Any
) -> None:
    promoted = ModelPromoted(
        config=CONFIG,
        generation=1,
        model=A,
        previous=None,
        evidence=None,
        why="",
        settings_version=1,
    )
    for cascade, expected in (((), ("v2-micro", None)), (("v2-micro>v2",), ("v2", A))):
        given = (*ready(settings_changed, cascade=cascade), registered(A), promoted)
        planner = story(training.DECIDER).given(*given)
        (request,) = planner.when(shard(0, S0)).then(TrainingRequested)
        assert (request.architecture, request.teacher) == expected
        assert planner.state.configs[CONFIG].lineage.cascade is None


def test_shards_out_of_reach_are_retired_on_the_tick_but_not_under_a_training(
    story: Any, settings_changed: Any
) -> None:
    keeper = story(retention.DECIDER).given(
        settings_changed(training=TrainingSettings(window_samples=3000)),
        shard(0, S0),
        requested(S0),
        shard(1, S1),
        shard(2, S2),
    )
    keeper.when(TickRecorded(minute=1)).then()
    keeper.given(finished(A)).when(TickRecorded(minute=2)).then(ShardRetired)
    assert keeper.decided[0].digest == S0
    keeper.when(TickRecorded(minute=3)).then()


def test_quality_is_judged_without_the_retracted_games(story: Any, settings_changed: Any) -> None:
    def summed(fact: ShardExported, wins: int) -> ShardExported:
        summary = ShardSummary(
            games=64,
            wins=(wins, 0),
            plies=64,
            plies_squared=64,
            openings=64,
            participants=("p",),
            decisions=64,
            agreed=64,
        )
        return replace(fact, summary=summary)

    judge = story(quality.DECIDER).given(settings_changed(), summed(shard(0, S0), 0))
    judge.when(summed(shard(0, S1, supersedes=S0, retracted=1), 64))
    assert len(judge.state.configs[CONFIG].window) == 1
    (assessed, *_) = judge.decided
    assert isinstance(assessed, QualityAssessed)
    assert assessed.components["decisive"] == 1.0
