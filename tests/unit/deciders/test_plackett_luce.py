import csv
import itertools
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ringrift.deciders.stats.plackett_luce import (
    NoFiniteRatingError,
    PlayerRating,
    Ranking,
    RatingError,
    Ratings,
    fit,
)

DATA = Path(__file__).parents[2] / "data" / "rating"
VECTORS = json.loads((DATA / "rating_vectors.json").read_text())


def of(ratings: Ratings, name: str) -> PlayerRating:
    """The row of a player."""
    return next(player for player in ratings.players if player.name == name)


def se_of_difference(ratings: Ratings, first: str, second: str) -> float:
    """Standard error, in Elo, of the difference of two ratings, whose errors are correlated."""
    names = [player.name for player in ratings.players]
    i, j = names.index(first), names.index(second)
    covariance = ratings.covariance
    return math.sqrt(covariance[i, i] + covariance[j, j] - 2.0 * covariance[i, j])


@pytest.fixture(scope="module")
def vectors_fit() -> Ratings:
    with (DATA / VECTORS["A_bradley_terry_2p"]["games_file"]).open() as file:
        rows = list(csv.DictReader(file))
    counts: Counter[Ranking] = Counter()
    for row in rows:
        pair = (row["first_player"], row["second_player"])
        counts[pair if row["winner"] == pair[0] else pair[::-1]] += 1
    return fit(counts.items())


def test_reference_strengths_and_errors(vectors_fit: Ratings) -> None:
    expected = VECTORS["A_bradley_terry_2p"]
    for index, (elo, se) in enumerate(
        zip(expected["expected_elo"], expected["expected_se"], strict=True)
    ):
        player = of(vectors_fit, str(index))
        assert player.elo == pytest.approx(elo, abs=1e-3)
        assert player.se == pytest.approx(se, rel=1e-3)
    assert sum(player.games for player in vectors_fit.players) == 2 * expected["games"]
    assert vectors_fit.model == "bradley-terry"


def test_reference_errors_of_differences(vectors_fit: Ratings) -> None:
    for i, row in enumerate(VECTORS["A_bradley_terry_2p"]["expected_se_of_difference"]):
        for j, se in enumerate(row):
            assert se_of_difference(vectors_fit, str(i), str(j)) == pytest.approx(se, abs=1e-3)


def test_sweep_is_finite_only_with_a_prior() -> None:
    sweep: list[tuple[Ranking, float]] = [(("a", "b"), 10)]
    with pytest.raises(
        NoFiniteRatingError, match="b never finished ahead of a; add games or give a prior"
    ):
        fit(sweep)
    ratings = fit(sweep, prior_elo=400.0)
    expected = VECTORS["A_edge"]["ten_nil_sweep_gaussian_prior_sd_400elo"]["elo_difference"]
    assert of(ratings, "a").elo - of(ratings, "b").elo == pytest.approx(expected, abs=1e-6)


def test_separate_groups_have_no_finite_rating() -> None:
    games: list[tuple[Ranking, float]] = [
        (("a", "b"), 1),
        (("b", "a"), 1),
        (("c", "d"), 1),
        (("d", "c"), 1),
    ]
    with pytest.raises(NoFiniteRatingError, match="a, b never finished ahead of c, d"):
        fit(games)
    assert [player.elo for player in fit(games, prior_elo=400.0).players] == pytest.approx(
        [0, 0, 0, 0], abs=1e-9
    )


def test_draw_is_half_a_win_for_each() -> None:
    drawn = fit([((("a", "b"),), 2), (("a", "b"), 3), (("b", "a"), 1)])
    halves = fit([(("a", "b"), 4), (("b", "a"), 2)])
    assert of(drawn, "a").elo == of(halves, "a").elo == pytest.approx(200 * math.log10(2))
    assert of(drawn, "a").se == of(halves, "a").se


def test_shared_rank_is_the_mean_of_its_orders() -> None:
    base: list[tuple[Ranking, float]] = [
        (("a", "b", "c"), 2),
        (("c", "b", "a"), 3),
        (("b", "c", "a"), 1),
    ]
    shared = fit([*base, (("a", ("b", "c")), 4)])
    spread = fit([*base, (("a", "b", "c"), 2), (("a", "c", "b"), 2)])
    assert [p.elo for p in shared.players] == pytest.approx([p.elo for p in spread.players])


