"""The Python API: its examples run, and games, records and searches agree with the rules."""

from __future__ import annotations

import doctest
import random
from pathlib import Path

import pytest

import ringrift.api
from ringrift.api import CONFIGS, KINDS, Game, Network, Player, game, play_out, players
from ringrift.nets.header import CheckpointError
from ringrift.rules import IllegalMove, NotationError, RulesError, moves as mv
from ringrift.search.harness import HarnessError

HEX8 = "hex8_2p"


def played(config: str, seed: int, plies: int = 10_000) -> Game:
    """A game of random moves, up to `plies`."""
    rng, found = random.Random(seed), Game(config)
    while not found.over and found.ply < plies:
        found.play(rng.choice(found.legal()))
    return found


@pytest.mark.parametrize("module", [ringrift.api, game, players], ids=lambda one: one.__name__)
def test_the_examples_of_a_module_run(
    module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # examples write files
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # type: ignore[arg-type]
    assert results.attempted >= 5
    assert results.failed == 0


def test_every_kind_of_move_has_the_name_of_its_constant() -> None:
    assert [getattr(mv, name.upper()) for name in KINDS.values()] == [*KINDS]


@pytest.mark.parametrize("config", [one for one in CONFIGS if "8_" in one])
def test_a_game_survives_its_record(config: str, tmp_path: Path) -> None:
    one = played(config, 5)
    names = [f"player {seat}" for seat in range(1, one.seats + 1)]
    one.save(tmp_path / "game.txt", names, {"Event": "test"})

    again = Game.load(tmp_path / "game.txt")

    assert (again.moves, again.position()) == (one.moves, one.position())
    assert again.over
    assert again.ranks() == one.ranks()
    assert max(again.rewards()) == 1.0 == again.rewards()[again.winner - 1]
    assert "player 2" in one.record(names)


def test_a_game_goes_on_from_a_position() -> None:
    one = played(HEX8, 3, plies=40)
    other = Game.from_position(one.position())
    assert [move.token for move in other.legal()] == [move.token for move in one.legal()]
    other.play(other.legal()[0])
    assert (len(other.moves), other.ply) == (1, 41)
    with pytest.raises(RulesError, match="began later"):
        other.record()


def test_moves_can_be_taken_back_and_copies_are_independent() -> None:
    one = played(HEX8, 3, plies=40)
    before, copy = one.at(30).position(), one.copy()
    one.undo(10)
    assert (one.ply, one.position(), copy.ply) == (30, before, 40)
    assert [step.ply for step in copy.replay()] == [*range(41)]
    with pytest.raises(IndexError, match="30 moves were played, not -1"):
        one.undo(31)


def test_a_move_names_the_cells_that_it_takes() -> None:
    games = [played("square8_3p", seed) for seed in range(4)]
    moves = [move for one in games for step in one.replay() for move in step.legal()]
    taking = [move for move in moves if move.takes]
    assert {"claim", "line"} <= {move.kind for move in taking}
    assert all(set(move.cells) <= set(move.takes) for move in taking if "rec" not in move.kind)
    assert {len(move.takes) for move in taking if move.kind == "line"} == {3}
    assert {move.rings for move in moves if move.kind == "place"} == {1, 2, 3}


def test_bad_names_moves_and_records_are_refused_in_words() -> None:
    with pytest.raises(RulesError, match="unknown config 'hex9_2p'; configs are square8_2p"):
        Game("hex9_2p")
    with pytest.raises(NotationError, match="hex8 has no cell 'a1'"):
        Game(HEX8).play("@a1")
    with pytest.raises(IllegalMove, match="ply 0: '-p' is not legal"):
        Game(HEX8).play("-p")
    with pytest.raises(ValueError, match="ranks exist when the game is over"):
        Game(HEX8).rewards()
    with pytest.raises(HarnessError, match="unknown harness 'chess'"):
        Player(HEX8, "chess")
    with pytest.raises(ValueError, match="this is a game of square8_2p, not hex8_2p"):
        Network.fresh(HEX8).evaluate(Game("square8_2p"))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        Network(b"nonsense")
    with pytest.raises(ValueError, match="2 seats; got 1 players"):
        play_out(Game(HEX8), [Player(HEX8, "random")])


@pytest.mark.parametrize("harness", ["gumbel", "minimax", "policy", "heuristic", "random"])
def test_a_search_is_a_function_of_position_and_seed(harness: str) -> None:
    network = Network.fresh(HEX8) if harness in ("gumbel", "policy") else None
    budget = 8 if harness in ("gumbel", "minimax") else None
    player, one = Player(HEX8, harness, network=network, budget=budget), played(HEX8, 1, plies=20)
    first = player.search(one, seed=4)
    assert first == player.search(one, seed=4)
    assert [found.move for found in player.search_all([one, one], seeds=[4, 4])] == [first.move] * 2
    assert first.policy.keys() == {move.token for move in one.legal()}
    assert sum(first.policy.values()) == pytest.approx(1.0, abs=1e-5)


def test_after_a_swap_the_players_have_exchanged_seats() -> None:
    one = Game(HEX8, pie=True)
    one.play("@e5")
    while one.seat == 1:
        one.play(one.legal()[0])
    assert (one.seat, one.player) == (2, 1)
    one.play("swap")
    assert (one.seat, one.player) == (2, 0)
