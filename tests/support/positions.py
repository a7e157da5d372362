"""Positions for tests of rules and searches, and players on them."""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ringrift.rules import Config, Position, Record, geometry
from ringrift.rules.record import result_of
from ringrift.search.arrays import Codes, Floats, Seeds, States
from ringrift.search.heuristic import SCRATCH, evaluate, heuristic_weights
from ringrift.search.players import Decision, Evaluate, Player


def states_in_play(
    config: Config, count: int, *, seed: int = 5, plies: int = 90, moves_max: int = 1 << 30
) -> States:
    """Return positions of random games with 2 to `moves_max` legal moves, the first such ones after
    up to `plies` plies."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while len(found) < count:
        position = Position.start(config)
        stop = int(rng.integers(0, plies))
        while not position.over and not (
            position.ply >= stop and 2 <= len(position.legal_codes()) <= moves_max
        ):
            position.play_code(int(rng.choice(position.legal_codes())))
        if not position.over:
            found.append(position.state)
    return np.array(found)


def endings(config: Config, games: int, *, before: int, seed: int = 1) -> States:
    """Return from each of `games` random games the position `before` decisions before its end."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for _ in range(games):
        position = Position.start(config)
        choices: list[np.ndarray] = []
        while not position.over:
            if len(position.legal_codes()) > 1:
                choices.append(position.state.copy())
            position.play_code(int(rng.choice(position.legal_codes())))
        found.append(choices[-before])
    return np.array(found)


def random_game(key: str, seed: int) -> list[Position]:
    """Return all positions of a random game, with start and end."""
    rng = np.random.default_rng(seed)
    position = Position.start(Config.parse(key))
    found = [position.copy()]
    while not position.over:
        position.play_code(int(rng.choice(position.legal_codes())))
        found.append(position.copy())
    return found


def random_positions(key: str, *, count: int, seed: int = 0, every: int = 3) -> list[Position]:
    """Return `count` positions with a choice from random games, about one in `every`."""
    rng = np.random.default_rng(seed)
    found: list[Position] = []
    while len(found) < count:
        position = Position.start(Config.parse(key))
        while not position.over and len(found) < count:
            codes = position.legal_codes()
            if len(codes) > 1 and rng.integers(every) == 0:
                found.append(position.copy())
            position.play_code(int(codes[rng.integers(len(codes))]))
    return found


def arrays_of(positions: list[Position]) -> tuple[States, Codes, Codes]:
    """Return states, legal codes and offsets as evaluators take them."""
    codes = [position.legal_codes() for position in positions]
    offsets = np.cumsum([0, *map(len, codes)]).astype(np.int64)
    return np.array([position.state for position in positions]), np.concatenate(codes), offsets


def seeds(count: int) -> Seeds:
    """Return the seeds 0 to count - 1."""
    return np.arange(count).astype(np.uint64)


def choose_one(player: Player, position: Position, seed: int = 1) -> Decision:
    """Return the decision of a player in one position."""
    (decision,) = player.choose(position.state[None], np.array([seed], np.uint64))
    return decision


def same(one: Decision, other: Decision) -> bool:
    """Whether two decisions are equal in every field."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Decision)
    )


def as_network(config: Config, seen: Callable[[States, Codes, Codes], None]) -> Evaluate:
    """Return an evaluator with the values of the heuristic and equal logits; `seen` gets the
    arguments of each call."""
    g, weights, scratch = geometry(config), heuristic_weights(config), np.zeros(SCRATCH, np.float32)

    def evaluator(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        seen(states, codes, offsets)
        values = np.zeros((len(states), config.seats), np.float32)
        for state, row in zip(states, values, strict=True):
            evaluate(g, state, weights, scratch, row)
        return np.zeros(len(codes), np.float32), values

    return evaluator


def replayed(record: Record) -> Position:
    """Return the position after all moves of a record. Raises NotationError, IllegalMove."""
    position = record.start()
    for move in record.moves:
        position.play(move)
    return position


def record_of(config: Config, moves: Iterable[str], **fields: Any) -> Record:
    """Return the record of a game with the result that its moves lead to."""
    record = Record(config, moves=tuple(moves), **fields)
    return replace(record, result=result_of(replayed(record)))
