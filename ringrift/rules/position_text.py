"""The text of a position (section 21.4): eight fields separated by single blanks.

Not in the text, hence lost by writing and reading: whether the swap was played, the number of
rounds section 17 requires (3 is read), the turns in which seats dropped out (18 (4)), the number of
the turn (1 is read), and who won a finished game and why."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.config import BOARDS, Config
from ringrift.rules.errors import NotationError, RulesError
from ringrift.rules.geometry import CELLS_AT, geometry
from ringrift.rules.legal import legal_moves
from ringrift.rules.notation import cell_ids, cell_names
from ringrift.rules.setup import build_board, refresh_regions

PHASE_LETTERS: Final = "pmckltfz"
FIELDS: Final = ("board", "cells", "turn", "hands", "removed", "context", "round tracker", "plies")
COUNT_MAX: Final = 2**31 - 1  # counters are int32
_FLAGS: Final = (
    ("debt", la.DEBT),
    ("owe", la.OWE_CAP),
    ("acted", la.ACTED),
    ("rec", la.RECOVERING),
)
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,9})"


def write_position(config: Config, s: NDArray[np.int32]) -> str:
    """The text of a state."""
    head = s[:CELLS_AT].tolist()
    seats = range(1, config.seats + 1)
    return " ".join(
        (
            f"{config.board}/{config.seats}",
            "/".join(_write_row(config, s, row) for row in _rows(config)),
            f"{head[la.TURN]}{PHASE_LETTERS[head[la.PHASE]]}",
            ",".join(str(head[la.HAND + seat]) for seat in seats),
            ",".join(str(head[la.REMOVED + seat]) for seat in seats),
            ",".join(_write_context(config, head)) or "-",
            _write_tracker(config, head),
            str(head[la.PLY]),
        )
    )


def _rows(config: Config) -> list[list[int]]:
    """Core ids row by row as they are written: `y` (or `r`) ascending, in a row `x` (or `q`)
    ascending."""
    ids = cell_ids(config)
    rows: dict[int, list[int]] = {}
    for x, y in config.shape.cells:
        rows.setdefault(y, []).append(ids[f"{chr(97 + x)}{y + 1}"])
    return [rows[y] for y in sorted(rows)]


def _write_row(config: Config, s: NDArray[np.int32], row: list[int]) -> str:
    parts: list[str] = []
    empty = 0
    for c in row:
        w = int(s[CELLS_AT + c])
        if w == 0:
            empty += 1
            continue
        if empty:
            parts.append(str(empty))
            empty = 0
        if w & la.STACK:
            parts.append(f"({''.join(map(str, stack_rings(s, c)))})")
        else:
            parts.append(("ABCD" if w & la.WALL else "abcd")[(w & la.SEAT_BITS) - 1])
    if empty:
        parts.append(str(empty))
    return "".join(parts)


def stack_rings(s: NDArray[np.int32], c: int) -> list[int]:
    """Colours of the rings of a stack, top first."""
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
    for word, at in _FLAGS:
        if head[at]:
            yield word
    if head[la.LAST_ACTOR]:
        yield f"last={head[la.LAST_ACTOR]}"
    if head[la.SWAP_OPEN]:
        yield "swap"


def _write_tracker(config: Config, head: list[int]) -> str:
    first, n = head[la.LPS_FIRST], config.seats
    order = [(max(first, 1) - 1 + i) % n + 1 for i in range(n)]
    mask = "".join(
        f"{seat}{'+' if head[la.LPS_MASK] >> (seat - 1) & 1 else '-'}"
        for seat in order
        if head[la.LPS_SEEN] >> (seat - 1) & 1
    )
    return f"{first}/{mask}/{head[la.LPS_COUNT]}/{head[la.LPS_WHO]}"


@dataclass
class _Cells:
    """What field 2 says."""

    stacks: dict[int, list[int]] = field(default_factory=dict)
    markers: dict[int, int] = field(default_factory=dict)
    collapsed: dict[int, int] = field(default_factory=dict)


class _Reader:
    """Reads one position; knows where each field stands, to say where text is wrong."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = text.split(" ")
        self.at = [sum(len(part) + 1 for part in self.parts[:i]) for i in range(len(self.parts))]
        if len(self.parts) != len(FIELDS):
            place = self.at[len(FIELDS)] if len(self.parts) > len(FIELDS) else len(text)
            raise NotationError(
                text, place, f"a position has {len(FIELDS)} fields, this has {len(self.parts)}"
            )

    def error(self, index: int, reason: str, offset: int = 0) -> NotationError:
        return NotationError(self.text, self.at[index] + offset, f"{FIELDS[index]}: {reason}")

    def match(self, index: int, pattern: str, wanted: str) -> re.Match[str]:
        """The whole field must match."""
        found = re.fullmatch(pattern, self.parts[index])
        if found is None:
            raise self.error(index, f"expected {wanted}")
        return found

    def count(self, index: int, digits: str) -> int:
        value = int(digits)
        if value > COUNT_MAX:
            raise self.error(index, f"{digits} is too large")
        return value

    def config(self) -> Config:
        found = self.match(
            0,
            rf"({'|'.join(BOARDS)})/([234])",
            f"one of {', '.join(BOARDS)}, a slash and 2, 3 or 4",
        )
        return Config(found[1], int(found[2]))

    def counts(self, index: int, seats: int) -> list[int]:
        self.match(
            index,
            rf"{_NUMBER}(?:,{_NUMBER}){{{seats - 1}}}",
            f"{seats} numbers separated by commas",
        )
        return [self.count(index, digits) for digits in self.parts[index].split(",")]

    def cells(self, config: Config) -> _Cells:
        rows, written = _rows(config), self.parts[1].split("/")
        if len(rows) != len(written):
            raise self.error(1, f"{config.board} has {len(rows)} rows, here are {len(written)}")
        cells, offset = _Cells(), 0
        for number, (row, part) in enumerate(zip(rows, written, strict=True), 1):
            self._row(config, cells, row, part, offset, number)
            offset += len(part) + 1
        return cells

    def _row(
        self, config: Config, cells: _Cells, row: list[int], part: str, offset: int, number: int
    ) -> None:
        column, pos = 0, 0
        while pos < len(part):
            found = re.compile(r"([1-9][0-9]?)|([a-d])|([A-D])|\(([1-4]+)\)").match(part, pos)
            if found is None:
                raise self.error(
                    1, "expected a number, a marker, a collapsed cell or a stack", offset + pos
                )
            width = int(found[1]) if found[1] else 1
            if column + width > len(row):
                raise self.error(1, f"row {number} has {len(row)} cells, not more", offset + pos)
            if found[1] and column and part[pos - 1].isdigit():
                raise self.error(1, "two numbers side by side", offset + pos)
            self._cell(config, cells, row[column], found, offset + pos)
            column += width
            pos = found.end()
        if column != len(row):
            raise self.error(
                1, f"row {number} has {len(row)} cells, here are {column}", offset + pos
            )

    def _cell(
        self, config: Config, cells: _Cells, c: int, found: re.Match[str], offset: int
    ) -> None:
        if found[2]:
            content = [ord(found[2]) - 96]
            cells.markers[c] = content[0]
        elif found[3]:
            content = [ord(found[3]) - 64]
            cells.collapsed[c] = content[0]
        elif found[4]:
            content = [int(digit) for digit in found[4]]
            cells.stacks[c] = content
        else:
            return
        if max(content) > config.seats:
            raise self.error(1, f"seat {max(content)} in a game of {config.seats}", offset)

    def turn(self, config: Config) -> tuple[int, int]:
        found = self.match(
            2, rf"([0-{config.seats}])([{PHASE_LETTERS}])", f"a seat and one of {PHASE_LETTERS}"
        )
        seat, phase = int(found[1]), PHASE_LETTERS.index(found[2])
        if (seat == 0) != (phase == la.OVER):
            raise self.error(2, "seat 0 and phase z belong together")
        return seat, phase

    def context(self, config: Config, s: NDArray[np.int32]) -> None:
        ids = cell_ids(config)
        found = self.match(
            5,
            r"-|(?=.)(?:must=([a-y][0-9]{1,2})(?:,|$))?(?:from=([a-y][0-9]{1,2})(?:,|$))?(?:(debt)(?:,|$))?(?:(owe)(?:,|$))?"
            rf"(?:(acted)(?:,|$))?(?:(rec)(?:,|$))?(?:last=([1-{config.seats}])(?:,|$))?(swap)?(?<!,)",
            "- or a list of must=cell, from=cell, debt, owe, acted, rec, last=seat, swap in this order",
        )
        for group, at in ((1, la.MUST), (2, la.ORIGIN)):
            name = found[group]
            if name is None:
                continue
            if name not in ids:
                raise self.error(5, f"{config.board} has no cell {name!r}", found.start(group))
            s[at] = ids[name]
        for group, (_, at) in enumerate(_FLAGS, 3):
            s[at] = found[group] is not None
        s[la.LAST_ACTOR] = int(found[7] or 0)
        s[la.SWAP_OPEN] = found[8] is not None
        if found[8] and config.seats != 2:
            raise self.error(5, "the pie rule is for two seats", found.start(8))

    def tracker(self, config: Config, s: NDArray[np.int32]) -> None:
        n = config.seats
        found = self.match(
            6,
            rf"([0-{n}])/((?:[1-{n}][+-]){{0,{n}}})/({_NUMBER})/([0-{n}])",
            "first/mask/count/who, as in 2/2+1-/1/2",
        )
        seen = mask = 0
        for seat, sign in zip(found[2][::2], found[2][1::2], strict=True):
            bit = 1 << (int(seat) - 1)
            if seen & bit:
                raise self.error(6, f"seat {seat} stands twice in the mask", found.start(2))
            seen |= bit
            mask |= bit if sign == "+" else 0
        s[la.LPS_FIRST], s[la.LPS_SEEN], s[la.LPS_MASK] = int(found[1]), seen, mask
        s[la.LPS_COUNT], s[la.LPS_WHO] = self.count(6, found[3]), int(found[4])
        if _write_tracker(config, s[:CELLS_AT].tolist()) != self.parts[6]:
            raise self.error(6, "the mask is written in turn order from `first` on", found.start(2))


