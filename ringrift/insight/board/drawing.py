"""A position as people see it: what lies on each cell, and a drawing in text. `board_svg` draws the
same view as a picture.

In the text a stack is `controller:height`, with `/cap` behind it where foreign rings are buried;
those stacks are listed ring by ring below. `o1` is a marker of seat 1, `#1` a cell it has
collapsed. On hexes a row is shifted by half a cell, and letters run down to the right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from ringrift.rules import PHASES, Config, Position

MARKERS: Final = "abcd"
COLLAPSED: Final = "ABCD"
TERMINAL_COLOURS: Final = ("", "bright_blue", "yellow", "green", "magenta")
"""by seat, index 0 unused"""
_ITEM = re.compile(r"\((\d+)\)|(\d+)|([a-dA-D])")
_CELL = re.compile(r"[a-y]\d{1,2}")
_MOVED = re.compile(r"[>R]?[a-y]\d{1,2}(?:(x)|-)")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell at grid column `x` and row `y` (hexes: q + m and r + m); at most one of the three
    contents is there."""

    name: str
    x: int
    y: int
    stack: tuple[int, ...] = ()
    """colours of the rings, top first"""
    marker: int = 0
    """seat, 0 for none"""
    collapsed: int = 0
    """owner, 0 for none"""

    @property
    def cap(self) -> int:
        """Rings of the top colour above the first other one."""
        return next(
            (i for i, ring in enumerate(self.stack) if ring != self.stack[0]), len(self.stack)
        )


