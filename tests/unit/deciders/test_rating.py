"""The rating table after each evaluation: its participants, and independence of the order."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given as for_all, strategies as st
from support.loop_facts import CONFIG, A, B, C, scored
from support.story import Story

from ringrift.deciders.loop import rating as elo
from ringrift.events.facts import EvaluationFailed, Ranking, RatingsUpdated


def test_each_evaluation_updates_the_table(story):
    (first,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(RatingsUpdated)
    assert [row.participant for row in first.ratings] == [
        f"{B[:12]}:gumbel:s32",
        "baseline:random:s0",
    ]
    assert sum(row.elo for row in first.ratings) == pytest.approx(0)


def test_the_table_does_not_depend_on_how_results_were_split(story):
    (once,) = story(elo.DECIDER).when(scored("random", 30, 2)).then(RatingsUpdated)
    (split,) = (
        story(elo.DECIDER)
        .given(scored("random", 10, 1))
        .when(scored("random", 20, 1))
        .then(RatingsUpdated)
    )
    assert msgspec.json.encode(once) == msgspec.json.encode(split)


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
    match = msgspec.structs.replace(
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
    (fact,) = story(elo.DECIDER).when(match).then(RatingsUpdated)
    assert [row.participant for row in fact.ratings] == [*names[:2]]
    assert [row.games for row in fact.ratings] == [12, 12]


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
