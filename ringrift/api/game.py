"""Games in plain types: names of configs and cells, tokens of moves, tuples by seat.

Wrong names, illegal moves and bad records raise `ringrift.rules.RulesError`, which is a ValueError
whose text names the place and what would be right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ringrift import rules
from ringrift.insight.board import board_svg, drawing
from ringrift.rules import PHASES, Position, Record, RulesError, moves as mv
from ringrift.rules.config import LPS_ROUNDS_DEFAULT
from ringrift.rules.move_cells import move_cells
from ringrift.rules.notation import cell_names, fields
from ringrift.rules.outcome import final_values
from ringrift.rules.record import result_of
from ringrift.search.values import person_of

CONFIGS: Final = tuple(config.key for config in rules.CONFIGS)
"""Names of the twelve configs: a board and a number of seats, such as `hex8_2p`."""

_KIND_NAMES = (
    "place skip_place no_place swap walk leap chain no_move skip_recovery skip_capture "
    "recovery_all recovery_part recovery_fallback recovery_strike line line_all line_part "
    "elim_line elim_territory elim_recovery no_line claim skip_territory no_territory forced "
    "resign timeout"
)
KINDS: Final = dict(enumerate(_KIND_NAMES.split(), start=mv.PLACE))
"""Names of the kinds of moves, by their number in a move code."""


@dataclass(frozen=True, slots=True)
class Move:
    """A legal move.

    token  as written in records, such as `@e5`; what `Game.play` takes
    kind   its kind in words, such as `place`; one of `KINDS`
    cells  names of the cells that it names, in the order of its token
    takes  names of the cells that a line, a recovery line slide or a claim collapses
    rings  rings of a placement, 0 of other moves
    code   its number in the rules and in `Position`
    """

    token: str
    kind: str
    cells: tuple[str, ...]
    takes: tuple[str, ...]
    rings: int
    code: int


@dataclass(frozen=True, slots=True)
class Cell:
    """The contents of one cell: a stack, a marker, a collapsed space, or nothing.

    stack      seats of the rings, top first
    marker     seat, 0 for none
    collapsed  owner, 0 for none
    """

    stack: tuple[int, ...] = ()
    marker: int = 0
    collapsed: int = 0


class Game:
    """One game, from its start position on.

    >>> game = Game("hex8_2p")
    >>> game.seat, game.phase, len(game.legal())
    (1, 'ring_placement', 183)
    >>> game.play("@e5")
    >>> game.cells()["e5"]
    Cell(stack=(1,), marker=0, collapsed=0)
    >>> [move.token for move in game.legal()][:3]
    ['e5-a5', 'e5-a9', 'e5-b5']
    >>> game.play("e5-e7")
    >>> game.play_forced()
    ('-l', '-t')
    >>> game.seat, game.ply, game.moves
    (2, 4, ('@e5', 'e5-e7', '-l', '-t'))
    """

    def __init__(
        self, config: str, *, pie: bool = False, lps_rounds: int = LPS_ROUNDS_DEFAULT
    ) -> None:
        """Start a game of `config`, one of `CONFIGS`.

        `pie` lets the second of two seats swap sides once; `lps_rounds` are the rounds that the
        last-player-standing rule requires. Raises ConfigError, RulesError."""
        self._record: Record | None = Record(
            rules.Config.parse(config), (), pie, (), lps_rounds=lps_rounds
        )
        self._first = self._record.start()
        self.raw = self._first.copy()
        """the position in the rules, with move codes and arrays; it must not be played on"""
        self._moves: list[str] = []

    @classmethod
    def from_position(cls, text: str) -> "Game":
        """Return a game that goes on from a position written by `position()`. Raises
        NotationError.

        >>> game = Game("square8_3p")
        >>> game.play("@d4*2")
        >>> Game.from_position(game.position()).cells()["d4"].stack
        (1, 1)
        """
        position = Position.parse(text)
        game = cls(position.config.key)
        game._record, game._first, game.raw = None, position, position.copy()
        return game

    @classmethod
    def from_record(cls, text: str) -> "Game":
        """Return the game in a record, after its last move. Raises NotationError."""
        record = Record.parse(text)
        game = cls(record.config.key, pie=record.pie, lps_rounds=record.lps_rounds)
        for move in record.moves:
            game.play(move)
        return game

    @classmethod
    def load(cls, path: str | Path) -> "Game":
        """Return the game in a record file. Raises NotationError, OSError."""
        return cls.from_record(Path(path).read_text(encoding="ascii"))

    def record(self, names: Sequence[str] = (), tags: Mapping[str, str] | None = None) -> str:
        """Return the game as a record: a header, the turns, the result (`*` while it runs).

        `names` are the players by seat, `tags` further lines of the header. Raises RulesError, also
        for a game that began with `from_position`.

        >>> game = Game("hex8_2p")
        >>> game.play("@e5")
        >>> print(game.record(names=("Ann", "Ben")))
        [Game "RingRift"]
        [Board "hex8"]
        [Seats "2"]
        [Pie "off"]
        [Seat1 "Ann"] [Seat2 "Ben"]
        [Result "*"]
        <BLANKLINE>
        1/1. @e5
        *
        <BLANKLINE>
        """
        start = self._record
        if start is None:
            raise RulesError("a record begins at the start of a game; this one began later")
        result, moves = result_of(self.raw), self.moves
        seats, more, rounds = tuple(names), tags or {}, start.lps_rounds
        return str(Record(start.config, seats, start.pie, moves, result, more, rounds))

    def save(
        self, path: str | Path, names: Sequence[str] = (), tags: Mapping[str, str] | None = None
    ) -> None:
        """Write `record(names, tags)` to a file. Raises RulesError, OSError."""
        Path(path).write_text(self.record(names, tags), encoding="ascii")

    def copy(self) -> "Game":
        """Return an independent game at the same ply."""
        return self.at(len(self._moves))

    def at(self, played: int) -> "Game":
        """Return the game after the first `played` moves of `moves`. Raises IndexError."""
        if not 0 <= played <= len(self._moves):
            raise IndexError(f"{len(self._moves)} moves were played, not {played}")
        other = object.__new__(Game)
        other._record, other._first, other._moves = self._record, self._first, []
        if played == len(self._moves):
            other.raw, other._moves = self.raw.copy(), self._moves.copy()
            return other
        other.raw = self._first.copy()
        for move in self._moves[:played]:
            other.play(move)
        return other

    def replay(self) -> Iterator["Game"]:
        """Yield the game before its first move and after every move; the yielded game is the same
        object each time.

        >>> game = Game("hex8_2p")
        >>> game.play("@e5")
        >>> [(step.ply, step.phase) for step in game.replay()]
        [(0, 'ring_placement'), (1, 'movement')]
        """
        step = self.at(0)
        yield step
        for move in self._moves:
            step.play(move)
            yield step

    def legal(self) -> list[Move]:
        """Return all legal moves, in a fixed order; none only when the game is over. Resigning
        (`resign`) is always possible and not listed.

        >>> Game("hex8_2p").legal()[0].token
        '@a5'
        """
        return [self._move(int(code)) for code in self.raw.legal_codes()]

    def _move(self, code: int) -> Move:
        position = self.raw
        kind, *named, number = fields(code)
        names = cell_names(position.config)
        buffer = np.zeros(position.geometry.n_cells, np.int16)
        count = move_cells(position.geometry, position.state, code, buffer)
        return Move(
            token=position.token(code),
            kind=KINDS[kind],
            cells=tuple(names[cell] for cell in named if cell),
            takes=tuple(names[cell] for cell in buffer[:count].tolist()),
            rings=number if kind == mv.PLACE else 0,
            code=code,
        )

    def play(self, move: str | Move) -> None:
        """Play a move, or `resign` or `timeout`. Raises NotationError, IllegalMove, with the game
        unchanged.

        >>> Game("hex8_2p").play("e5-e6")
        Traceback (most recent call last):
        ...
        ringrift.rules.errors.IllegalMove: ply 0: 'e5-e6' is not legal: seat 1 is in ...
        """
        token = move if isinstance(move, str) else move.token
        self.raw.play(token)
        self._moves.append(token)

    def play_forced(self) -> tuple[str, ...]:
        """Play moves as long as there is exactly one; return them."""
        played = len(self._moves)
        while len(codes := self.raw.legal_codes()) == 1:
            self.play(self.raw.token(int(codes[0])))
        return tuple(self._moves[played:])

    def undo(self, moves: int = 1) -> None:
        """Take back the last moves. Raises IndexError if fewer were played."""
        back = self.at(len(self._moves) - moves)
        self.raw, self._moves = back.raw, back._moves

    @property
    def config(self) -> str:
        return self.raw.config.key

    @property
    def seats(self) -> int:
        return self.raw.config.seats

    @property
    def moves(self) -> tuple[str, ...]:
        """Tokens of the moves played in this game, not those before `from_position`."""
        return tuple(self._moves)

    @property
    def ply(self) -> int:
        """Moves since the start position."""
        return self.raw.ply

    @property
    def turn(self) -> int:
        """Number of the turn, from 1."""
        return self.raw.turn_number

    @property
    def seat(self) -> int:
        """Seat to act, from 1; 0 when the game is over."""
        return self.raw.seat

    @property
    def player(self) -> int:
        """Index of the player to act: its seat less 1, until a swap by the pie rule exchanges the
        seats of the two players."""
        return person_of(self.raw.state, self.seat)

    @property
    def phase(self) -> str:
        """Phase of the turn, such as `movement`."""
        return PHASES[self.raw.phase]

    @property
    def over(self) -> bool:
        return self.raw.over

    @property
    def winner(self) -> int:
        """Winning seat; 0 while the game runs, and after resigning with three or four seats."""
        return self.raw.winner

    @property
    def reason(self) -> str:
        """Why the game ended, such as `ring_elimination`; empty while it runs."""
        return self.raw.reason

    def ranks(self) -> tuple[int, ...]:
        """Return the final rank of each seat, 1 is the winner; seats may share a rank. Raises
        ValueError while the game runs.

        >>> game = Game("hex8_2p")
        >>> game.play("resign")
        >>> game.ranks(), game.rewards()
        ((2, 1), (-1.0, 1.0))
        """
        return self.raw.ranks()

    def rewards(self) -> tuple[float, ...]:
        """Return the value of the end for each seat: 1 for the winner, -1 for the last, evenly
        spaced by rank; what networks learn to predict. Raises ValueError while the game runs."""
        self.ranks()
        values = np.zeros(self.seats, np.float32)
        final_values(self.raw.state, self.seats, values)
        return tuple(values.tolist())

    def cells(self) -> dict[str, Cell]:
        """Return the contents of every cell by name."""
        view = drawing.view(self.raw)
        return {cell.name: Cell(cell.stack, cell.marker, cell.collapsed) for cell in view.cells}

    def hands(self) -> tuple[int, ...]:
        """Return the rings in hand, by seat."""
        return self.raw.hands()

    def removed(self) -> tuple[int, ...]:
        """Return the removed rings credited to each seat."""
        return self.raw.removed()

    def territory(self) -> tuple[int, ...]:
        """Return the number of collapsed cells of each seat."""
        return self.raw.territory()

    def position(self) -> str:
        """Return the position as one line of text, for `from_position`."""
        return self.raw.text()

    def svg(self) -> str:
        """Return a picture of the position, with the last move marked."""
        return board_svg.svg(drawing.view(self.raw, last_turn=self._moves[-1:]))

    def __str__(self) -> str:
        """A drawing of the position in characters."""
        return drawing.text(drawing.view(self.raw, last_turn=self._moves[-1:])).plain

    def __repr__(self) -> str:
        return f"<Game {self.config} ply {self.ply}>"
