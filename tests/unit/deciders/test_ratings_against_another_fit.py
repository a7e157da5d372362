"""Anchored ratings and their errors against an independent fit: the likelihood written out game by
game, differentiated by torch, the anchor fixed at 0; and properties that hold for any games."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from ringrift.deciders.stats.plackett_luce import Ranking, RatingError, Ratings, fit
from ringrift.deciders.stats.portable import exp

ELO = 400 / math.log(10)
Games = list[tuple[Ranking, float]]


def another_fit(games: Games, anchor: str, draws: float) -> dict[str, tuple[float, float]]:
    """Elo and standard error of every player but the anchor."""
    names = sorted({name for ranking, _ in games for name in ranking} - {anchor})
    tables = {frozenset(ranking) for ranking, _ in games}
    met = {pair for table in tables for pair in itertools.combinations(sorted(table), 2)}
    whole = [*games, *((order, draws / 2) for pair in met for order in (pair, pair[::-1]))]

    def loss(free: torch.Tensor) -> torch.Tensor:
        theta = {
            anchor: torch.zeros((), dtype=torch.float64),
            **dict(zip(names, free, strict=True)),
        }
        total = torch.zeros((), dtype=torch.float64)
        for ranking, count in whole:
            strengths = torch.stack([theta[name] for name in ranking])
            for place in range(len(ranking) - 1):
                rest = strengths[place:]
                total = total + count * (torch.logsumexp(rest, 0) - rest[0])
        return total

    theta = torch.zeros(len(names), dtype=torch.float64)
    for _ in range(40):
        gradient = torch.autograd.functional.jacobian(loss, theta)
        hessian = torch.autograd.functional.hessian(loss, theta)
        theta = theta - torch.linalg.solve(hessian, gradient).clamp(-1, 1)
    variance = np.linalg.inv(hessian.numpy()).diagonal()
    rows = zip(names, theta.numpy(), variance, strict=True)
    return {name: (float(value) * ELO, math.sqrt(var) * ELO) for name, value, var in rows}


def rows_of(ratings: Ratings) -> dict[str, tuple[float, float]]:
    return {row.name: (row.elo, row.se) for row in ratings.players}


HELD: dict[str, Games] = {
    "two seats": [
        (("a", "h"), 40), (("h", "a"), 24), (("b", "a"), 70), (("a", "b"), 58), (("b", "r"), 95),
        (("r", "b"), 1), (("h", "r"), 80), (("r", "h"), 16),
    ],
    "all won": [(("a", "h"), 96), (("a", "r"), 96), (("h", "r"), 96)],
    "one of 96 lost": [(("a", "h"), 95), (("h", "a"), 1), (("a", "r"), 95), (("r", "a"), 1)],
    "three seats": [
        (("a", "h", "r"), 20), (("h", "a", "r"), 9), (("r", "h", "a"), 2), (("b", "a", "h"), 11),
        (("a", "b", "h"), 7), (("h", "b"), 3),
    ],
    "four seats": [
        (("a", "h", "r", "b"), 6), (("b", "a", "r", "h"), 8), (("h", "b", "a", "r"), 5),
        (("a", "b", "h", "r"), 9), (("r", "a", "b", "h"), 1),
    ],
}  # fmt: off


@pytest.mark.parametrize("name", HELD)
@pytest.mark.parametrize("draws", [1.0, 0.25])
def test_strengths_and_errors_of_differences(name: str, draws: float) -> None:
    found = rows_of(fit(HELD[name], virtual_draws=draws, anchor="h"))
    assert found.pop("h") == (0.0, 0.0)
    expected = another_fit(HELD[name], "h", draws)
    assert found.keys() == expected.keys()
    for player, (elo, se) in expected.items():
        assert found[player] == pytest.approx((elo, se), rel=1e-6, abs=1e-4)


def test_the_bar_of_95_of_96_won_is_that_of_the_difference() -> None:
    """Errors of ratings with mean 0, drawn on differences, understate it by a third."""
    games = HELD["one of 96 lost"]
    (row,) = (one for one in fit(games, virtual_draws=1.0, anchor="h").players if one.name == "a")
    share = 95.5 / 97
    assert row.elo == pytest.approx(400 * math.log10(95.5 / 1.5))
    width = 1.959964 * ELO / math.sqrt(97 * share * (1 - share))
    assert row.elo_95_half_width == pytest.approx(width)
    assert width == pytest.approx(280, abs=1)
    centered = {one.name: one for one in fit(games, virtual_draws=1.0).players}
    assert centered["a"].elo_95_half_width < 0.7 * width


def test_a_sweep_is_the_jeffreys_estimate() -> None:
    found = rows_of(fit([(("a", "h"), 10)], virtual_draws=1.0, anchor="h"))
    assert found["a"][0] == pytest.approx(400 * math.log10(10.5 / 0.5))


def test_errors_to_any_player_equal_those_with_it_as_the_anchor() -> None:
    games = HELD["four seats"]
    by_heuristic = fit(games, virtual_draws=1.0, anchor="h").errors_to("b")
    as_anchor = rows_of(fit(games, virtual_draws=1.0, anchor="b"))
    assert by_heuristic == pytest.approx({name: se for name, (_, se) in as_anchor.items()})


def test_the_mean_of_all_and_an_anchor_give_the_same_differences() -> None:
    games = HELD["two seats"]
    centered, anchored = fit(games), fit(games, anchor="h")
    assert sum(row.elo for row in centered.players) == pytest.approx(0, abs=1e-9)
    assert centered.errors_to("h") == pytest.approx(anchored.errors_to("h"))


def test_an_anchor_without_games_is_refused() -> None:
    with pytest.raises(RatingError, match="anchor 'z' has no games; choose one of a, b"):
        fit([(("a", "b"), 1)], virtual_draws=1.0, anchor="z")


rankings = st.lists(
    st.tuples(
        st.lists(st.sampled_from("hbcde"), min_size=2, max_size=4, unique=True).map(tuple),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=12,
).map(lambda games: [(("h", "b"), 3), *games])
series = st.tuples(st.integers(0, 200), st.integers(0, 200)).filter(any)


def played(winner: str, loser: str, won: int, lost: int) -> Games:
    pairs = (((winner, loser), won), ((loser, winner), lost))
    return [(pair, float(count)) for pair, count in pairs if count]


def anchored(games: Sequence[tuple[Ranking, float]]) -> dict[str, tuple[float, float]]:
    return rows_of(fit(games, virtual_draws=1.0, anchor="h"))


@settings(max_examples=40, deadline=None)
@given(games=rankings, result=series)
def test_a_series_of_a_newcomer_moves_nobody(games: Games, result: tuple[int, int]) -> None:
    before = anchored(games)
    after = anchored([*games, *played("new", "b", *result)])
    assert after.pop("new")[1] > before["b"][1]
    for name, row in before.items():
        assert after[name] == pytest.approx(row, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(games=rankings, result=series)
def test_a_pair_that_meets_nobody_else_changes_nothing(
    games: Games, result: tuple[int, int]
) -> None:
    ratings = fit([*games, *played("y", "z", *result)], virtual_draws=1.0, anchor="h")
    without = fit(games, virtual_draws=1.0, anchor="h")
    assert rows_of(ratings) == rows_of(without)
    assert set(ratings.unrated) - set(without.unrated) == {"y", "z"}


@settings(max_examples=30, deadline=None)
@given(games=rankings, names=st.permutations("bcde"))
def test_names_do_not_matter(games: Games, names: list[str]) -> None:
    other = {"h": "h", **dict(zip("bcde", names, strict=True))}
    renamed = [(tuple(other[name] for name in ranking), count) for ranking, count in games]
    found = anchored(renamed)
    for name, row in anchored(games).items():
        assert found[other[name]] == pytest.approx(row, rel=1e-6, abs=1e-6)


def test_exp_is_that_of_the_library_within_its_bound() -> None:
    x = np.concatenate([np.linspace(-60, 0, 5001), [-800.0, -1e9]])
    assert exp(x) == pytest.approx(np.exp(x), rel=2e-13, abs=1e-300)


def test_the_bits_of_a_table_are_the_same_on_every_machine() -> None:
    """A change here changes every recorded table: replaying old logs will report them."""
    games = [game for name in ("two seats", "three seats", "four seats") for game in HELD[name]]
    rows = fit(games, virtual_draws=1.0, anchor="h").players
    text = " ".join(f"{row.name} {row.elo.hex()} {row.se.hex()}" for row in rows)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "5fe278b8b257ce6d"
