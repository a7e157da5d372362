"""A recorded game as a trace: what another implementation of the rules needs to judge it."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np

from ringrift.events.facts import GameCompleted
from ringrift.learning.shards import check_game
from ringrift.rules import Config, Position, layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.config import LPS_ROUNDS_DEFAULT
from ringrift.rules.layout import END_CAUSES, END_REASONS
from ringrift.rules.legal import legal_moves
from ringrift.rules.position import PHASES
from ringrift.trust.traces.text import FORMAT, Tracer


def hash16(text: str) -> str:
    """H of the format: 16 hex digits of SHA-256."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def trace_of(game: GameCompleted) -> bytes:
    """The trace of a game: the game as recorded, judged by the rules of this program.
    Raises GameRejected if it does not replay by these."""
    lines = (json.dumps(line, separators=(",", ":")) for line in _lines(game))
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(game: GameCompleted) -> Iterator[dict[str, Any]]:
    config, codes = Config.parse(game.config), check_game(game).codes.tolist()
    tracer, geo = Tracer(config), Position.start(config).geometry
    s = Position.start(config, pie=game.pie).state
    buffer = np.empty(geo.moves_max, np.int64)
    start = tracer.state(s)
    yield {
        "kind": "header",
        "format": FORMAT,
        "id": game.game,
        "board": config.board,
        "players": config.seats,
        "swap": int(game.pie),
        "lps_rounds": LPS_ROUNDS_DEFAULT,
        "policy": "recorded",
        "seed": game.seed,
        "legal_every": 0,
        "state_every": 0,
        "state": start,
        "sh": hash16(start),
    }
    for number, code in enumerate(codes):
        count = legal_moves(geo, s, buffer)
        legal = sorted(tracer.legal(s, buffer[:count].tolist()))
        seat = int(s[la.TURN])
        step = {"i": number, "p": seat, "ph": PHASES[s[la.PHASE]]}
        move = tracer.move(s, seat, code)
        apply_move(geo, s, code)
        found = {"nl": count, "lh": hash16("\n".join(legal)), "sh": hash16(tracer.state(s))}
        yield {**step, "m": move, **found}
    state = tracer.state(s)
    yield {
        "kind": "end",
        "id": game.game,
        "steps": len(codes),
        "status": "completed",
        "winner": game.winner,
        "reason": END_REASONS[s[la.REASON]],
        "cause": END_CAUSES[s[la.REASON]],
        "standings": tracer.standings(s),
        "state": state,
        "sh": hash16(state),
    }
