"""The text of a position (section 21.4): eight fields separated by single blanks.

The text does not contain, so writing and reading loses: whether the swap was played, the number of
rounds that section 17 requires (read as 3), the turns in which seats dropped out (18 (4)), the
number of the turn (read as 1), and who won a finished game and why.
"""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.config import BOARDS, Config
from ringrift.rules.errors import NotationError, RulesError
from ringrift.rules.geometry import geometry
from ringrift.rules.legal import legal_moves
from ringrift.rules.notation import cell_ids, cell_names
from ringrift.rules.regions import has_claim
from ringrift.rules.setup import build_board
from ringrift.rules.table import CELLS_AT

PHASE_LETTERS: Final = "pmckltfz"
FIELDS: Final = ("board", "cells", "turn", "hands", "removed", "context", "round tracker", "plies")
COUNT_MAX: Final = 2**31 - 1  # counters are int32
_FLAGS: Final = {"debt": la.DEBT, "owe": la.OWE_CAP, "acted": la.ACTED, "rec": la.RECOVERING}
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,9})"
_CELL: Final = re.compile(
    r"(?<![0-9])(?P<empty>[1-9][0-9]?)|(?P<marker>[a-d])|(?P<collapsed>[A-D])"
    r"|\((?P<stack>[1-4]+)\)|(?P<other>(?s:.))"
)
_DIGITS: Final = str.maketrans("abcd", "1234")
_EMPTY_RUN: Final = re.compile(r"\.+")
_ITEMS: Final = (
    *("must=([a-y][0-9]{1,2})", "from=([a-y][0-9]{1,2})"),
    *("(debt)", "(owe)", "(acted)", "(rec)", "last=([1-4])", "(swap)"),
)
_CONTEXT: Final = "-|(?=.)" + "".join(f"(?:{item}(?:,|$))?" for item in _ITEMS) + "(?<!,)"


def write_position(config: Config, s: NDArray[np.int32]) -> str:
    """Return the text of a state."""
    head = s[:CELLS_AT].tolist()
    rows = "/".join(_write_row(s, row) for row in _rows(config))
    turn = f"{head[la.TURN]}{PHASE_LETTERS[head[la.PHASE]]}"
    hands, removed = (
        ",".join(map(str, head[table + 1 : table + 1 + config.seats]))
        for table in (la.HAND, la.REMOVED)
    )
    context = ",".join(_write_context(config, head)) or "-"
    fields = (rows, turn, hands, removed, context, _write_tracker(config, head), head[la.PLY])
    return f"{config.board}/{config.seats} {' '.join(map(str, fields))}"


def _rows(config: Config) -> list[list[int]]:
    """Return core ids row by row as they are written: by ascending `y` (or `r`), then `x` (or
    `q`)."""
    ids = cell_ids(config)
    rows: dict[int, list[int]] = {}
    for x, y in config.shape.cells:
        rows.setdefault(y, []).append(ids[f"{chr(97 + x)}{y + 1}"])
    return [rows[y] for y in sorted(rows)]


def _write_row(s: NDArray[np.int32], row: list[int]) -> str:
    cells = "".join(_symbol(s, c) for c in row)
    return _EMPTY_RUN.sub(lambda run: str(len(run[0])), cells)


def _symbol(s: NDArray[np.int32], c: int) -> str:
    w = int(s[CELLS_AT + c])
    if w == 0:
        return "."
    if w & la.STACK:
        return f"({''.join(map(str, stack_rings(s, c)))})"
    letters = "ABCD" if w & la.WALL else "abcd"
    return letters[(w & la.SEAT_BITS) - 1]


def stack_rings(s: NDArray[np.int32], c: int) -> list[int]:
    """Return the colours of the rings of a stack, top first."""
    w, links = int(s[CELLS_AT + c]), int(s[la.LINKS_AT])
    ring = int(s[links + ((w >> la.BOTTOM_SHIFT) & la.NINE_BITS)]) & la.NINE_BITS
    rings = []
    for _ in range((w >> la.HEIGHT_SHIFT) & la.NINE_BITS):
        word = int(s[links + ring])
        rings.append(word >> la.COLOUR_SHIFT)
        ring = word & la.NINE_BITS
    return rings


def _write_context(config: Config, head: list[int]) -> Iterator[str]:
    names = cell_names(config)
    if head[la.MUST]:
        yield f"must={names[head[la.MUST]]}"
    if head[la.ORIGIN]:
        yield f"from={names[head[la.ORIGIN]]}"
    for word, at in _FLAGS.items():
        if head[at]:
            yield word
    if head[la.LAST_ACTOR]:
        yield f"last={head[la.LAST_ACTOR]}"
    if head[la.SWAP_OPEN]:
        yield "swap"


