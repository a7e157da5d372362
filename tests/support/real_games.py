"""Recorded games that can be replayed, with targets."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from msgspec.structs import replace

from ringrift.events.facts import GameCompleted, Seat
from ringrift.learning.targets import Decision, encode
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION


def recorded_game(number: int, **changes: Any) -> GameCompleted:
    """A random game of hex8_2p with one target, at its first choice."""
    return replace(_random_game(number), **changes)


def targets_at(move: int) -> bytes:
    """Targets of one decision, all on one move."""
    decision = Decision(0, np.zeros(2, np.float32), np.array([move]), np.ones(1, np.float32))
    return encode(2, [decision])


@functools.cache
def _random_game(number: int) -> GameCompleted:
    rng, moves = np.random.default_rng(number), list[str]()
    position = Position.start(Config.parse("hex8_2p"))
    while not position.over:
        code = int(rng.choice(position.legal_codes()))
        moves.append(position.token(code))
        position.play_code(code)
    seat = Seat(participant="x:gumbel:s8", harness="gumbel", simulations=8)
    return GameCompleted(
        game=f"game-{number}",
        config="hex8_2p",
        origin="selfplay",
        ticket="t",
        seats=(seat, seat),
        pie=False,
        seed=number,
        moves=" ".join(moves),
        plies=position.ply,
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=targets_at(0),
        rules_version=RULES_VERSION,
        play_seconds=0.0,
        node="n",
        settings_version=1,
    )
