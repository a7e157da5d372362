"""Samples from recorded games: every game is replayed and checked before it is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import numpy as np

from ringrift.events.facts import GameCompleted
from ringrift.learning.targets import Decision, TargetsError, decode
from ringrift.nets.arrays import Codes, Floats, Int32s, Int64s
from ringrift.rules import Config, Geometry, Position, RulesError
from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import compiled
from ringrift.rules.legal import legal_moves
from ringrift.rules.moves import RESIGN, TIMEOUT
from ringrift.rules.notation import parse_token
from ringrift.rules.version import RULES_VERSION

MOVES_MAX: Final = 1 << 16  # indices of moves are stored in two bytes
TOKENS_MAX: Final = 1 << 16  # cached codes of tokens: a few thousand tokens recur


class GameRejected(ValueError):
    """A recorded game must not be used for training; the message gives the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedGame:
    """A game that replays to its recorded end.

    key        first 8 bytes of the SHA-256 of the game's id, which selects validation games
    codes      int64 [plies], the moves
    outcome    float32 [seats], value of the end for each seat (`outcome_values`)
    decisions  the searched decisions, in order of ply; none if some seat did not search
    """

    key: int
    pie: bool
    codes: Codes
    outcome: Floats
    decisions: Sequence[Decision]


def outcome_values(winner: int, ranks: Sequence[int]) -> Floats:
    """Return the value of the end for each seat: +1 for the winner, 1 - 2 (rank - 1) / (n - 1) for
    the others.

    The winner's rank is ignored: the declared winner has won whatever the counters say. Without a
    winner (resignation with three or four seats, section 6.1) the ranks decide."""
    n = len(ranks)
    values = [1.0 - 2.0 * (rank - 1) / (n - 1) for rank in ranks]
    if winner:
        values[winner - 1] = 1.0
    return np.array(values, np.float32)


def check_game(game: GameCompleted) -> CheckedGame:
    """Replay `game` and compare its end and targets with the record. Raises GameRejected."""
    try:
        config = Config.parse(game.config)
        seats, decisions = decode(game.targets)
        if game.rules_version != RULES_VERSION:
            raise GameRejected(
                f"rules version {game.rules_version}, this build has {RULES_VERSION}"
            )
        if seats != config.seats:
            raise GameRejected(f"targets are for {seats} seats, the game has {config.seats}")
        position = Position.start(config, pie=game.pie)
        codes = _replay(position, game.moves.split(), decisions)
    except (RulesError, TargetsError) as error:
        raise GameRejected(str(error)) from error
    _compare_end(game, position)
    key = int.from_bytes(sha256(game.game.encode()).digest()[:8], "little")
    # Against an opponent that does not search nearly every position is won: such values would
    # teach that all positions are.
    learnt = decisions if all(seat.simulations for seat in game.seats) else []
    outcome = outcome_values(position.winner, position.ranks())
    return CheckedGame(key, game.pie, codes, outcome, learnt)


def _replay(position: Position, tokens: Sequence[str], decisions: Sequence[Decision]) -> Codes:
    """Play `tokens` from the start and return their codes. Checks that every policy is over legal
    moves."""
    if decisions and decisions[-1].ply >= len(tokens):
        raise GameRejected(f"a target for ply {decisions[-1].ply} of a game of {len(tokens)} plies")
    codes = np.array([_parsed(position.config, text) for text in tokens], np.int64)
    legal = np.zeros(len(codes), np.int64)
    geo = position.geometry
    buffer = np.empty(geo.moves_max, np.int64)
    played = play_checked(geo, position.state, codes, buffer, legal)
    if played < len(codes):
        position.play(tokens[played])  # raises with the reason
    for decision in decisions:
        last = int(decision.indices[-1])
        if last >= min(int(legal[decision.ply]), MOVES_MAX):
            raise GameRejected(
                f"ply {decision.ply}: a target for move {last} of {legal[decision.ply]} legal moves"
            )
    return codes


_parsed = lru_cache(TOKENS_MAX)(parse_token)


@compiled
def play_checked(geo: Geometry, state: Int32s, codes: Codes, buffer: Codes, legal: Int64s) -> int:
    """Play `codes` on `state` up to the first illegal move; return the number of moves played.

    Writes the number of legal moves before move i to `legal[i]`; `buffer` is scratch. Resigning and
    losing on time are legal in every phase."""
    for i in range(codes.size):
        if state[la.PHASE] == la.OVER:
            return i
        count = legal_moves(geo, state, buffer)
        legal[i] = count
        known = codes[i] == RESIGN or codes[i] == TIMEOUT
        for k in range(count):
            known |= buffer[k] == codes[i]
        if not known:
            return i
        apply_move(geo, state, codes[i])
    return codes.size


def end_of(position: Position) -> dict[str, Any]:
    """Return what a recorded game says about its end, by the names of `GameCompleted`."""
    return {
        "plies": position.ply,
        "winner": position.winner,
        "reason": position.reason,
        "ranks": position.ranks(),
        "removed": position.removed(),
        "territory": position.territory(),
    }


def _compare_end(game: GameCompleted, position: Position) -> None:
    if not position.over:
        raise GameRejected(f"not over after its {position.ply} plies")
    for name, found in end_of(position).items():
        recorded = getattr(game, name)
        if recorded != found:
            raise GameRejected(f"{name}: {recorded} in the record, {found} in the replay")
