"""Shards contain games that replay, are reproducible, and expand to positions, policies and
values."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from support.games import play_game

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning import shards
from ringrift.learning.shards import (
    GameRejected,
    ShardError,
    build_shard,
    check_game,
    outcome_values,
    read_shard,
)
from ringrift.learning.targets import Decision, TargetsError, decode, encode
from ringrift.learning.window import open_window
from ringrift.nets.tensors import pack, unpack
from ringrift.rules import Config, Position

KEYS = ("hex8_2p", "square8_3p", "hex8_4p")


@pytest.fixture(scope="module")
def games() -> dict[str, list[GameCompleted]]:
    return {key: [play_game(key, seed) for seed in range(4)] for key in KEYS}


@pytest.mark.parametrize("key", KEYS)
def test_a_shard_is_a_function_of_its_games(games, key: str) -> None:
    config = Config.parse(key)
    data, counts = build_shard(config, games[key])
    assert data == build_shard(config, iter(games[key]))[0]
    assert data != build_shard(config, games[key][::-1])[0]
    assert counts.games == 4
    assert counts.rejected == ()
    assert counts.samples == sum(len(decode(game.targets)[1]) for game in games[key])
    assert (read_shard(data).games, read_shard(data).samples) == (counts.games, counts.samples)


def test_games_against_a_seat_that_does_not_search_have_no_samples(games) -> None:
    game = games["hex8_2p"][0]
    baseline = Seat(participant="baseline:random:s0", harness="random")
    _, counts = build_shard(
        Config.parse("hex8_2p"), [msgspec.structs.replace(game, seats=(game.seats[0], baseline))]
    )
    assert (counts.games, counts.samples, counts.rejected) == (1, 0, ())


@pytest.mark.parametrize("key", KEYS)
def test_a_window_has_the_positions_policies_and_values_of_the_games(games, key: str) -> None:
    window = open_window([read_shard(build_shard(Config.parse(key), games[key])[0])], 10**6)
    found = window.positions()
    sample = 0
    for game in games[key]:
        position = Position.start(Config.parse(key))
        decisions = {decision.ply: decision for decision in decode(game.targets)[1]}
        for ply, token in enumerate(game.moves.split()):
            if ply in decisions:
                moves = slice(found.offsets[sample], found.offsets[sample + 1])
                assert np.array_equal(found.codes[moves], position.legal_codes())
                assert Position(position.config, found.states[sample]).text() == position.text()
                policy = np.zeros(len(position.legal_codes()), np.float32)
                policy[decisions[ply].indices] = decisions[ply].probabilities
                np.testing.assert_allclose(found.policy[moves], policy, atol=1e-4)
                assert found.policy[moves].sum() == pytest.approx(1.0)
                assert np.array_equal(window.root_value[sample], decisions[ply].values)
                assert (
                    window.outcome[sample].tolist()
                    == outcome_values(game.winner, game.ranks).tolist()
                )
                assert window.outcome[sample][game.winner - 1] == 1.0
                assert window.mover[sample] == position.seat
                assert window.weight[sample] == 1.0
                sample += 1
            position.play(token)
    assert sample == len(window)


def test_a_window_takes_the_newest_samples_across_shards(games) -> None:
    config = Config.parse("hex8_2p")
    shards = [read_shard(build_shard(config, [game])[0]) for game in games["hex8_2p"]]
    whole = open_window(shards, 10**6)
    wanted = shards[-1].samples + 5
    part = open_window(shards, wanted)
    assert len(part) == wanted
    samples = np.arange(len(whole) - wanted, len(whole))
    for some, same in zip(part.positions(), whole.positions(samples), strict=True):
        assert np.array_equal(some, same)
    assert np.array_equal(part.plies_left(np.arange(wanted)), whole.plies_left(samples))
    assert part.fingerprint() != whole.fingerprint()
    assert open_window(shards, wanted).fingerprint() == part.fingerprint()


@pytest.mark.parametrize("key", KEYS)
def test_a_window_keeps_few_positions(games, key: str) -> None:
    window = open_window([read_shard(build_shard(Config.parse(key), games[key])[0])], 10**6)
    positions = sum(part.nbytes for part in window.positions())
    parts = (*window.games, window.owners)
    assert sum(part.nbytes for part in parts) < positions / 6


def test_validation_samples_are_whole_games_and_the_same_in_every_window(games) -> None:
    config = Config.parse("hex8_2p")
    shards = [read_shard(build_shard(config, [game])[0]) for game in games["hex8_2p"]]
    window = open_window(shards, 10**6)
    chosen = window.validating(0.5)
    for key in np.unique(window.key):
        assert len(set(chosen[window.key == key].tolist())) == 1
    assert np.array_equal(
        open_window(shards[1:], 10**6).validating(0.5), chosen[shards[0].samples :]
    )
    assert not window.validating(0.0).any()
    assert window.validating(1.0).all()


def test_a_window_needs_shards_of_one_config(games) -> None:
    shards = [read_shard(build_shard(Config.parse(key), games[key])[0]) for key in KEYS[:2]]
    with pytest.raises(ShardError, match="several configs"):
        open_window(shards, 100)
    with pytest.raises(ShardError, match="at least one"):
        open_window([], 100)


def test_a_shard_may_be_empty() -> None:
    data, counts = build_shard(Config.parse("hexagonal_4p"), [])
    assert (counts.games, counts.samples) == (0, 0)
    assert len(open_window([read_shard(data)], 10)) == 0


def changed(game: GameCompleted, **changes: object) -> GameCompleted:
    return msgspec.structs.replace(game, **changes)


def falsified(game: GameCompleted) -> dict[str, GameCompleted]:
    """Return copies of the game, each with one false field."""
    moves = game.moves.split()
    _, decisions = decode(game.targets)
    last = decisions[-1]
    beyond = type(last)(last.ply, last.values, np.array([5000]), np.array([1.0], np.float32))
    late = type(last)(game.plies, last.values, last.indices, last.probabilities)
    return {
        "another winner": changed(game, winner=3 - game.winner, ranks=game.ranks[::-1]),
        "another reason": changed(game, reason="resign"),
        "other removed rings": changed(game, removed=tuple(n + 1 for n in game.removed)),
        "other territory": changed(game, territory=tuple(n + 1 for n in game.territory)),
        "fewer plies": changed(game, plies=game.plies - 1),
        "last move missing": changed(game, moves=" ".join(moves[:-1])),
        "a move too many": changed(game, moves=" ".join([*moves, "-t"])),
        "an illegal move": changed(game, moves=" ".join(["@z9", *moves[1:]])),
        "moves swapped": changed(game, moves=" ".join([moves[1], moves[0], *moves[2:]])),
        "other rules": changed(game, rules_version=0),
        "another config": changed(game, config="square8_2p"),
        "targets damaged": changed(game, targets=game.targets[:-1]),
        "targets for three": changed(game, targets=encode(3, [])),
        "a target for no move": changed(game, targets=encode(2, [*decisions[:-1], beyond])),
        "a target after the end": changed(game, targets=encode(2, [*decisions, late])),
    }


def test_falsified_games_are_rejected_and_counted(games) -> None:
    config = Config.parse("hex8_2p")
    good = games["hex8_2p"]
    wrong = falsified(good[0])
    data, counts = build_shard(config, [good[0], *wrong.values(), good[1]])
    assert data == build_shard(config, good[:2])[0]
    assert counts.games == 2
    assert len(counts.rejected) == len(wrong)
    for game in wrong.values():
        with pytest.raises(GameRejected):
            check_game(game)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"winner": 2}, "the winner has rank 1"),
        ({"ranks": (2, 1)}, "the winner has rank 1"),
        ({"config": "hex8_3p"}, "seats differ from the config"),
    ],
)
def test_a_game_that_contradicts_itself_is_no_fact(
    games, change: dict[str, Any], reason: str
) -> None:
    game = changed(games["hex8_2p"][0], winner=1, ranks=(1, 2))
    with pytest.raises(ValueError, match=reason):
        changed(game, **change)


@pytest.mark.parametrize(
    ("winner", "ranks", "values"),
    [
        (1, (1, 2), (1, -1)),
        (2, (2, 1), (-1, 1)),
        (3, (2, 3, 1), (0, -1, 1)),
        (1, (2, 1, 3), (1, 1, -1)),  # counters that contradict the declared winner are ignored
        (4, (4, 2, 2, 1), (-1, 1 / 3, 1 / 3, 1)),
        (0, (1, 2, 3), (1, 0, -1)),
    ],
)
def test_the_value_of_the_declared_winner_is_one(
    winner: int, ranks: tuple[int, ...], values: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(outcome_values(winner, ranks), values, atol=1e-6)


def test_shards_that_are_damaged_or_of_other_builds_are_rejected(games) -> None:
    data = build_shard(Config.parse("hex8_2p"), games["hex8_2p"])[0]
    columns, metadata = unpack(data)
    header = metadata["ringrift"]
    without_first_policy = columns["entry_start"].copy()
    without_first_policy[1] = 0

    def spoilt(name: str, value: float) -> dict[str, Any]:
        column = columns[name].copy()
        column.flat[-1] = value
        return {name: column}

    cases = {
        "export it again": (columns, header.replace("planes-1", "planes-0")),
        "in the header": (columns, header.replace('"games":4', '"games":5')),
        "hex9_2p": (columns, header.replace("hex8_2p", "hex9_2p")),
        "not those of a shard": ({k: v for k, v in columns.items() if k != "pie"}, header),
        "type float64": (columns | {"weight": columns["weight"].astype(np.float64)}, header),
        "shape": (columns | {"ply": columns["ply"][:-1]}, header),
        "outside its game": (columns | {"ply": columns["ply"] + np.int32(10_000)}, header),
        "ascend": (columns | {"game": columns["game"][::-1]}, header),
        "ascend by game and ply": (columns | {"ply": columns["ply"] * np.int32(0)}, header),
        "each policy needs a move": (columns | {"entry_start": without_first_policy}, header),
        "pie rule": (columns | {"pie": columns["pie"] + np.uint8(2)}, header),
        "no share": (columns | {"share": columns["share"] * np.uint16(0)}, header),
        "'weight' has values outside of 0 to 1000": (columns | spoilt("weight", np.nan), header),
        "'weight' has values outside of 0": (columns | spoilt("weight", -1.0), header),
        "'outcome' has values outside of -1 to 1": (columns | spoilt("outcome", np.inf), header),
        "'root_value' has values": (columns | spoilt("root_value", 1e38), header),
    }
    for message, (changed, text) in cases.items():
        with pytest.raises(ShardError, match=message):
            read_shard(pack(changed, {"ringrift": text}))
    with pytest.raises(ShardError, match="not a shard"):
        read_shard(data[:-3])


def test_a_policy_of_an_illegal_move_is_rejected(games) -> None:
    columns, metadata = unpack(build_shard(Config.parse("hex8_2p"), games["hex8_2p"])[0])
    damaged = read_shard(pack(columns | {"move": columns["move"] + np.uint16(9000)}, metadata))
    with pytest.raises(ShardError, match="not legal"):
        open_window([damaged], 10**6)


def test_a_shard_of_more_games_than_the_limit_is_rejected(monkeypatch, games) -> None:
    data = build_shard(Config.parse("hex8_2p"), games["hex8_2p"])[0]
    monkeypatch.setattr(shards, "GAMES_MAX", 3)
    with pytest.raises(ShardError, match="at most 3"):
        read_shard(data)


@pytest.mark.parametrize("code", [0, -1, 1, 2**62, -(2**63), "over"])
def test_games_against_the_rules_are_no_samples(games, code: int | str) -> None:
    """They came to compiled code that trusts its arguments, and ended the process."""
    columns, metadata = unpack(build_shard(Config.parse("hex8_2p"), games["hex8_2p"])[0])
    codes = columns["codes"].copy()
    at = columns["ply_start"][2] + 3
    codes[at] = codes[columns["ply_start"][1]] if code == "over" else code
    forged = read_shard(pack(columns | {"codes": codes}, metadata))
    for samples in (10**6, 1):
        with pytest.raises(ShardError, match="game 2 is against the rules"):
            open_window([forged], samples)


def test_a_game_without_an_end_is_no_sample(games) -> None:
    columns, metadata = unpack(build_shard(Config.parse("hex8_2p"), games["hex8_2p"])[0])
    last = columns["ply_start"][-1] - 1
    kept = columns["ply"] + columns["ply_start"][columns["game"]] < last
    starts = np.append(columns["ply_start"][:-1], last)
    shorter = columns | {"codes": columns["codes"][:-1], "ply_start": starts}
    assert kept.all(), "the last ply has no decision"
    with pytest.raises(ShardError, match="game 3 is against the rules"):
        open_window([read_shard(pack(shorter, metadata))], 10**6)


def test_targets_of_more_decisions_than_the_game_has_plies_are_not_read() -> None:
    def target(ply: int, move: int) -> Decision:
        return Decision(ply, np.zeros(2, np.float32), np.array([move]), np.ones(1, np.float32))

    many = encode(2, [target(ply, 0) for ply in range(1000)])
    with pytest.raises(TargetsError, match="a target for ply 10 of a game of 10 plies"):
        decode(many, 10)
    with pytest.raises(TargetsError, match="a policy over 70000 moves"):
        decode(encode(2, [target(0, 69_999)]))