def test_two_player_closed_form() -> None:
    """n games, share p won: theta difference log(p / (1 - p)) with variance 1 / (n p (1 - p))."""
    ratings = fit([(("a", "b"), 75), (("b", "a"), 25)])
    assert of(ratings, "a").elo - of(ratings, "b").elo == pytest.approx(400 * math.log10(3))
    expected = 400 / math.log(10) / math.sqrt(100 * 0.75 * 0.25)
    assert se_of_difference(ratings, "a", "b") == pytest.approx(expected)


def _placket_luce_log(theta: np.ndarray, order: tuple[int, ...]) -> float:
    return sum(
        theta[order[i]] - math.log(sum(math.exp(theta[j]) for j in order[i:]))
        for i in range(len(order))
    )


@pytest.mark.parametrize("seats", [3, 4])
def test_plackett_luce_maximum_and_information(seats: int) -> None:
    """Expected counts of every order make the true strengths the maximum; errors follow from
    numeric second derivatives."""
    theta = np.linspace(-0.6, 0.9, seats)
    theta -= theta.mean()
    orders = list(itertools.permutations(range(seats)))
    counts = [1000 * math.exp(_placket_luce_log(theta, order)) for order in orders]
    ratings = fit(
        [(tuple("abcd"[i] for i in order), n) for order, n in zip(orders, counts, strict=True)]
    )
    nat = math.log(10) / 400
    assert [player.elo * nat for player in ratings.players] == pytest.approx(list(theta), abs=1e-9)
    assert ratings.model == "plackett-luce"

    def value(strengths: np.ndarray) -> float:
        return sum(
            n * _placket_luce_log(strengths, order) for order, n in zip(orders, counts, strict=True)
        )

    step = 1e-3
    axes = np.eye(seats) * step
    hessian = np.array(
        [
            [
                (
                    value(theta + a + b)
                    - value(theta + a - b)
                    - value(theta - a + b)
                    + value(theta - a - b)
                )
                for b in axes
            ]
            for a in axes
        ]
    ) / (4 * step * step)
    expected = np.linalg.pinv(-hessian, rcond=1e-5)
    assert ratings.covariance * nat**2 == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_taking_rankings_as_pairs_would_understate_errors() -> None:
    orders = list(itertools.permutations("abcd"))
    rankings = fit([(order, 10) for order in orders])
    pairs = fit([(pair, 10) for order in orders for pair in itertools.combinations(order, 2)])
    assert of(pairs, "a").se < 0.9 * of(rankings, "a").se


names = st.lists(st.sampled_from("abcdef"), min_size=2, max_size=4, unique=True).map(tuple)


@settings(max_examples=50, deadline=None)
@given(st.lists(names, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_order_of_games_leaves_no_trace(rankings: list[tuple[str, ...]], shuffler: object) -> None:
    shuffled = list(rankings)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    counted = Counter(rankings)
    first = fit([(ranking, 1) for ranking in rankings], prior_elo=300.0)
    assert fit([(ranking, 1) for ranking in shuffled], prior_elo=300.0).players == first.players
    assert fit(counted.items(), prior_elo=300.0).players == first.players
    assert sum(player.elo for player in first.players) == pytest.approx(0, abs=1e-6)
    assert all(math.isfinite(player.elo) and player.se > 0 for player in first.players)


def test_ranked_puts_the_strongest_first() -> None:
    ratings = fit([(("b", "a"), 3), (("a", "b"), 1)])
    assert [player.name for player in ratings.ranked()] == ["b", "a"]


def test_lopsided_results_converge() -> None:
    ratings = fit([(("a", "b"), 1_000_000), (("b", "a"), 1)])
    assert of(ratings, "a").elo - of(ratings, "b").elo == pytest.approx(2400.0)


def test_no_games_no_players() -> None:
    assert fit([]).players == ()


@pytest.mark.parametrize(
    ("ranking", "count", "message"),
    [
        (("a", "a"), 1, "different players"),
        (("a",), 1, "2 to 4"),
        (("a", "b", "c", "d", "e"), 1, "2 to 4"),
        (("a", (), "b"), 1, "empty rank"),
        (("a", "b"), 0, "above 0"),
        (("a", "b"), math.inf, "finite"),
    ],
)
def test_bad_rankings_are_refused(ranking: Ranking, count: float, message: str) -> None:
    with pytest.raises(RatingError, match=message):
        fit([(ranking, count)])


def test_bad_prior_is_refused() -> None:
    with pytest.raises(RatingError, match="prior of 0"):
        fit([(("a", "b"), 1)], prior_elo=0.0)
