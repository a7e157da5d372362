"""A position for people: the contents of each cell, and a drawing in text. `board_svg` draws it as
a picture.

In the text a stack is `controller:height`, followed by `/cap` if rings of another colour are below;
those stacks are listed ring by ring under the board. `o1` is a marker of seat 1, `#1` a cell that
it has collapsed. On hexes each row is shifted by half a cell, and columns run down to the right."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rich.text import Text

from ringrift.rules import PHASES, Config, Position

MARKERS, COLLAPSED = "abcd", "ABCD"
TERMINAL_COLOURS: Final = ("", "bright_blue", "yellow", "green", "magenta")
"""By seat, index 0 unused."""
_ITEM = re.compile(r"\((\d+)\)|(\d+)|([a-dA-D])")
_CELL = re.compile(r"[a-y]\d{1,2}")
_MOVED = re.compile(r"[>R]?[a-y]\d{1,2}(?:(x)|-)")


class Cell(NamedTuple):
    """One cell at grid column `x` and row `y` (hexes: q + m and r + m), with a stack, a marker, a
    collapsed space, or nothing."""

    name: str
    x: int
    y: int
    stack: tuple[int, ...] = ()
    """Colours of the rings, top first."""
    marker: int = 0
    """Seat, 0 for none."""
    collapsed: int = 0
    """Owner, 0 for none."""

    @property
    def cap(self) -> int:
        """Number of rings of the top colour above the first of another colour."""
        others = (i for i, ring in enumerate(self.stack) if ring != self.stack[0])
        return next(others, len(self.stack))


class SeatView(NamedTuple):
    """The player of one seat, and its counters in words."""

    seat: int
    name: str
    rings: str
    area: str


class Trace(NamedTuple):
    """A move of the last turn: the cells it moved over, and all cells it names."""

    token: str
    path: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardView:
    """Everything that a drawing needs. The position must not be played on."""

    position: Position
    cells: tuple[Cell, ...]
    seats: tuple[SeatView, ...]
    last_turn: tuple[Trace, ...]
    title: str

    @property
    def caption(self) -> str:
        """Config, ply, and the seat to act or the outcome."""
        position = self.position
        doing = f"seat {position.seat} to act, {PHASES[position.phase].replace('_', ' ')}"
        if position.over:
            who = f"seat {position.winner} wins" if position.winner else "no winner"
            doing = f"{who} by {position.reason.replace('_', ' ')}"
        return f"{position.config.key}, ply {position.ply}: {doing}"


def view(
    position: Position, *, names: Sequence[str] = (), last_turn: Sequence[str] = (), title: str = ""
) -> BoardView:
    """Return the view of a position; `names` are the players by seat, `last_turn` the move tokens
    to point out."""
    return BoardView(
        position=position,
        cells=tuple(_cells(position.config, position.text().split(" ")[1])),
        seats=tuple(_seats(position, names or ("",) * position.config.seats)),
        last_turn=tuple(map(trace, last_turn)),
        title=title,
    )


def _seats(position: Position, names: Sequence[str]) -> Iterator[SeatView]:
    config = position.config
    counts = position.hands(), position.removed(), position.territory(), position.markers()
    players = zip(names, *counts, strict=True)
    for seat, (name, hand, removed, cells, markers) in enumerate(players, 1):
        rings = f"{hand} in hand, {removed} of {config.rings_to_win} removed"
        area = f"{cells} of {config.territory_to_win} cells, {markers} markers"
        yield SeatView(seat, name, rings, area)


def trace(token: str) -> Trace:
    """Return the cells that a move token names (rules, section 21.2); lines and regions by their
    ends or first cell."""
    cells = tuple(_CELL.findall(token))
    moved = _MOVED.match(token)
    path = cells[: 3 if moved[1] else 2] if moved else ()
    return Trace(token, path, cells)


def spoken(cell: Cell) -> str:
    """Return the name and content of a cell in words."""
    if cell.stack:
        rings = " ".join(map(str, cell.stack))
        return f"{cell.name}: stack of seat {cell.stack[0]}, rings from the top {rings}"
    if cell.marker:
        return f"{cell.name}: marker of seat {cell.marker}"
    return f"{cell.name}: territory of seat {cell.collapsed}" if cell.collapsed else cell.name


def _cells(config: Config, field: str) -> Iterator[Cell]:
    """Yield cells row by row, from the second field of a position text (rules, section 21.4)."""
    rows: dict[int, list[int]] = {}
    for x, y in config.shape.cells:
        rows.setdefault(y, []).append(x)
    for (y, columns), row in zip(sorted(rows.items()), field.split("/"), strict=True):
        places = iter(sorted(columns))
        for stack, empty, letter in _ITEM.findall(row):
            for _ in range(int(empty) if empty else 1):
                x = next(places)
                marker = MARKERS.find(letter) + 1 if letter else 0
                collapsed = COLLAPSED.find(letter) + 1 if letter else 0
                name = f"{chr(97 + x)}{y + 1}"
                yield Cell(name, x, y, tuple(map(int, stack)), marker, collapsed)


def text(board: BoardView) -> Text:
    """Return the drawing in characters, with colours for a terminal."""
    shown = {cell.name: _symbol(cell) for cell in board.cells}
    pitch = max(4, 1 + max(map(len, shown.values())))
    pitch += pitch % 2
    drawing = Text()
    if board.title:
        drawing.append(f"{board.title}\n", style="bold")
    drawing.append(f"{board.caption}\n\n", style="bold")
    touched = {name for move in board.last_turn for name in move.cells}
    rows: dict[int, list[Cell]] = {}
    for cell in board.cells:
        rows.setdefault(cell.y, []).append(cell)
    config = board.position.config
    frame = _hex_frame if config.shape.hex else _square_frame
    for y, before, after in frame(config, rows, pitch):
        line = Text(before)
        for cell in rows.get(y, ()):
            _put(line, shown[cell.name], pitch, _style(cell, cell.name in touched))
        line.append(after).rstrip()
        drawing.append_text(line).append("\n")
    drawing.append("\n")
    for note in _notes(board):
        drawing.append_text(note).append("\n")
    drawing.rstrip()
    return drawing


def _symbol(cell: Cell) -> str:
    if cell.stack:
        below = f"/{cell.cap}" if cell.cap < len(cell.stack) else ""
        return f"{cell.stack[0]}:{len(cell.stack)}{below}"
    if cell.marker:
        return f"o{cell.marker}"
    return f"#{cell.collapsed}" if cell.collapsed else "·"


def _style(cell: Cell, touched: bool) -> str:
    owner = cell.stack[0] if cell.stack else cell.marker or cell.collapsed
    words = (TERMINAL_COLOURS[owner] or "dim", "bold" * bool(cell.stack), "underline" * touched)
    return " ".join(filter(None, words))


Frame = Iterator[tuple[int, str, str]]
"""Lines as their row of cells (-1 for none), and the texts before and after it."""


def _square_frame(config: Config, rows: dict[int, list[Cell]], pitch: int) -> Frame:
    letters = "".join(chr(97 + x).center(pitch) for x in range(config.shape.width))
    yield -1, f"    {letters}", ""
    for y in sorted(rows):
        yield y, f"{y + 1:>3} ", f" {y + 1}"
    yield -1, f"    {letters}", ""


def _hex_frame(config: Config, rows: dict[int, list[Cell]], pitch: int) -> Frame:
    """The letter of a column is above and left of its first cell, the number of a row right of its
    last."""
    m, half = config.shape.radius, pitch // 2
    letters = "".join(chr(97 + m + i).center(pitch) for i in range(m + 1))
    yield -1, " " * (m * half) + letters, ""
    for y, cells in sorted(rows.items()):
        start = 2 * cells[0].x + y - m + 1  # in half cells from the left edge
        before = " " * (start * half)
        if y < m:  # the letter of the column that starts in the next row
            before = " " * ((start - 2) * half) + chr(97 + cells[0].x - 1).center(pitch)
        yield y, before, f" {y + 1}"


def _put(line: Text, symbol: str, pitch: int, style: str) -> None:
    left = (pitch - len(symbol)) // 2
    line.append(" " * left).append(symbol, style=style).append(" " * (pitch - len(symbol) - left))


def _notes(board: BoardView) -> Iterator[Text]:
    """Yield counters, mixed stacks and the last turn."""
    for seat in board.seats:
        who = f" ({seat.name})" if seat.name else ""
        mark = ">" if seat.seat == board.position.seat else " "
        line = f" seat {seat.seat}{who}: {seat.rings}, {seat.area}"
        yield Text(mark).append(line, style=TERMINAL_COLOURS[seat.seat])
    mixed = [cell for cell in board.cells if cell.cap < len(cell.stack)]
    if mixed:
        stacks = (f"{cell.name} ({''.join(map(str, cell.stack))})" for cell in mixed)
        yield Text(f"buried rings, top first: {', '.join(stacks)}")
    if board.last_turn:
        yield Text(f"last turn: {' '.join(move.token for move in board.last_turn)}")