def read_position(text: str) -> tuple[Config, NDArray[np.int32]]:
    """Config and state of a position text. Raises NotationError.

    Text that cannot come about in play is refused where it would make the rules fail: more rings
    than there are, a `must` or `from` without the mover's stack, a cost owed in the wrong phase, a
    seat to act without a legal move."""
    reader = _Reader(text)
    config = reader.config()
    cells = reader.cells(config)
    seat, phase = reader.turn(config)
    hands, removed = reader.counts(3, config.seats), reader.counts(4, config.seats)
    try:
        s = build_board(config, cells.stacks, cells.markers, cells.collapsed, hands)
    except RulesError as error:
        raise reader.error(3, str(error)) from None
    _check_removed(reader, config, s, hands, removed)
    s[la.TURN], s[la.PHASE] = seat, phase
    s[la.REMOVED + 1 : la.REMOVED + 1 + config.seats] = removed
    reader.context(config, s)
    reader.tracker(config, s)
    s[la.PLY] = reader.count(7, reader.match(7, _NUMBER, "a number")[0])
    _check_context(reader, s)
    G = geometry(config)
    refresh_regions(G, s)
    if phase != la.OVER and legal_moves(G, s, np.empty(G.moves_max, np.int64)) == 0:
        raise reader.error(2, f"seat {seat} has no legal move in phase {PHASE_LETTERS[phase]}")
    return config, s


