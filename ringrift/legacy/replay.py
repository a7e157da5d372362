"""Replays old games by our rules and says what became of each.

Accepted games are whole and legal and end with the recorded winner; games that the old system
ended within a turn count if every completion of the turn has that winner
(`ringrift.learning.ends`). Where a record leaves several moves possible, all are tried in
turn, and the later moves decide."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from msgspec import Struct

from ringrift.learning.ends import Forced, end_of, forced_end
from ringrift.learning.shards import play_checked
from ringrift.legacy.moves import KINDS, Board, Move, board_of, candidates, codes_of
from ringrift.rules import PHASES, Config, ConfigError, Position, moves as mv
from ringrift.rules.config import BOARDS
from ringrift.rules.notation import parse_token, token

BRANCHES_MAX: Final = 2_000
"""points of one game at which several moves are tried"""
TOKENS_MAX: Final = 1 << 16
SHOWN_MAX: Final = 6
"""legal moves that a report shows"""


class OldGame(Struct, kw_only=True):
    """A game as its record says, whatever the format; `defect` is a class and the reason, if the
    record cannot be replayed at all, `at` the index of the move that cannot be read."""

    id: str | None
    line: int | None = None
    board: str = ""
    seats: int = 0
    pie: bool = False
    moves: list[Move] = []
    tokens: list[str] | None = None
    """our own tokens, in a record of ours"""
    winner: int = 0
    finished: bool = False
    total: int | None = None
    """number of moves by the record's own count"""
    players: tuple[str, ...] = ()
    seconds: float = 0.0
    defect: tuple[str, str] | None = None
    at: int | None = None


class Verdict(Struct, kw_only=True):
    """What became of a game. `kind` is `ok` or `ended_within_turn` (accepted), `open`, a class of
    duplicates (skipped) or one of defects (rejected)."""

    game: OldGame
    kind: str
    why: str = ""
    plies: int = 0
    at: int | None = None
    """index of the first bad move"""
    position: str | None = None
    """before the bad move"""
    instead: list[str] = []
    """the first legal moves there"""
    moves: str = ""
    pie: bool = False
    end: dict[str, Any] = {}

    @property
    def status(self) -> str:
        """accepted, open, skipped or rejected."""
        if self.kind in ("ok", "ended_within_turn"):
            return "accepted"
        known = {"open": "open", "duplicate_same": "skipped", "already_imported": "skipped"}
        return known.get(self.kind, "rejected")


def config_of(game: OldGame) -> Config:
    """The config of a game. Raises ConfigError."""
    return Config(game.board, game.seats)


def judge(game: OldGame, *, thorough: bool = True) -> Verdict:
    """Replay a game and compare it with its record.

    A game whose placements have no counts is rejected in any case; if `thorough`, the report says
    how far some reading of it gets, which may take a second."""
    if game.defect is not None:
        return Verdict(game=game, kind=game.defect[0], why=game.defect[1], at=game.at)
    if game.board not in BOARDS:
        known = ", ".join(BOARDS)
        return Verdict(game=game, kind="unknown_board", why=f"{game.board!r} is none of {known}")
    try:
        config = config_of(game)
    except ConfigError as error:
        return Verdict(game=game, kind="bad_seats", why=str(error))
    if not game.moves and not game.tokens:
        return Verdict(game=game, kind="no_moves", why="the record has no moves")
    return _Replay(game, config).verdict(thorough)


