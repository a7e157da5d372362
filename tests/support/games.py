"""Recorded games to learn from: random play, with a made-up improved policy at every choice."""

from __future__ import annotations

import numpy as np

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning.targets import Decision, encode
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION


def random_decision(position: Position, rng: np.random.Generator) -> Decision:
    """A sparse policy over the legal moves and random root values."""
    legal = len(position.legal_codes())
    indices = np.sort(rng.choice(legal, size=min(legal, 5), replace=False)).astype(np.int64)
    probabilities = rng.dirichlet(np.ones(len(indices))).astype(np.float32)
    values = rng.uniform(-1, 1, position.config.seats).astype(np.float32)
    return Decision(position.ply, values, indices, probabilities)


def play_game(key: str, seed: int) -> GameCompleted:
    """A whole random game of config `key`, a function of `seed`."""
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
