"""Summaries of shards: statistics of the games, the same on every machine."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.games import play_game

from ringrift.events.facts import GameCompleted
from ringrift.learning.summary import agreement, summarise
from ringrift.learning.targets import decode


@pytest.fixture(scope="module")
def games() -> list[GameCompleted]:
    return [play_game("hex8_3p", seed) for seed in range(4)]


def test_the_counts_are_those_of_the_games(games) -> None:
    summary = summarise(games)
    assert summary is not None
    assert (summary.games, summary.plies) == (4, sum(game.plies for game in games))
    assert summary.plies_squared == sum(game.plies**2 for game in games)
    assert summary.wins == tuple(sum(game.winner == seat for game in games) for seat in (1, 2, 3))
    assert (summary.participants, summary.openings) == (("test:gumbel:s8",), 4)


def test_the_order_of_the_games_does_not_matter(games) -> None:
    assert summarise(games) == summarise(games[::-1])


def test_equal_games_have_one_opening(games) -> None:
    summary = summarise([games[0]] * 3)
    assert summary is not None
    assert summary.openings == 1


def test_decisions_agree_where_the_winner_has_the_highest_value(games) -> None:
    game = games[0]
    decisions = decode(game.targets)[1]
    expected = sum(int(np.argmax(decision.values)) + 1 == game.winner for decision in decisions)
    assert agreement(game) == (len(decisions), expected)
    assert agreement(msgspec.structs.replace(game, winner=0)) == (0, 0)


def test_matches_and_rejected_games_are_not_counted(games) -> None:
    match = msgspec.structs.replace(games[1], origin="evaluation")
    summary = summarise([games[0], match, games[2]], {games[2].game})
    assert summary is not None
    assert summary.games == 1
    assert summarise([match]) is None
    assert summarise([]) is None


def test_games_are_counted_by_opponent(games) -> None:
    """One other player at a seat is an opponent; a network that meets itself has none."""
    own = games[0].seats[0]
    other = msgspec.structs.replace(own, participant="old:gumbel:s8")
    met = msgspec.structs.replace(games[1], seats=(own, other, own))
    summary = summarise([games[0], met, games[2]])
    assert summary is not None
    assert summary.opponents == {"old:gumbel:s8": 1}
    assert summary.participants == ("old:gumbel:s8", "test:gumbel:s8")
