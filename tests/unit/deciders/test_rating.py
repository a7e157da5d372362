"""The rating table after each evaluation: its participants, and independence of the order."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from msgspec.structs import replace
from support.loop_facts import CONFIG, A, B, C, promoted, scored
from support.ratings import HEURISTIC, RANDOM
from support.story import Story

from ringrift.deciders.loop import rating as elo
from ringrift.events.facts import EvaluationFailed, EvaluationRequested, Ranking, RatingsUpdated
from ringrift.events.participants import seat
from ringrift.events.settings import EvaluationSettings


def test_each_evaluation_updates_the_table(story):
    (first,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(RatingsUpdated)
    assert [row.participant for row in first.ratings] == [
        f"{B[:12]}:gumbel:s32",
        "baseline:random:s0",
    ]
    assert first.anchor == "baseline:random:s0"
    assert (first.ratings[1].elo, first.ratings[1].se) == (0.0, 0.0)


def test_the_table_does_not_depend_on_how_results_were_split(story):
    (once,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(RatingsUpdated)
    (split,) = (
        story(elo.DECIDER)
        .given(scored("random", 10, 1))
        .when(scored("random", 20, 1))
        .then(RatingsUpdated)
    )
    assert msgspec.json.encode(once) == msgspec.json.encode(split)


def asked(purpose) -> EvaluationRequested:
    return EvaluationRequested(
        config=CONFIG,
        generation=1,
        candidate=seat("gumbel", model=B, simulations=32),
        opponent=seat("heuristic"),
        purpose=purpose,
        round=0,
        starts=1,
        seed=1,
        settings_version=1,
    )


def test_the_matches_of_a_round_are_rated_together(story):
    life = story(elo.DECIDER).given(*(asked("random"),) * 2, asked("heuristic"), asked("gauntlet"))
    first = scored("random", 30, 2)
    life.when(first).then()
    life.when(first).then()  # counts once
    life.when(scored("random", 30, 2)).then()
    failed = EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket="t",
        candidate_model=B,
        purpose="heuristic",
        reason="r",
        node="n",
    )
    (fact,) = life.when(failed).then(RatingsUpdated)
    assert fact.games == 128
    life.when(replace(failed, ticket="t2")).then()


def test_matches_of_a_tournament_are_rated_once_they_tell_something(story):
    life = story(elo.DECIDER).given(scored("random", 200, 40), scored("heuristic", 200, 41))
    for _ in range(2):
        life.when(scored("tournament", 2, 2)).then()
    (fact,) = life.when(scored("tournament", 2, 2)).then(RatingsUpdated)
    assert fact.games == 2 * 481 + 3 * 8
    life.when(scored("tournament", 2, 2)).then()
    life.when(scored("random", 1, 1)).then(RatingsUpdated)


def test_configs_are_rated_independently(story):
    life = story(elo.DECIDER).given(scored("random", 30, 2))
    (other,) = life.when(scored("random", 2, 30, config="square8_2p")).then(RatingsUpdated)
    assert other.games == 64


def test_measuring_matches_rate_all_participants(story):
    story(elo.DECIDER).when(scored("gauntlet", 30, 2)).then(RatingsUpdated)


def of(life) -> dict[str, float]:
    """Elo by the first letter of the network, or the name of the baseline."""
    rows = {row.participant: row.elo for row in elo.table(life.state, CONFIG).ratings}
    return {
        name.split(":")[1] if name.startswith("baseline") else name[0]: value
        for name, value in rows.items()
    }


def test_the_winner_is_rated_above_the_loser(story):
    found = of(
        story(elo.DECIDER).given(scored("random", 30, 2), scored("promotion", 20, 12, model=C))
    )
    assert found["c"] > found["b"] > found["random"]


def test_a_sweep_is_finite(story):
    found = of(story(elo.DECIDER).given(scored("random", 64, 0)))
    assert 0.0 < found["b"] - found["random"] < 2000.0


def test_more_games_make_the_rating_surer(story):
    life = story(elo.DECIDER)
    (few,) = life.when(scored("random", 6, 2)).then(RatingsUpdated)
    (many,) = life.when(scored("random", 60, 20)).then(RatingsUpdated)
    assert many.ratings[0].se < few.ratings[0].se
    assert (few.games, many.games) == (16, 176)


def test_equal_scores_are_equal_ratings(story):
    found = of(story(elo.DECIDER).given(scored("random", 16, 16)))
    assert found["b"] == pytest.approx(found["random"], abs=1e-6)


def test_a_failed_match_changes_nothing(story):
    failed = EvaluationFailed(
        config=CONFIG,
        generation=1,
        ticket="t",
        candidate_model=B,
        purpose="random",
        reason="r",
        node="n",
    )
    story(elo.DECIDER).given(scored("random", 30, 2)).when(failed).then()


def test_ties_and_more_seats_count(story):
    names = ("a:gumbel:s1", "b:gumbel:s1", "b:gumbel:s1")
    match = replace(
        scored("random", 1, 0),
        config="hex8_3p",
        candidate=names[0],
        opponent=names[1],
        games=12,
        scores=((0.25, 1), (1.0, 3)),
        rankings=(
            Ranking(order=names, ranks=(1, 2, 2), count=9),
            Ranking(order=names[::-1], ranks=(1, 2, 3), count=3),
        ),
    )
    life = story(elo.DECIDER)
    (fact,) = life.when(match).then(RatingsUpdated)
    assert (fact.anchor, fact.ratings, fact.unrated) == (None, (), names[:2])
    renamed = [
        replace(row, order=tuple(name.replace(names[0], RANDOM) for name in row.order))
        for row in match.rankings
    ]
    match = replace(match, candidate=RANDOM, rankings=tuple(renamed))
    (fact,) = story(elo.DECIDER).when(match).then(RatingsUpdated)
    assert [row.participant for row in fact.ratings] == [RANDOM, names[1]]
    assert [row.games for row in fact.ratings] == [12, 12]


def test_who_has_no_chain_of_games_to_the_anchor_has_no_rating(story):
    life = story(elo.DECIDER).given(scored("promotion", 9, 3, model=C))
    (fact,) = life.when(scored("heuristic", 6, 2, model="d" * 64)).then(RatingsUpdated)
    assert [row.participant[0] for row in fact.ratings] == ["d", "b"]
    assert fact.unrated == (f"{B[:12]}:gumbel:s32", f"{C[:12]}:gumbel:s32")


def test_the_heuristic_is_the_anchor_as_soon_as_it_has_played(story):
    life = story(elo.DECIDER).given(scored("random", 30, 2))
    (fact,) = life.when(scored("heuristic", 20, 12)).then(RatingsUpdated)
    assert fact.anchor == HEURISTIC
    assert {row.participant: row.elo for row in fact.ratings}[HEURISTIC] == 0.0


def test_the_anchor_is_a_setting(story, settings_changed):
    chosen = settings_changed(evaluation=EvaluationSettings(anchor="random"))
    life = story(elo.DECIDER).given(chosen, scored("random", 30, 2))
    (fact,) = life.when(scored("heuristic", 20, 12)).then(RatingsUpdated)
    assert fact.anchor == RANDOM


def test_errors_of_the_difference_to_the_incumbent(story, settings_changed):
    life = story(elo.DECIDER).given(settings_changed(), promoted(B))
    (fact,) = (
        life.given(scored("heuristic", 20, 12))
        .when(scored("promotion", 18, 14, model=C))
        .then(RatingsUpdated)
    )
    rows = {row.participant[0]: row for row in fact.ratings if row.se}
    assert fact.current == f"{B[:12]}:gumbel:s32"
    assert rows["b"].se_to_current == 0.0
    # the series of c touches b only: its error to b is that of the series, whatever the rest
    nats = math.sqrt(1 / (65 * (36.5 / 65) * (28.5 / 65)))
    assert rows["c"].se_to_current == pytest.approx(nats * 400 / math.log(10))
    assert rows["c"].se == pytest.approx(math.hypot(rows["c"].se_to_current, rows["b"].se))


def test_a_table_of_version_1_moves_its_zero_to_the_anchor():
    old = {
        "config": CONFIG,
        "games": 96,
        "ratings": [
            {"participant": "b:gumbel:s32", "elo": 300.0, "se": 40.0, "games": 96},
            {"participant": RANDOM, "elo": -100.0, "se": 50.0, "games": 48},
            {"participant": HEURISTIC, "elo": -200.0, "se": 60.0, "games": 48},
        ],
    }
    upcast = RatingsUpdated.event_type.upcasters[1]
    fact = msgspec.convert(upcast(old), RatingsUpdated)
    shown = [(row.participant.split(":")[1], row.elo, row.se) for row in fact.ratings]
    # the covariance is lost: at least an upper bound of the error
    assert shown == [("gumbel", 500.0, 100.0), ("random", 100.0, 110.0), ("heuristic", 0.0, 0.0)]
    lonely = {**old, "ratings": old["ratings"][:1]}
    fact = msgspec.convert(upcast(lonely), RatingsUpdated)
    assert (fact.anchor, fact.ratings, fact.unrated) == (None, (), ("b:gumbel:s32",))


results = st.lists(
    st.tuples(st.sampled_from([A, B, C]), st.integers(1, 9), st.integers(0, 9)),
    min_size=1,
    max_size=8,
)


@for_all(matches=results, order=st.randoms(use_true_random=False))
def test_the_order_of_matches_does_not_matter(matches, order):
    def table(of: list[tuple[str, int, int]]) -> dict[str, float]:
        matches = (scored("random", wins, losses, model=model) for model, wins, losses in of)
        state = Story(elo.DECIDER).given(*matches).state
        return {row.participant: row.elo for row in elo.table(state, CONFIG).ratings}

    first, shuffled = table(matches), list(matches)
    order.shuffle(shuffled)
    second = table(shuffled)
    assert second == pytest.approx(first, abs=1e-6)