def _check_removed(
    reader: _Reader, config: Config, s: NDArray[np.int32], hands: list[int], removed: list[int]
) -> None:
    """No more rings may be removed than are neither in hand nor on the board."""
    on_board = int(s[la.ON_BOARD + 1 : la.ON_BOARD + 1 + config.seats].sum())
    total = config.seats * config.rings_per_seat
    if sum(hands) + sum(removed) + on_board > total:
        raise reader.error(
            4, f"{sum(hands)} rings in hand, {on_board} on the board, more than {total} with these"
        )


def _check_context(reader: _Reader, s: NDArray[np.int32]) -> None:
    """What the compiled rules rely on."""
    phase, seat = int(s[la.PHASE]), int(s[la.TURN])
    for at, phases in (
        (la.MUST, (la.MOVEMENT, la.CAPTURE, la.CHAIN_CAPTURE)),
        (la.ORIGIN, (la.CAPTURE, la.CHAIN_CAPTURE)),
    ):
        c = int(s[at])
        if c == 0:
            continue
        w = int(s[CELLS_AT + c])
        if phase not in phases:
            raise reader.error(5, f"must and from do not belong to phase {PHASE_LETTERS[phase]}")
        if not w & la.STACK or w & la.SEAT_BITS != seat:
            raise reader.error(5, "must and from name a stack of the seat to act")
    if phase in (la.CAPTURE, la.CHAIN_CAPTURE) and s[la.ORIGIN] == 0:
        raise reader.error(5, f"phase {PHASE_LETTERS[phase]} needs from=cell")
    if s[la.DEBT] and phase != la.LINE_PHASE:
        raise reader.error(5, "debt belongs to phase l")
    if s[la.OWE_CAP] and phase != la.TERRITORY:
        raise reader.error(5, "owe belongs to phase t")
