"""Searching old games again gives other targets for the same decisions, reproducibly."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from support.games import play_game

from ringrift.events.facts import GameCompleted
from ringrift.events.participants import seat
from ringrift.learning import targets
from ringrift.learning.play import player_of
from ringrift.learning.reanalysis import reanalyse
from ringrift.learning.shards import GameRejected, build_shard, check_game, read_shard, weighed
from ringrift.rules import Config
from ringrift.search.players import Player

HEX = Config.parse("hex8_2p")


@pytest.fixture(scope="module")
def player() -> Player:
    return player_of(HEX, seat("gumbel", simulations=4), None, 1)


@pytest.fixture(scope="module")
def game() -> GameCompleted:
    return play_game("hex8_2p", 3)


def test_reanalysis_gives_other_targets_reproducibly(game: GameCompleted, player: Player) -> None:
    found = reanalyse(game, player, 1)
    assert found == reanalyse(game, player, 1)
    assert found != game.targets
    old, new = targets.decode(game.targets)[1], targets.decode(found)[1]
    assert [decision.ply for decision in new] == [decision.ply for decision in old]
    # Every policy is over legal moves
    assert len(check_game(replace(game, targets=found)).decisions.plies) == len(old)


def test_targets_do_not_depend_on_the_games_before(game: GameCompleted, player: Player) -> None:
    alone = reanalyse(game, player, 1)
    reanalyse(play_game("hex8_2p", 4), player, 1)
    assert reanalyse(game, player, 1) == alone


def test_a_game_that_does_not_replay_is_rejected(game: GameCompleted, player: Player) -> None:
    with pytest.raises(GameRejected):
        reanalyse(replace(game, moves="zz " + game.moves), player, 1)
    with pytest.raises(GameRejected, match="plies"):
        reanalyse(replace(game, moves=" ".join(game.moves.split()[:3])), player, 1)


def test_a_game_without_targets_keeps_none(game: GameCompleted, player: Player) -> None:
    empty = targets.encode(2, [])
    assert reanalyse(replace(game, targets=empty), player, 1) == empty


def test_a_weighed_shard_differs_only_in_the_weights(game: GameCompleted) -> None:
    shard = read_shard(build_shard(HEX, [game])[0])
    heavy = weighed(shard, 1.5)
    assert np.array_equal(heavy.columns["weight"], 1.5 * shard.columns["weight"])
    assert heavy.columns["weight"].dtype == np.float32
    assert np.array_equal(heavy.columns["move"], shard.columns["move"])
    assert weighed(shard, 1.0) is shard
