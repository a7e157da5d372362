"""What is analysed in the browser: a game of the log, one that was played here, a pasted text."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from ringrift.analysis.games import Review
from ringrift.analysis.positions import MoveInfo
from ringrift.insight.board.board_svg import Mark
from ringrift.insight.board.drawing import BoardView, view
from ringrift.insight.board.recorded_game import RecordedGame
from ringrift.rules import NotationError, Position, Record
from ringrift.web.games_graph import Blunder
from ringrift.web.latest import Latest

TEXTS_MAX: Final = 200
"""pasted texts kept, those used last"""
REVIEWS_MAX: Final = 50
TEXT_CHARS_MAX: Final = 200_000
MARKS_MAX: Final = 6
SHARE_MIN: Final = 0.01


class Subject(NamedTuple):
    """A game, or a position alone, and the query that names it in an address."""

    query: str
    title: str
    record: Record | None
    lone: Position | None = None

    @property
    def plies(self) -> int:
        """Number of moves of the game."""
        return len(self.record.moves) if self.record else 0

    def at(self, ply: int) -> BoardView:
        """Return the position after `ply` moves, or the position alone."""
        if self.record is None:
            assert self.lone is not None
            return view(self.lone)
        return RecordedGame(self.title, self.record).at(ply)


class Subjects:
    """Pasted texts, and reviews of whole games."""

    def __init__(self) -> None:
        self._texts = Latest[str, Subject](TEXTS_MAX)
        self.reviews = Latest[tuple[str, str], Review](REVIEWS_MAX)
        self.get = self._texts.get

    def add(self, text: str) -> str:
        """Keep a pasted record or position; return its key. Raises NotationError."""
        text = text.strip()
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        query = f"text={key}"
        if text.startswith("["):
            self._texts.put(key, Subject(query, "a pasted game", Record.parse(text)))
        else:
            self._texts.put(key, Subject(query, "a position", None, Position.parse(text)))
        return key


def checked(text: str) -> str:
    """Return a text that is short enough. Raises NotationError."""
    if len(text) > TEXT_CHARS_MAX:
        limit = f"a record or position has at most {TEXT_CHARS_MAX:,} characters"
        raise NotationError(text[:40], 0, limit)
    return text


def share_of(move: MoveInfo, visits: int) -> float:
    """Return the part of a search that a move has: of the improved policy, else of the visits."""
    return move.visits / max(visits, 1) if move.improved_policy is None else move.improved_policy


def marks(moves: tuple[MoveInfo, ...], played: str) -> list[Mark]:
    """Return the best moves as drawn on the board, and the one that was played."""
    visits = sum(move.visits for move in moves)
    shares = [(move, share_of(move, visits)) for move in moves]
    best = sorted(shares, key=lambda pair: -pair[1])[:MARKS_MAX]
    return [
        Mark(move.move, share, move.move == played)
        for move, share in shares
        if move.move == played or ((move, share) in best and share >= SHARE_MIN)
    ]


def blunders(review: Review) -> list[Blunder]:
    """Return the blunders of a game as marks of its graph."""
    return [Blunder(one.ply, one.seat, one.loss or 0.0) for one in review.blunders]


def curve(review: Review) -> dict[int, list[float]]:
    """Return the known values by seat of a reviewed game, by ply."""
    rows = [(one.ply, one.values) for one in review.plies] + [(len(review.plies), review.final)]
    return {
        ply: [value for value in values if value is not None]
        for ply, values in rows
        if values and None not in values
    }
