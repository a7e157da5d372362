"""Game records (section 21.3): a header, the turns with every recorded move, the result."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ringrift.rules.config import BOARDS, LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.errors import IllegalMove, NotationError, RulesError
from ringrift.rules.position import Position

UNFINISHED: Final = "*"  # result of a game that is not over
LPS_ROUNDS_MAX: Final = 99
_SEAT_TAGS: Final = ("Seat1", "Seat2", "Seat3", "Seat4")
_OWN_TAGS: Final = ("Game", "Board", "Seats", "Pie", "Rounds", *_SEAT_TAGS, "Result")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VALUE: Final = re.compile(r'[^"\\\x00-\x1f\x7f]*')
_TAG: Final = re.compile(rf'\[({_NAME.pattern})[ \t]+"({_VALUE.pattern})"\]')
_TURN: Final = re.compile(r"([1-9][0-9]{0,8})/([1-4])\.")
_WORD: Final = re.compile(r"[^\s{}]+")
_SPACE: Final = re.compile(r"(?:\s|\{[^{}]*\})+")


def result_of(position: Position) -> str:
    """Return winner and reason, as in `2 ring_elimination`; `*` while the game runs."""
    return f"{position.winner} {position.reason}" if position.over else UNFINISHED


@dataclass(frozen=True)
class Record:
    """A game.

    seats       names of the players, or empty
    pie         whether the pie rule is enabled
    moves       tokens of all moves
    tags        further header tags
    lps_rounds  rounds required by the last-player-standing rule (section 17)
    """

    config: Config
    seats: tuple[str, ...] = ()
    pie: bool = False
    moves: tuple[str, ...] = ()
    result: str = UNFINISHED
    tags: Mapping[str, str] = field(default_factory=dict)
    lps_rounds: int = LPS_ROUNDS_DEFAULT

    def __post_init__(self) -> None:
        if len(self.seats) not in (0, self.config.seats):
            raise RulesError(f"{len(self.seats)} names for {self.config.seats} seats")
        if self.pie and self.config.seats != 2:
            raise RulesError("the pie rule is for two seats")
        if not 1 <= self.lps_rounds <= LPS_ROUNDS_MAX:
            raise RulesError(f"{self.lps_rounds} rounds are not in 1..{LPS_ROUNDS_MAX}")
        for name, value in (*self.tags.items(), *(("Seat", seat) for seat in self.seats)):
            if not _NAME.fullmatch(name) or name in _OWN_TAGS or not _VALUE.fullmatch(value):
                raise RulesError(f"{name!r}: {value!r} is not allowed in the header of a record")

    @classmethod
    def parse(cls, text: str) -> "Record":
        """Return the record in `text`, checked by playing it. Raises NotationError."""
        return _Reader(text).record()

    def start(self) -> Position:
        """Return the start position of the game."""
        return Position.start(self.config, self.pie, self.lps_rounds)

    def __str__(self) -> str:
        return "\n".join((*self._header(), "", *self._turns(), self.result, ""))

    def _header(self) -> Iterator[str]:
        yield '[Game "RingRift"]'
        yield f'[Board "{self.config.board}"]'
        yield f'[Seats "{self.config.seats}"]'
        yield f'[Pie "{"on" if self.pie else "off"}"]'
        if self.lps_rounds != LPS_ROUNDS_DEFAULT:
            yield f'[Rounds "{self.lps_rounds}"]'
        if self.seats:
            yield " ".join(f'[Seat{seat} "{name}"]' for seat, name in enumerate(self.seats, 1))
        yield from (f'[{name} "{value}"]' for name, value in self.tags.items())
        yield f'[Result "{self.result}"]'

    def _turns(self) -> Iterator[str]:
        position, turns = self.start(), dict[int, list[str]]()
        for move in self.moves:
            number = position.turn_number
            turns.setdefault(number, [f"{number}/{position.seat}."]).append(move)
            position.play(move)
        return map(" ".join, turns.values())


class _Reader:
    """Reads one record, front to back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.tags: dict[str, str] = {}
        self.places: dict[str, int] = {}

    def error(self, place: int, reason: str) -> NotationError:
        return NotationError(self.text, place, reason)

    def record(self) -> Record:
        self._read_header()
        config, pie, rounds = self._settings()
        seats = self._names(config)
        position = Position.start(config, pie, rounds)
        moves, result = self._read_moves(position)
        stated = self.tags.get("Result", result)
        if stated != result:
            reason = f"the header says {stated!r}, the end of the record {result!r}"
            raise self.error(self.places["Result"], reason)
        extra = {name: value for name, value in self.tags.items() if name not in _OWN_TAGS}
        return Record(config, seats, pie, tuple(moves), result, extra, rounds)

    def _skip_space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        if found:
            self.at = found.end()
        if self.text.startswith(("{", "}"), self.at):
            raise self.error(self.at, "comments must be closed and cannot contain others")

    def _read_header(self) -> None:
        self._skip_space()
        while self.text.startswith("[", self.at):
            found = _TAG.match(self.text, self.at)
            if found is None:
                raise self.error(self.at, 'expected a tag like [Board "square8"]')
            name = found[1]
            if name in self.tags:
                raise self.error(self.at, f"tag {name} is given twice")
            self.tags[name], self.places[name] = found[2], self.at
            self.at = found.end()
            self._skip_space()

    def _settings(self) -> tuple[Config, bool, int]:
        self._one_of("Game", ("RingRift",))
        board = self._one_of("Board", tuple(BOARDS))
        config = Config(board, int(self._one_of("Seats", ("2", "3", "4"))))
        pie = self._one_of("Pie", ("off", "on") if config.seats == 2 else ("off",), "off") == "on"
        rounds = self.tags.get("Rounds", str(LPS_ROUNDS_DEFAULT))
        if not re.fullmatch("[1-9][0-9]?", rounds):
            reason = f"Rounds is a number from 1 to {LPS_ROUNDS_MAX}, not {rounds!r}"
            raise self.error(self.places["Rounds"], reason)
        return config, pie, int(rounds)

    def _one_of(self, name: str, values: tuple[str, ...], default: str | None = None) -> str:
        value = self.tags.get(name, default)
        if value is None:
            raise self.error(self.at, f"the header lacks the tag {name}")
        if value not in values:
            raise self.error(self.places[name], f"{name} is {' or '.join(values)}, not {value!r}")
        return value

    def _names(self, config: Config) -> tuple[str, ...]:
        wanted = _SEAT_TAGS[: config.seats]
        given = [name for name in self.tags if name in _SEAT_TAGS]
        if not given:
            return ()
        if {*given} != {*wanted}:
            raise self.error(self.places[given[0]], f"name all of {', '.join(wanted)} or none")
        return tuple(self.tags[name] for name in wanted)

    def _read_moves(self, position: Position) -> tuple[list[str], str]:
        moves: list[str] = []
        turn = 0  # the turn whose mark was read last
        while True:
            self._skip_space()
            found = _WORD.match(self.text, self.at)
            if found is None:
                found_result = result_of(position)
                reason = f"the record ends without a result, {found_result!r} by its moves"
                raise self.error(self.at, reason)
            if re.fullmatch(r"[0-4*]", found[0]):
                return moves, self._read_result(position)
            mark = _TURN.fullmatch(found[0])
            if mark:
                turn = self._read_mark(mark, position, turn)
            elif turn != position.turn_number and not position.over:
                mark_text = f"{position.turn_number}/{position.seat}."
                raise self.error(self.at, f"expected the mark {mark_text} before this")
            else:
                self._play(position, found[0])
                moves.append(found[0])
            self.at = found.end()

    def _read_mark(self, mark: re.Match[str], position: Position, turn: int) -> int:
        if position.over:
            result = result_of(position)
            raise self.error(self.at, f"the game is over here, expected its result {result!r}")
        number, seat = position.turn_number, position.seat
        if turn == number or (int(mark[1]), int(mark[2])) != (number, seat):
            raise self.error(self.at, f"turn {number} of seat {seat} continues or begins here")
        return number

    def _play(self, position: Position, word: str) -> None:
        try:
            position.play(word)
        except NotationError as error:
            raise self.error(self.at + error.place, error.reason) from None
        except IllegalMove as error:
            raise self.error(self.at, str(error)) from None

    def _read_result(self, position: Position) -> str:
        start, result = self.at, result_of(position)
        rest = self.text[start:].split()
        if rest != result.split():
            found = " ".join(rest[:3])[:40]
            raise self.error(start, f"the record ends with {found!r}, its moves lead to {result!r}")
        return result