class _Tokens(dict[int, str]):
    """The tokens of moves by their codes; a few thousand recur."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __missing__(self, code: int) -> str:
        if len(self) >= TOKENS_MAX:
            self.clear()
        self[code] = token(self.config, code)
        return self[code]


_tokens = cache(_Tokens)


_SEATS: Final = {None: -1, 1: 1, 2: 2, 3: 3, 4: 4}


class _Failure(Struct):
    """The first move of a path that cannot be played."""

    kind: str
    why: str
    at: int
    position: str
    instead: list[str]


class _Replay:
    """The search for a legal reading of one record."""

    def __init__(self, game: OldGame, config: Config) -> None:
        self.game, self.config = game, config
        self.board: Board = board_of(config)
        moves = game.moves
        fixed, self.uncounted = codes_of(self.board, moves)
        self.pie = config.seats == 2 and (game.pie or mv.SWAP in fixed)
        self.count = 0 if self.uncounted else 1
        if game.tokens is not None:
            fixed = [parse_token(config, token) for token in game.tokens]
        self.fixed = np.array(fixed, np.int64)
        """codes of the moves, 0 where the record leaves several possible"""
        self.codes = self.fixed.copy()
        seats = [_SEATS.get(move.player, 5) for move in moves]
        self.seats = np.array(seats or [-1] * len(fixed), np.int64)
        self.failure: _Failure | None = None

    def verdict(self, thorough: bool) -> Verdict:
        """What became of the game."""
        if self.uncounted:
            read = self._path() if thorough else None
            why = "placements have no counts of rings: the game cannot be known"
            return self._rejected("counts_not_recorded", why, read)
        played = self._path()
        if played is None:
            assert self.failure is not None
            return self._rejected(self.failure.kind, self.failure.why)
        kind, why, forced = self._end(played)
        accepted = kind in ("ok", "ended_within_turn")
        return Verdict(
            game=self.game,
            kind=kind,
            why=why,
            plies=played.ply,
            position=None if accepted or kind == "open" else played.text(),
            moves=" ".join(map(_tokens(self.config).__getitem__, self.codes.tolist())),
            pie=self.pie,
            end=end_of(played, forced) if accepted else {},
        )

    def _rejected(self, kind: str, why: str, read: Position | None = None) -> Verdict:
        """The verdict on a game that cannot be played to its end, or must not (`read`: could)."""
        found = None if read else self.failure
        return Verdict(
            game=self.game,
            kind=kind,
            why=why,
            plies=read.ply if read else found.at if found else 0,
            at=found.at if found else None,
            position=found.position if found else None,
            instead=found.instead if found else [],
            pie=self.pie,
        )

    def _path(self) -> Position | None:
        """The position after all moves on the first legal path; else None, and the failure that
        came latest."""
        position, ply = Position.start(self.config, self.pie), 0
        others: list[tuple[int, np.ndarray[Any, Any], int]] = []
        tried = 0
        while True:
            if ply < len(self.codes) and self.fixed[ply]:
                ply = self._play(position, ply)
            if ply == len(self.codes):
                return position
            found = self._read(position, ply)
            tried += len(found) > 1
            others += [(ply, position.state.copy(), code) for code in reversed(found[1:])]
            if not found:
                if not others or tried > BRANCHES_MAX:
                    return None
                ply, state, code = others.pop()
                position, found = Position(self.config, state), [code]
            position.play_code(found[0])
            self.codes[ply] = found[0]
            ply += 1

    def _play(self, position: Position, ply: int) -> int:
        """Play the moves that are certain, from `ply` on; return the index of the first other."""
        geo, codes = position.geometry, self.fixed[ply:]
        legal, seats = np.empty((2, len(codes)), np.int64)
        buffer = np.empty(geo.moves_max, np.int64)
        before = position.state.copy()
        played = play_checked(geo, position.state, codes, buffer, legal, seats)
        recorded = self.seats[ply : ply + played]
        wrong = np.flatnonzero((recorded != seats[:played]) & (recorded >= 0))
        if wrong.size:  # a move by another seat is none
            position.state[:] = before
            played = play_checked(geo, position.state, codes[: wrong[0]], buffer, legal, seats)
        return ply + played

    def _read(self, position: Position, ply: int) -> list[int]:
        """The legal moves that the record at `ply` may mean; where there are none, notes why."""
        move = self.game.moves[ply] if self.game.moves else Move()
        kinds, legal = KINDS.get(move.name, ()), position.legal_codes()
        if position.over:
            kind = "moves_after_end"
            why = f"our game is over: {position.winner} {position.reason}"
        elif not kinds:
            kind, why = "unknown_move_type", f"there is no move type {move.name!r}"
        elif move.player not in (None, position.seat):
            kind, why = "wrong_seat", f"recorded seat {move.player}, ours {position.seat}"
        elif found := candidates(position, self.board, move, self.count):
            return found
        else:
            possible = any(code & 31 in kinds for code in legal.tolist())
            kind = "illegal_move" if possible else "illegal_in_phase"
            phase = PHASES[position.phase]
            why = f"{move.name} fits none of {legal.size} legal moves of {phase}"
        if self.failure is None or ply > self.failure.at:
            shown = sorted(position.legal())[:SHOWN_MAX]
            self.failure = _Failure(kind, why, ply, position.text(), shown)
        return []

    def _end(self, played: Position) -> tuple[str, str, Forced | None]:
        """The class of a legal game, the reason, and its end if it stopped within a turn."""
        game, recorded = self.game, self.game.winner
        if played.over:
            if recorded in (0, played.winner):
                return "ok", "", None
            return "wrong_winner", f"recorded winner {recorded}, ours {played.winner}", None
        if not game.finished:
            return "open", "the game is unfinished", None
        if not recorded:
            kind = "completed_without_winner_and_not_over"
            return kind, "it has no winner, and by our rules it goes on", None
        if game.total is not None and game.total > played.ply:
            why = f"the record has {played.ply} of {game.total} moves"
            return "fewer_moves_than_recorded", why, None
        forced = forced_end(played)
        if forced is None:
            return "not_over", "by our rules the game goes on", None
        if forced.winner != recorded:
            return "wrong_winner", f"recorded winner {recorded}, ours {forced.winner}", None
        return "ended_within_turn", "", forced
