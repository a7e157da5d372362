"""Results that were retracted count neither in ratings, verdicts nor quality."""

from __future__ import annotations

from typing import Any

from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support.retraction_facts import CONFIG, S0, S1, A, B, registered, retracts, shard, tainted
from support.story import Story

from ringrift.deciders.feedback import quality
from ringrift.deciders.loop import evaluation, promotion, rating as elo
from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    QualityAssessed,
    Ranking,
    RatingsUpdated,
    ShardExported,
    ShardSummary,
    TickRecorded,
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


@for_all(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=8))
def test_ratings_equal_those_of_a_log_without_the_retracted_tickets(
    results: list[tuple[int, bool]],
) -> None:
    def rated(*facts: Fact) -> RatingsUpdated:
        return elo.table(Story(elo.DECIDER).given(*facts).state, CONFIG)

    facts = [(scored(f"t{number}", wins=wins), bad) for number, (wins, bad) in enumerate(results)]
    gone = [fact for fact, bad in facts if bad]
    rankings = elo.gathered(row for fact in gone for row in fact.rankings)
    fact = retracts(
        scored_tickets=tuple(one.ticket for one in gone),
        rankings=rankings,
        scored_games=8 * len(gone),
    )
    assert rated(*(one for one, _ in facts), fact) == rated(*(one for one, bad in facts if not bad))


def test_a_retraction_of_results_is_followed_by_a_new_table(story: Any) -> None:
    before = story(elo.DECIDER).given(scored("t1"), scored("t2", wins=2))
    before.when(
        retracts(scored_tickets=("t1",), rankings=scored("t1").rankings, scored_games=8)
    ).then(RatingsUpdated)
    assert before.decided[0].games == 8
    before.when(retracts()).then()


def test_a_result_scored_after_its_retraction_does_not_count(story: Any) -> None:
    late = story(elo.DECIDER).given(
        scored("t1"), retracts(unscored_tickets=("t2",)), scored("t2", wins=0)
    )
    assert elo.table(late.state, CONFIG) == elo.table(
        story(elo.DECIDER).given(scored("t1")).state, CONFIG
    )
    assert late.state.configs[CONFIG].left_out == ()


def test_a_candidate_whose_results_are_retracted_starts_again(
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
    assert judge.state.configs[CONFIG].candidates[A].results["n"].games == 8
    judge.given(retracts(scored_tickets=("t1",), candidates=(A,)))
    assert judge.state.configs[CONFIG].candidates[A].results == {}
    asking = story(evaluation.DECIDER).given(*given, match)
    again = asking.when(retracts(scored_tickets=("t1",), candidates=(A,))).decided
    assert {fact.purpose for fact in again if isinstance(fact, EvaluationRequested)} == {
        "random",
        "heuristic",
    }
    # the round requested meanwhile continues, and the next one after it
    nxt = asking.when(scored("t3", opponent=f"{B[:12]}:gumbel:s32")).decided
    assert [fact.purpose for fact in nxt] == ["promotion"]


def test_a_tainted_network_is_measured_again_once(story: Any, settings_changed: Any) -> None:
    asking = story(evaluation.DECIDER).given(settings_changed())
    first = asking.when(tainted(A)).then(EvaluationRequested, EvaluationRequested)
    assert [(fact.purpose, fact.round) for fact in first] == [("random", 1), ("heuristic", 1)]
    asking.when(TickRecorded(minute=1)).then()
    second = asking.when(tainted(A)).then(EvaluationRequested, EvaluationRequested)
    assert {fact.seed for fact in first}.isdisjoint(fact.seed for fact in second)


def test_quality_is_assessed_without_the_retracted_games(story: Any, settings_changed: Any) -> None:
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
