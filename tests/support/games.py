"""Recorded games to learn from: random play, with a made-up improved policy as target."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from msgspec.structs import replace

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.targets import Decision, encode
from ringrift.learning.window import Window, open_window
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION


def random_decision(position: Position, rng: np.random.Generator) -> Decision:
    """Return a sparse policy over the legal moves and random root values."""
    legal = len(position.legal_codes())
    indices = np.sort(rng.choice(legal, size=min(legal, 5), replace=False)).astype(np.int64)
    probabilities = rng.dirichlet(np.ones(len(indices))).astype(np.float32)
    values = rng.uniform(-1, 1, position.config.seats).astype(np.float32)
    return Decision(position.ply, values, indices, probabilities)


@functools.cache
def play_game(key: str, seed: int) -> GameCompleted:
    """Return a whole random game of config `key`, a function of `seed`."""
    rng = np.random.default_rng(seed)
    position = Position.start(Config.parse(key))
    moves: list[str] = []
    decisions: list[Decision] = []
    while not position.over:
        codes = position.legal_codes()
        if len(codes) > 1:
            decisions.append(random_decision(position, rng))
        code = int(codes[rng.integers(len(codes))])
        moves.append(position.token(code))
        position.play_code(code)
    seats = position.config.seats
    return GameCompleted(
        game=f"{key}-{seed}",
        config=key,
        origin="selfplay",
        ticket="t",
        pie=False,
        seed=seed,
        moves=" ".join(moves),
        seats=(Seat(participant="test:gumbel:s8", harness="gumbel", simulations=8),) * seats,
        plies=position.ply,
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=encode(seats, decisions),
        rules_version=RULES_VERSION,
        play_seconds=0.0,
        node="n",
        settings_version=1,
    )


def targets_at(move: int) -> bytes:
    """Targets of one decision, all on one move."""
    decision = Decision(0, np.zeros(2, np.float32), np.array([move]), np.ones(1, np.float32))
    return encode(2, [decision])


def recorded_game(number: int, **changes: Any) -> GameCompleted:
    """A random game of hex8_2p with one target, at its first choice."""
    base = play_game("hex8_2p", number)
    return replace(base, **{"game": f"game-{number}", "targets": targets_at(0), **changes})


def window_of(key: str, games: int) -> Window:
    """Return the samples of the first `games` random games of a config."""
    data, _ = build_shard(Config.parse(key), [play_game(key, seed) for seed in range(games)])
    return open_window([read_shard(data)], 10**6)
