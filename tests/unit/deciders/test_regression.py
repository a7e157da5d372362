"""Regressions: levels that only rise, a bound to clear them, and the rollback of a critical one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support.loop_facts import fresh
from support.ratings import table, trial
from support.story import Story

from ringrift.deciders.feedback.regression import DECIDER, SEVERITIES, level_of
from ringrift.deciders.loop import evaluation, promotion, rating, selfplay, training
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GamesRetracted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    PromotionRejected,
    Ranking,
    Rating,
    RatingsUpdated,
    RegressionCleared,
    RegressionDetected,
    SelfplayPlanned,
)
from ringrift.events.settings import RegressionSettings
from ringrift.events.settings.trust import TrustSettings

CONFIG = "hex8_2p"
B, C, D, E = "b" * 64, "c" * 64, "d" * 64, "e" * 64


def promoted(model: str, config: str = CONFIG) -> ModelPromoted:
    return ModelPromoted(
        config=config,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rated(
    games: int = 200, error: float = 8.0, config: str = CONFIG, **elo: float
) -> RatingsUpdated:
    named = {trial(name): value for name, value in elo.items()}
    newest = trial(max(elo))  # networks become current in the order of their letters
    return table(named, config=config, error=error, games=games, current=newest)


def detected(severity="critical", model: str = C, good: str = B) -> RegressionDetected:
    return RegressionDetected(
        config=CONFIG,
        severity=severity,
        model=model,
        best=B,
        rollback_to=good,
        elo_drop=160.0,
        standard_error=10.0,
        settings_version=1,
    )


def rolled_back() -> ModelRolledBack:
    return ModelRolledBack(
        config=CONFIG, model=C, current=B, elo_drop=160.0, why="w", settings_version=1
    )


def registered(model: str) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=3,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )


def scored(
    wins: int, losses: int, opponent: str, model: str = D, node: str = "n"
) -> EvaluationScored:
    starts = tuple((score, count) for score, count in ((0.0, losses), (1.0, wins)) if count)
    me = f"{model[:12]}:gumbel:s32"
    other = opponent if ":" in opponent else f"{opponent[:12]}:gumbel:s32"
    return EvaluationScored(
        config=CONFIG,
        generation=3,
        ticket=fresh(),
        candidate=me,
        candidate_model=model,
        opponent=other,
        purpose="promotion",
        round=0,
        games=2 * (wins + losses),
        wins=2.0 * wins,
        scores=starts,
        rankings=tuple(
            Ranking(order=order, ranks=(1, 2), count=2 * count)
            for order, count in (((me, other), wins), ((other, me), losses))
            if count
        ),
        play_seconds=1.0,
        node=node,
    )


@pytest.fixture
def life(story, settings_changed):
    return story(DECIDER).given(settings_changed(), promoted(B), promoted(C))


def test_a_network_that_was_measured_with_smaller_budgets_too_is_not_weaker_for_it(life):
    """As by a ladder, a gauntlet or the tiers."""
    table, ways = rated(b=100, c=120), ("gumbel:s8", "minimax:s32", "policy:s0")
    weak = [Rating(participant=f"{'c' * 12}:{way}", elo=-300.0, se=8.0, games=300) for way in ways]
    life.when(msgspec.structs.replace(table, ratings=(*table.ratings, *weak))).then()


@pytest.mark.parametrize(("drop", "severity"), [(30, "minor"), (75, "major"), (150, "critical")])
def test_a_weaker_network_is_a_regression(life, drop, severity):
    (fact,) = life.when(rated(b=100, c=100 - drop)).then(RegressionDetected)
    assert (fact.severity, fact.model, fact.best, fact.rollback_to, fact.elo_drop) == (
        severity,
        C,
        B,
        B,
        drop,
    )


def test_a_small_drop_is_none(life):
    life.when(rated(b=100, c=75)).then()


def test_a_drop_within_its_error_is_none(life):
    life.when(rated(error=60, b=100, c=20)).then()


def test_a_table_of_another_incumbent_measures_nothing(life):
    """Its errors are those of the difference to that one."""
    life.when(replace(rated(b=300, c=0), current=trial("b"))).then()


def test_few_games_prove_nothing(life):
    life.when(rated(games=90, b=300, c=0)).then()


def test_a_first_network_cannot_regress(story, settings_changed):
    story(DECIDER).given(settings_changed(), promoted(B)).when(rated(b=-500, c=100)).then()


def test_a_regression_is_reported_again_only_when_its_severity_rises(life):
    life.when(rated(b=100, c=60)).then(RegressionDetected)
    life.when(rated(b=100, c=65)).then()
    (fact,) = life.when(rated(b=100, c=20)).then(RegressionDetected)
    assert fact.severity == "major"
    life.when(rated(b=100, c=60)).then()


def test_a_regression_is_cleared_below_half_the_lowest_threshold(life):
    life.given(rated(b=100, c=60))
    life.when(rated(b=100, c=80)).then()
    life.when(rated(b=100, c=86)).then(RegressionCleared)
    life.when(rated(b=100, c=86)).then()


def test_a_promotion_clears_it(life):
    (fact,) = life.given(rated(b=100, c=60)).when(promoted(D)).then(RegressionCleared)
    assert fact.model == C


def test_a_rollback_clears_it_and_the_good_network_is_measured_against_older_ones(life):
    life.given(rated(b=100, c=-100)).when(rolled_back()).then(RegressionCleared)
    life.when(rated(b=100, c=-100)).then()


def test_the_good_network_is_the_newest_that_is_no_regression_itself(story, settings_changed):
    life = story(DECIDER).given(settings_changed(), *map(promoted, (B, C, D, E)))
    (fact,) = life.when(rated(b=100, c=90, d=20, e=-80)).then(RegressionDetected)
    assert (fact.best, fact.rollback_to) == (B, C)


def test_configs_are_independent(life):
    life.when(rated(config="square8_2p", b=300, c=0)).then()


def test_the_state_survives_json(life):
    life.given(rated(b=100, c=60))
    assert life.restored() == life.state


HEURISTIC_SEAT = "baseline:heuristic:s0"


def measured(story, settings_changed, results: dict[str, tuple[int, int]]) -> list:
    """What follows from matches of the current network C against B, as wins and losses of each
    node, all of which found B even with the heuristic."""
    life, rater = story(DECIDER), story(rating.DECIDER)
    even = scored(30, 30, HEURISTIC_SEAT, model=B, node="n0")
    facts = [settings_changed(), promoted(B), promoted(C), even]
    facts += [scored(*result, B, model=C, node=node) for node, result in results.items()]
    for one in (life, rater):
        one.given(*facts[:-1])
    (table,) = rater.when(facts[-1]).then(RatingsUpdated)
    return life.given(facts[-1]).when(table).decided


LIE, EVEN, WEAK = (0, 300), (40, 40), (10, 70)


def test_one_of_four_nodes_cannot_invent_a_regression(story, settings_changed):
    nodes = {"n1": EVEN, "n2": EVEN, "n3": EVEN, "n4": EVEN}
    assert measured(story, settings_changed, nodes) == ()
    assert measured(story, settings_changed, nodes | {"n3": LIE}) == ()


def test_fewer_nodes_are_believed_and_a_regression_says_so(story, settings_changed):
    (fact,) = measured(story, settings_changed, {"n1": EVEN, "n2": LIE})
    assert (fact.severity, fact.liars_max) == ("critical", 0)


def test_what_all_nodes_measured_is_a_regression_without_any_of_them(story, settings_changed):
    (fact,) = measured(story, settings_changed, {"n1": WEAK, "n2": WEAK, "n3": WEAK, "n4": WEAK})
    assert (fact.severity, fact.model, fact.best, fact.liars_max) == ("critical", C, B, 1)


def test_a_lie_does_not_raise_a_severity(story, settings_changed):
    slightly = (36, 44)
    nodes = dict.fromkeys(("n1", "n2", "n3", "n4", "n5", "n6"), slightly)
    (fact,) = measured(story, settings_changed, nodes | {"n7": LIE})
    assert fact.severity == "minor"


def test_retracted_games_of_a_node_count_for_nothing(story, settings_changed):
    lie = scored(*LIE, B, model=C, node="n3")
    life = story(DECIDER).given(settings_changed(), promoted(B), promoted(C), lie)
    gone = GamesRetracted(
        config=CONFIG,
        node="n3",
        first_seq=1,
        last_seq=9,
        count=600,
        rankings=lie.rankings,
        scored_games=600,
        why="w",
    )
    assert life.state.configs[CONFIG].by_node.nodes["n3"]
    life.given(gone)
    assert life.state.configs[CONFIG].by_node.nodes == {"n3": {}}
    assert life.state.configs[CONFIG].by_node.whole.rankings == {}


@for_all(drops=st.lists(st.floats(-50, 300), max_size=30))
def test_levels_do_not_flap(drops):
    """Between two detections of the same level there is a clearing."""
    life, level = Story(DECIDER), None
    for event in (promoted(B), promoted(C), *(rated(b=100, c=100 - drop) for drop in drops)):
        for fact in life.when(event).decided:
            if isinstance(fact, RegressionDetected):
                assert level is None or SEVERITIES.index(fact.severity) > SEVERITIES.index(level)
                level = fact.severity
            else:
                level = None


@for_all(drop=st.floats(0, 500), error=st.floats(0, 200))
def test_no_level_within_the_error(drop, error):
    assert level_of(drop, error, RegressionSettings()) is None or drop >= 2 * error


# effects of a critical regression


@pytest.fixture
def promoter(story, settings_changed):
    return story(promotion.DECIDER).given(settings_changed(), promoted(B), promoted(C))


def test_a_critical_regression_is_rolled_back(promoter):
    (fact,) = promoter.when(detected()).then(ModelRolledBack)
    assert (fact.model, fact.current) == (C, B)
    assert fact.why.endswith("; unattested: fewer than 4 evaluators")
    promoter.when(detected()).then()


def test_with_certificates_nothing_is_rolled_back_on_the_word_of_one(story, settings_changed):
    required = settings_changed(trust=TrustSettings(required=True))
    promoter = story(promotion.DECIDER).given(required, promoted(B), promoted(C))
    promoter.when(detected()).then()
    (fact,) = promoter.when(replace(detected(), liars_max=1)).then(ModelRolledBack)
    assert fact.why.endswith("; so without any 1 of the evaluators")


def test_a_lesser_one_and_one_of_another_network_are_not(promoter):
    promoter.when(detected("major")).then()
    promoter.when(detected(model=D)).then()


def test_nothing_is_promoted_during_the_cool_down_after_a_rollback(promoter):
    promoter.given(detected(), registered(D))
    (fact,) = promoter.when(scored(60, 2, opponent=B)).then(PromotionRejected)
    assert "after the rollback" in fact.why
    assert fact.current == B
    promoter.after(seconds=600).given(registered(E)).when(scored(60, 2, opponent=B, model=E)).then(
        ModelPromoted
    )


def test_results_against_a_network_that_was_rolled_back_do_not_count(promoter):
    promoter.given(registered(D), scored(5, 5, opponent=C), detected()).after(hours=1)
    promoter.when(scored(60, 2, opponent=C)).then()
    (fact,) = promoter.when(scored(60, 2, opponent=B)).then(ModelPromoted)
    assert (fact.previous, fact.evidence.starts) == (B, 62)


def test_a_candidate_on_trial_meets_the_good_network_instead(story, settings_changed):
    life = story(evaluation.DECIDER).given(
        settings_changed(), registered(C), promoted(C), registered(D)
    )
    (request,) = life.when(rolled_back()).then(EvaluationRequested)
    assert (request.opponent.model, request.purpose, request.round) == (B, "promotion", 0)
    life.when(scored(10, 8, opponent=C)).then()


def test_the_good_network_plays_and_is_trained_on(story, settings_changed):
    life = story(selfplay.DECIDER).given(settings_changed(), promoted(C), rolled_back())
    rejected = PromotionRejected(
        config=CONFIG, generation=3, model=D, current=B, evidence=None, why="w", settings_version=1
    )
    (plan,) = life.when(rejected).then(SelfplayPlanned)
    assert plan.model == B
    trainer = story(training.DECIDER).given(settings_changed(), rolled_back())
    assert trainer.state.configs[CONFIG].lineage.newest == B