@dataclass(frozen=True, kw_only=True)
class SeatView:
    """One seat's counters, and who sits there."""

    seat: int
    name: str
    hand: int
    removed: int
    territory: int
    markers: int


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What one move of the last turn touched: `path` are the cells from where to where, `cells` all
    that it names."""

    token: str
    path: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardView:
    """Everything a drawing needs. `to_act` is 0 when the game is over."""

    config: Config
    cells: tuple[Cell, ...]
    seats: tuple[SeatView, ...]
    ply: int
    to_act: int
    phase: str
    outcome: str
    last_turn: tuple[Trace, ...]
    title: str

    @property
    def caption(self) -> str:
        """Config, ply and who is to move."""
        doing = self.outcome or f"seat {self.to_act} to act, {self.phase.replace('_', ' ')}"
        return f"{self.config.key}, ply {self.ply}: {doing}"


def view(
    position: Position, *, names: Sequence[str] = (), last_turn: Sequence[str] = (), title: str = ""
) -> BoardView:
    """The view of a position; `names` by seat, `last_turn` the move tokens to point out."""
    config = position.config
    columns = (position.hands(), position.removed(), position.territory(), position.markers())
    seats = tuple(
        SeatView(
            seat=i + 1,
            name=names[i] if i < len(names) else "",
            hand=hand,
            removed=removed,
            territory=area,
            markers=markers,
        )
        for i, (hand, removed, area, markers) in enumerate(zip(*columns, strict=True))
    )
    outcome = ""
    if position.over:
        who = f"seat {position.winner} wins" if position.winner else "no winner"
        outcome = f"{who} by {position.reason.replace('_', ' ')}"
    return BoardView(
        config=config,
        cells=tuple(_cells(config, position.text().split(" ")[1])),
        seats=seats,
        ply=position.ply,
        to_act=position.seat,
        phase=PHASES[position.phase],
        outcome=outcome,
        last_turn=tuple(map(trace, last_turn)),
        title=title,
    )


def trace(token: str) -> Trace:
    """Cells that a move token names (section 21.2); lines and regions by their ends or first
    cell."""
    cells = tuple(_CELL.findall(token))
    moved = _MOVED.match(token)
    return Trace(token=token, path=cells[: 3 if moved[1] else 2] if moved else (), cells=cells)


def _cells(config: Config, field: str) -> Iterator[Cell]:
    """Cells row by row, from the second field of a position text (section 21.4)."""
    rows: dict[int, list[int]] = {}
    for x, y in config.shape.cells:
        rows.setdefault(y, []).append(x)
    for (y, columns), row in zip(sorted(rows.items()), field.split("/"), strict=True):
        places = iter(sorted(columns))
        for stack, empty, letter in _ITEM.findall(row):
            for _ in range(int(empty) if empty else 1):
                x = next(places)
                yield Cell(
                    name=f"{chr(97 + x)}{y + 1}",
                    x=x,
                    y=y,
                    stack=tuple(map(int, stack)),
                    marker=MARKERS.find(letter) + 1 if letter else 0,
                    collapsed=COLLAPSED.find(letter) + 1 if letter else 0,
                )


def text(board: BoardView) -> Text:
    """The drawing in characters, with colours for a terminal."""
    shown = {cell.name: _symbol(cell) for cell in board.cells}
    pitch = max(4, 1 + max(map(len, shown.values())))
    pitch += pitch % 2
    drawing = Text()
    if board.title:
        drawing.append(f"{board.title}\n", style="bold")
    drawing.append(f"{board.caption}\n\n", style="bold")
    touched = {name for move in board.last_turn for name in move.cells}
    for line in (
        _hex_lines(board, shown, pitch, touched)
        if board.config.shape.hex
        else _square_lines(board, shown, pitch, touched)
    ):
        line.rstrip()
        drawing.append_text(line).append("\n")
    drawing.append("\n")
    for part in _notes(board):
        drawing.append_text(part).append("\n")
    drawing.rstrip()
    return drawing


def _symbol(cell: Cell) -> str:
    if cell.stack:
        buried = f"/{cell.cap}" if cell.cap < len(cell.stack) else ""
        return f"{cell.stack[0]}:{len(cell.stack)}{buried}"
    if cell.marker:
        return f"o{cell.marker}"
    return f"#{cell.collapsed}" if cell.collapsed else "·"


def _style(cell: Cell, touched: bool) -> str:
    owner = cell.stack[0] if cell.stack else cell.marker or cell.collapsed
    words = [
        TERMINAL_COLOURS[owner] if owner else "dim",
        "bold" if cell.stack else "",
        "underline" if touched else "",
    ]
    return " ".join(filter(None, words))


def _by_row(board: BoardView) -> Iterator[tuple[int, list[Cell]]]:
    rows: dict[int, list[Cell]] = {}
    for cell in board.cells:
        rows.setdefault(cell.y, []).append(cell)
    return iter(sorted(rows.items()))


def _square_lines(
    board: BoardView, shown: dict[str, str], pitch: int, touched: set[str]
) -> Iterator[Text]:
    letters = "".join(chr(97 + x).center(pitch) for x in range(board.config.shape.width))
    yield Text("    " + letters)
    for y, cells in _by_row(board):
        line = Text(f"{y + 1:>3} ")
        for cell in cells:
            _put(line, shown[cell.name], pitch, _style(cell, cell.name in touched))
        yield line.append(f" {y + 1}")
    yield Text("    " + letters)


def _hex_lines(
    board: BoardView, shown: dict[str, str], pitch: int, touched: set[str]
) -> Iterator[Text]:
    """A column's letter stands up and left of its first cell, a row's number right of its last."""
    m, half = board.config.shape.radius, pitch // 2
    yield Text(" " * (m * half) + "".join(chr(97 + m + i).center(pitch) for i in range(m + 1)))
    for y, cells in _by_row(board):
        start = 2 * cells[0].x + y - m + 1  # in half cells from the left edge
        line = Text()
        if y < m:  # the column that begins in the next row
            line.append(" " * ((start - 2) * half) + chr(97 + cells[0].x - 1).center(pitch))
        else:
            line.append(" " * (start * half))
        for cell in cells:
            _put(line, shown[cell.name], pitch, _style(cell, cell.name in touched))
        yield line.append(f" {y + 1}")


def _put(line: Text, symbol: str, pitch: int, style: str) -> None:
    left = (pitch - len(symbol)) // 2
    line.append(" " * left).append(symbol, style=style).append(" " * (pitch - len(symbol) - left))


def _notes(board: BoardView) -> Iterator[Text]:
    """Counters, buried rings and the last turn."""
    goal = f"of {board.config.rings_to_win}", f"of {board.config.territory_to_win}"
    for seat in board.seats:
        who = f" ({seat.name})" if seat.name else ""
        counts = f"{seat.hand} in hand, {seat.removed} {goal[0]} removed, {seat.territory} {goal[1]} cells, {seat.markers} markers"
        mark = ">" if seat.seat == board.to_act else " "
        yield Text(mark).append(
            f" seat {seat.seat}{who}: {counts}", style=TERMINAL_COLOURS[seat.seat]
        )
    mixed = [
        f"{cell.name} ({''.join(map(str, cell.stack))})"
        for cell in board.cells
        if cell.cap < len(cell.stack)
    ]
    if mixed:
        yield Text(f"buried rings, top first: {', '.join(mixed)}")
    if board.last_turn:
        yield Text(f"last turn: {' '.join(move.token for move in board.last_turn)}")