def _write_tracker(config: Config, head: list[int]) -> str:
    first, n = head[la.LPS_FIRST], config.seats
    order = [(max(first, 1) - 1 + i) % n + 1 for i in range(n)]
    mask = ""
    for seat in order:
        if head[la.LPS_SEEN] >> (seat - 1) & 1:
            mask += f"{seat}+" if head[la.LPS_MASK] >> (seat - 1) & 1 else f"{seat}-"
    return f"{first}/{mask}/{head[la.LPS_COUNT]}/{head[la.LPS_WHO]}"


class _Reader:
    """Reads one position. Errors name the field and the place in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = text.split(" ")
        lengths = [len(part) + 1 for part in self.parts]
        self.at = [0, *accumulate(lengths)]  # where each field begins
        if len(self.parts) != len(FIELDS):
            place = self.at[len(FIELDS)] if len(self.parts) > len(FIELDS) else len(text)
            reason = f"a position has {len(FIELDS)} fields, this has {len(self.parts)}"
            raise NotationError(text, place, reason)
        wanted = f"one of {', '.join(BOARDS)}, a slash and 2, 3 or 4"
        found = self.match(0, rf"({'|'.join(BOARDS)})/([234])", wanted)
        self.config = Config(found[1], int(found[2]))

    def error(self, index: int, reason: str, offset: int = 0) -> NotationError:
        return NotationError(self.text, self.at[index] + offset, f"{FIELDS[index]}: {reason}")

    def match(self, index: int, pattern: str, wanted: str) -> re.Match[str]:
        """Match a whole field."""
        found = re.fullmatch(pattern, self.parts[index])
        if found is None:
            raise self.error(index, f"expected {wanted}")
        return found

    def count(self, index: int, digits: str) -> int:
        value = int(digits)
        if value > COUNT_MAX:
            raise self.error(index, f"{digits} is too large")
        return value

    def counts(self, index: int) -> list[int]:
        seats = self.config.seats
        pattern = rf"{_NUMBER}(?:,{_NUMBER}){{{seats - 1}}}"
        self.match(index, pattern, f"{seats} numbers separated by commas")
        return [self.count(index, digits) for digits in self.parts[index].split(",")]

    def cells(self) -> dict[str, dict[int, list[int]]]:
        """Return the seats of markers, collapsed cells and stacks (top first) by core id."""
        rows, written = _rows(self.config), self.parts[1].split("/")
        if len(rows) != len(written):
            reason = f"{self.config.board} has {len(rows)} rows, here are {len(written)}"
            raise self.error(1, reason)
        cells: dict[str, dict[int, list[int]]] = {"marker": {}, "collapsed": {}, "stack": {}}
        offset = 0
        for number, (row, part) in enumerate(zip(rows, written, strict=True), 1):
            column = 0
            for found in _CELL.finditer(part):
                kind, place = str(found.lastgroup), offset + found.start()
                if kind == "other":
                    wanted = "a number, a marker, a collapsed cell or a stack"
                    raise self.error(1, f"expected {wanted}", place)
                width = int(found["empty"] or 1)
                if column + width > len(row):
                    raise self.error(1, f"row {number} has {len(row)} cells, not more", place)
                if kind != "empty":
                    cells[kind][row[column]] = self.seats(found[kind], place)
                column += width
            offset += len(part)
            if column != len(row):
                reason = f"row {number} has {len(row)} cells, here are {column}"
                raise self.error(1, reason, offset)
            offset += 1
        return cells

    def seats(self, symbols: str, place: int) -> list[int]:
        """Return the seats that letters or digits stand for."""
        seats = [int(digit) for digit in symbols.lower().translate(_DIGITS)]
        if max(seats) > self.config.seats:
            raise self.error(1, f"seat {max(seats)} in a game of {self.config.seats}", place)
        return seats

    def turn(self) -> tuple[int, int]:
        pattern = rf"([0-{self.config.seats}])([{PHASE_LETTERS}])"
        found = self.match(2, pattern, f"a seat and one of {PHASE_LETTERS}")
        seat, phase = int(found[1]), PHASE_LETTERS.index(found[2])
        if (seat == 0) != (phase == la.OVER):
            raise self.error(2, "seat 0 and phase z belong together")
        return seat, phase

    def context(self, s: NDArray[np.int32]) -> None:
        ids, seats = cell_ids(self.config), self.config.seats
        items = "must=cell, from=cell, debt, owe, acted, rec, last=seat, swap"
        pattern = _CONTEXT.replace("[1-4]", f"[1-{seats}]")
        found = self.match(5, pattern, f"- or a list of {items} in this order")
        for group, at in ((1, la.MUST), (2, la.ORIGIN)):
            name = found[group]
            if name and name not in ids:
                place = found.start(group)
                raise self.error(5, f"{self.config.board} has no cell {name!r}", place)
            s[at] = ids[name] if name else 0
        for group, at in enumerate(_FLAGS.values(), 3):
            s[at] = found[group] is not None
        s[la.LAST_ACTOR] = int(found[7] or 0)
        s[la.SWAP_OPEN] = found[8] is not None
        if found[8] and seats != 2:
            raise self.error(5, "the pie rule is for two seats", found.start(8))

    def tracker(self, s: NDArray[np.int32]) -> None:
        n = self.config.seats
        pattern = rf"([0-{n}])/((?:[1-{n}][+-]){{0,{n}}})/({_NUMBER})/([0-{n}])"
        found = self.match(6, pattern, "first/mask/count/who, as in 2/2+1-/1/2")
        seen = mask = 0
        for seat, sign in zip(found[2][::2], found[2][1::2], strict=True):
            bit = 1 << (int(seat) - 1)
            if seen & bit:
                raise self.error(6, f"seat {seat} is twice in the mask", found.start(2))
            seen |= bit
            mask |= bit if sign == "+" else 0
        s[la.LPS_FIRST], s[la.LPS_SEEN], s[la.LPS_MASK] = int(found[1]), seen, mask
        s[la.LPS_COUNT], s[la.LPS_WHO] = self.count(6, found[3]), int(found[4])
        if _write_tracker(self.config, s[:CELLS_AT].tolist()) != self.parts[6]:
            raise self.error(6, "the mask is written in turn order from `first` on", found.start(2))


def read_position(text: str) -> tuple[Config, NDArray[np.int32]]:
    """Return the config and the state of a position text. Raises NotationError.

    Positions that cannot arise in play are refused if the rules would fail on them: more rings than
    the supply, a `must` or `from` without a stack of the mover, a cost owed in the wrong phase, a
    seat to act without a legal move."""
    reader = _Reader(text)
    config, cells = reader.config, reader.cells()
    seat, phase = reader.turn()
    hands, removed = reader.counts(3), reader.counts(4)
    try:
        s = build_board(config, cells, hands)
    except RulesError as error:
        raise reader.error(3, str(error)) from None
    on_board = int(s[la.ON_BOARD + 1 : la.ON_BOARD + 1 + config.seats].sum())
    supply = config.seats * config.rings_per_seat
    if sum(hands) + sum(removed) + on_board > supply:
        counts = f"{sum(hands)} rings in hand, {on_board} on the board"
        raise reader.error(4, f"{counts}, more than {supply} with these")
    s[la.TURN], s[la.PHASE] = seat, phase
    s[la.REMOVED + 1 : la.REMOVED + 1 + config.seats] = removed
    reader.context(s)
    reader.tracker(s)
    s[la.PLY] = reader.count(7, reader.match(7, _NUMBER, "a number")[0])
    _check_context(reader, s)
    G = geometry(config)
    if phase == la.TERRITORY and s[la.OWE_CAP] == 0:
        s[la.REGIONS] = has_claim(G.table, s, seat)
    if phase != la.OVER and legal_moves(G, s, np.empty(G.moves_max, np.int64)) == 0:
        raise reader.error(2, f"seat {seat} has no legal move in phase {PHASE_LETTERS[phase]}")
    return config, s


def _check_context(reader: _Reader, s: NDArray[np.int32]) -> None:
    """Check what the compiled rules rely on."""
    phase, seat = int(s[la.PHASE]), int(s[la.TURN])
    leaping = (la.CAPTURE, la.CHAIN_CAPTURE)
    for at, phases in ((la.MUST, (la.MOVEMENT, *leaping)), (la.ORIGIN, leaping)):
        c = int(s[at])
        if c == 0:
            continue
        w = int(s[CELLS_AT + c])
        if phase not in phases:
            raise reader.error(5, f"must and from do not belong to phase {PHASE_LETTERS[phase]}")
        if not w & la.STACK or w & la.SEAT_BITS != seat:
            raise reader.error(5, "must and from name a stack of the seat to act")
    if phase in leaping and s[la.ORIGIN] == 0:
        raise reader.error(5, f"phase {PHASE_LETTERS[phase]} needs from=cell")
    if s[la.DEBT] and phase != la.LINE_PHASE:
        raise reader.error(5, "debt belongs to phase l")
    if s[la.OWE_CAP] and phase != la.TERRITORY:
        raise reader.error(5, "owe belongs to phase t")
