"""Which candidates become current, on which evidence, and which do not."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all, strategies as st
from support.loop_facts import CONFIG, A, B, C, promoted, registered, scored

from ringrift.deciders.loop import promotion
from ringrift.deciders.loop.verdict import judge, merged
from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events.facts import (
    MEASURING,
    EvaluationAbandoned,
    EvaluationFailed,
    ModelPromoted,
    PromotionRejected,
)
from ringrift.events.settings import PromotionSettings


def test_a_first_network_that_beats_random_is_promoted(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B))
    life.when(scored("heuristic", 0, 32)).then()
    (fact,) = life.when(scored("random", 32, 0)).then(ModelPromoted)
    assert (fact.model, fact.previous) == (B, None)
    assert fact.evidence.score == 1.0


def test_a_first_network_that_does_not_is_rejected(story, settings_changed):
    story(promotion.DECIDER).given(settings_changed(), registered(B)).when(
        scored("random", 17, 15)
    ).then(PromotionRejected)


def test_results_add_up_until_the_test_decides(story, settings_changed):
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2)
    )
    life.when(scored("promotion", 9, 7, model=C)).then()
    life.when(scored("promotion", 10, 6, model=C, round_=1)).then()
    (fact,) = life.when(scored("promotion", 60, 4, model=C, round_=2)).then(ModelPromoted)
    assert (fact.model, fact.previous, fact.evidence.starts) == (C, B, 96)


def test_a_weaker_candidate_is_rejected(story, settings_changed):
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2)
    )
    (fact,) = life.when(scored("promotion", 4, 60, model=C)).then(PromotionRejected)
    assert (fact.model, fact.current) == (C, B)


@pytest.mark.parametrize(("wins", "verdict"), [(33, ModelPromoted), (32, PromotionRejected)])
def test_an_open_test_at_the_cap_is_decided_by_the_score(story, settings_changed, wins, verdict):
    cap = PromotionSettings(starts_max=64, elo0=-1, elo1=1, score_at_cap=0.51)
    life = story(promotion.DECIDER).given(
        settings_changed(promotion=cap), registered(B), scored("random", 32, 0), registered(C)
    )
    life.when(scored("promotion", wins, 64 - wins, model=C)).then(verdict)


def test_a_verdict_is_given_once(story, settings_changed):
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), scored("random", 32, 0)
    )
    life.when(scored("random", 32, 0)).then()


def test_a_failed_evaluation_rejects(story, settings_changed):
    failed = EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket="t",
        candidate_model=B,
        purpose="random",
        reason="out of memory",
        node="n",
    )
    (fact,) = (
        story(promotion.DECIDER)
        .given(settings_changed(), registered(B))
        .when(failed)
        .then(PromotionRejected)
    )
    assert "out of memory" in fact.why


def test_an_abandoned_match_judges_no_candidate(story, settings_changed):
    abandoned = EvaluationAbandoned(
        config=CONFIG,
        generation=2,
        ticket="t",
        candidate_model=C,
        purpose="promotion",
        games=3,
        node="n",
    )
    given = (registered(B), promoted(B), registered(C, generation=2))
    story(promotion.DECIDER).given(settings_changed(), *given).when(abandoned).then()


@pytest.mark.parametrize("purpose", sorted(MEASURING))
def test_a_measuring_match_judges_no_candidate(story, settings_changed, purpose):
    life = story(promotion.DECIDER).given(settings_changed(), registered(B))
    life.when(scored(purpose, 32, 0)).then()
    life.when(
        EvaluationFailed(
            config=CONFIG,
            generation=1,
            ticket="t",
            candidate_model=B,
            purpose=purpose,
            reason="r",
            node="n",
        )
    ).then()
    life.when(scored("random", 17, 15)).then(PromotionRejected)


def test_a_result_against_a_former_network_does_not_count(story, settings_changed):
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2)
    )
    life.given(promoted(A, generation=2, previous=B)).when(
        scored("promotion", 64, 0, model=C)
    ).then()  # against B


def test_the_evidence_is_that_of_the_test(story, settings_changed):
    life = story(promotion.DECIDER).given(
        settings_changed(), registered(B), scored("random", 32, 0), registered(C, generation=2)
    )
    (fact,) = life.when(scored("promotion", 60, 4, model=C)).then(ModelPromoted)
    evidence = fact.evidence
    assert (evidence.starts, evidence.games, evidence.score) == (64, 128, 60 / 64)
    assert evidence.llr >= evidence.upper > 0.0 > evidence.lower


def test_verdicts_cite_the_settings_they_were_taken_under(story, settings_changed):
    life = story(promotion.DECIDER).given(settings_changed(version=4), registered(B))
    (fact,) = life.when(scored("random", 32, 0)).then(ModelPromoted)
    assert fact.settings_version == 4


def test_a_network_that_was_never_registered_is_not_judged(story, settings_changed):
    story(promotion.DECIDER).given(settings_changed()).when(scored("random", 32, 0)).then()


# laws

histograms = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(1, 50)),
    min_size=1,
    max_size=4,
)


@for_all(first=histograms, second=histograms)
def test_merging_histograms_commutes(first, second):
    assert merged(tuple(first), tuple(second)) == merged(tuple(second), tuple(first))


@for_all(starts=histograms)
def test_a_better_score_never_turns_a_promotion_into_a_rejection(starts):
    order = ("reject", "open", "promote")
    verdict = judge(
        merged(tuple(starts), ()),
        100,
        PromotionSettings(starts_max=10_000),
        first="",
        config=CONFIG,
    )[0]
    better = judge(
        merged(tuple(starts), ((1.0, 20),)),
        100,
        PromotionSettings(starts_max=10_000),
        first="",
        config=CONFIG,
    )[0]
    assert order.index(better) >= order.index(verdict)


@for_all(wins=st.integers(0, 100), total=st.integers(1, 200))
def test_the_interval_holds_the_share(wins, total):
    share = min(wins, total) / total
    low, high = wilson_interval(share, total)
    assert 0.0 <= low <= share <= high <= 1.0
