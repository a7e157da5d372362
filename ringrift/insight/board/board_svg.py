"""A position as an SVG picture: real hexagons or squares, stacks as rings one upon another, the
last turn pointed out.

Colours are those of Okabe and Ito (2008), told apart also by the colour-blind; every stack of two
or more rings carries its height."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final
from xml.sax.saxutils import escape

from ringrift.insight.board.drawing import BoardView, Cell, SeatView, Trace

SEAT_COLOURS: Final = ("", "#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""by seat, index 0 unused"""
PAPER, CELL, GRID, INK, FAINT = "#fbf8f1", "#efe7d6", "#cdbf9f", "#2b2722", "#8b8170"
FONT: Final = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
UNIT_SMALL, UNIT_LARGE = 52.0, 34.0
"""width of a cell in pixels on boards up to 9 and above 9 cells wide"""
PANEL_WIDTH: Final = 262.0
PANEL_ROW: Final = 84.0
RING_RX, RING_RY = 0.31, 0.15
RING_THICKNESS, STACK_HEIGHT_MAX = 0.115, 0.52
"""of a cell's width; higher stacks have thinner rings"""
NAME_LENGTH_MAX, LINE_LENGTH_MAX = 22, 28
"""characters that fit into the panel"""
ARROW_HEAD: Final = (
    "<defs><marker id='head' viewBox='0 0 10 10' refX='8' refY='5' markerWidth='4.5' markerHeight='4.5' orient='auto'>"
    f"<path d='M0,0.5 L9.5,5 L0,9.5 L2.5,5 Z' fill='{INK}'/></marker></defs>"
)
SQRT3: Final = math.sqrt(3.0)

Point = tuple[float, float]


def svg(board: BoardView) -> str:
    """The picture as an SVG document."""
    return _Drawing(board).document()


class _Drawing:
    """Places cells on the picture; `unit` is the width of a cell, in pixels like all lengths."""

    def __init__(self, board: BoardView) -> None:
        self.board = board
        self.hex = board.config.shape.hex
        self.unit = UNIT_SMALL if board.config.shape.width < 10 else UNIT_LARGE
        self.margin = self.unit * 0.95
        width, m = board.config.shape.width, board.config.shape.radius
        self.inner_width = width * self.unit
        self.inner_height = (1.5 * 2 * m + 2) * self.unit / SQRT3 if self.hex else self.inner_width
        self.head = 62.0
        self.places = {cell.name: self._place(cell.x, cell.y) for cell in board.cells}

    def _place(self, x: float, y: float) -> Point:
        """Centre of the cell at grid column x and row y."""
        if not self.hex:
            return self.margin + (x + 0.5) * self.unit, self.head + self.margin + (
                y + 0.5
            ) * self.unit
        m, side = self.board.config.shape.radius, self.unit / SQRT3
        across = (x - m) + (y - m) / 2
        return self.margin + (
            m + 0.5 + across
        ) * self.unit, self.head + self.margin + side + 1.5 * side * y

    def document(self) -> str:
        """All parts from back to front."""
        board_width = self.inner_width + 2 * self.margin
        width = board_width + PANEL_WIDTH
        height = self.head + self.inner_height + 2 * self.margin
        parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}'",
            f" height='{height:.0f}' role='img' font-family='{FONT}'>",
            f"<title>{escape(self.board.caption)}</title>",
            _tag("rect", width="100%", height="100%", fill=PAPER),
            *self._heading(),
            *(part for cell in self.board.cells for part in self._ground(cell)),
            *self._labels(),
            *self._last_cells(),
            *(part for cell in self.board.cells for part in self._content(cell)),
            *self._arrows(),
            *self._panel(board_width),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _heading(self) -> Iterator[str]:
        if self.board.title:
            yield _words(self.margin, 26, self.board.title, 12, FAINT)
        yield _words(self.margin, 50, self.board.caption, 19, INK, weight="bold")

    def _outline(self, centre: Point, scale: float = 1.0) -> str:
        """Points of the polygon of a cell."""
        if self.hex:
            reach = self.unit / SQRT3 * scale
            turns = [math.radians(60 * corner - 90) for corner in range(6)]
            corners = [
                (centre[0] + reach * math.cos(turn), centre[1] + reach * math.sin(turn))
                for turn in turns
            ]
        else:
            half = self.unit / 2 * scale
            corners = [
                (centre[0] + dx * half, centre[1] + dy * half)
                for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)

    def _ground(self, cell: Cell) -> Iterator[str]:
        centre = self.places[cell.name]
        yield _tag(
            "polygon", points=self._outline(centre), fill=CELL, stroke=GRID, stroke_width=1.2
        )
        if cell.collapsed:
            colour = SEAT_COLOURS[cell.collapsed]
            points = self._outline(centre, 0.93)
            yield _tag(
                "polygon",
                points=points,
                fill=colour,
                fill_opacity="0.5",
                stroke=colour,
                stroke_width=1.4,
            )

    def _labels(self) -> Iterator[str]:
        """Letters of the columns and numbers of the rows, on hexes where a column or row comes
        in."""
        shape, size = self.board.config.shape, min(15.0, self.unit * 0.3)
        for i in range(shape.width):
            letter, number = chr(97 + i), str(i + 1)
            if self.hex:
                first, last = max(0, shape.radius - i), min(shape.width - 1, 3 * shape.radius - i)
                places = [
                    (self._place(i, first - 0.8), letter),
                    (self._place(last + 0.8, i), number),
                ]
            else:
                places = [(self._place(i, -0.8), letter), (self._place(-0.8, i), number)]
            for (x, y), label in places:
                yield _words(x, y + size * 0.36, label, size, FAINT, anchor="middle")

    def _last_cells(self) -> Iterator[str]:
        for name in sorted({name for move in self.board.last_turn for name in move.cells}):
            points = self._outline(self.places[name], 0.9)
            yield _tag(
                "polygon",
                points=points,
                fill="none",
                stroke=INK,
                stroke_width=self.unit * 0.04,
                stroke_opacity="0.55",
            )

    def _content(self, cell: Cell) -> Iterator[str]:
        x, y = self.places[cell.name]
        if cell.marker:
            colour = SEAT_COLOURS[cell.marker]
            yield _tag(
                "circle",
                cx=x,
                cy=y,
                r=self.unit * 0.15,
                fill=colour,
                stroke=_shade(colour, 0.6),
                stroke_width=1.5,
            )
        elif cell.stack:
            yield from self._stack(cell.stack, x, y)

    def _stack(self, rings: tuple[int, ...], x: float, y: float) -> Iterator[str]:
        """Rings from the lowest to the top one, the pile centred on the cell; two or more with
        their number beside."""
        rx, ry = self.unit * RING_RX, self.unit * RING_RY
        thick = self.unit * min(RING_THICKNESS, STACK_HEIGHT_MAX / len(rings))
        foot = y + thick * len(rings) / 2
        yield _tag(
            "ellipse",
            cx=x,
            cy=foot + ry * 0.25,
            rx=rx * 1.08,
            ry=ry * 1.08,
            fill=INK,
            fill_opacity="0.18",
        )
        for level, ring in enumerate(reversed(rings), 1):
            colour = SEAT_COLOURS[ring]
            edge: dict[str, Any] = {
                "stroke": _shade(colour, 0.45),
                "stroke_width": min(1.1, thick * 0.22),
            }
            top = foot - thick * level
            side = f"M{x - rx:.1f},{top:.1f} v{thick:.1f} a{rx:.1f},{ry:.1f} 0 0 0 {2 * rx:.1f},0 v{-thick:.1f} Z"
            yield _tag("path", d=side, fill=_shade(colour, 0.78), **edge)
            yield _tag("ellipse", cx=x, cy=top, rx=rx, ry=ry, fill=colour, **edge)
        hole = _shade(SEAT_COLOURS[rings[0]], 0.45)
        yield _tag(
            "ellipse", cx=x, cy=foot - thick * len(rings), rx=rx * 0.5, ry=ry * 0.5, fill=hole
        )
        if len(rings) > 1:
            yield from self._height(len(rings), x + self.unit * 0.33, y - self.unit * 0.27)

    def _height(self, height: int, x: float, y: float) -> Iterator[str]:
        size = self.unit * (0.23 if height < 10 else 0.18)
        yield _tag(
            "circle", cx=x, cy=y, r=self.unit * 0.135, fill=PAPER, stroke=INK, stroke_width=0.8
        )
        yield _words(x, y + size * 0.36, str(height), size, INK, anchor="middle")

    def _arrows(self) -> Iterator[str]:
        yield ARROW_HEAD
        for move in self.board.last_turn:
            if move.path:
                yield self._arrow(move)

    def _arrow(self, move: Trace) -> str:
        (x0, y0), (x1, y1) = self.places[move.path[0]], self.places[move.path[-1]]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0  # a chain may come back to where it began
        dx, dy = ((end - start) / length * 0.2 * self.unit for start, end in ((x0, x1), (y0, y1)))
        return _tag(
            "line",
            x1=x0 + dx,
            y1=y0 + dy,
            x2=x1 - dx,
            y2=y1 - dy,
            stroke=INK,
            stroke_width=self.unit * 0.06,
            stroke_opacity="0.7",
            stroke_linecap="round",
            marker_end="url(#head)",
        )

    def _panel(self, left: float) -> Iterator[str]:
        """Who sits where and how far each is, right of the board."""
        top = self.head + self.margin
        for row, seat in enumerate(self.board.seats):
            yield from self._seat(seat, left, top + row * PANEL_ROW)
        below = top + len(self.board.seats) * PANEL_ROW + 12
        if self.board.last_turn:
            yield _words(left, below, "last turn", 12, FAINT)
            for row, line in enumerate(_wrapped([move.token for move in self.board.last_turn])):
                yield _words(left, below + 20 + row * 17, line, 13, INK)

    def _seat(self, seat: SeatView, left: float, top: float) -> Iterator[str]:
        colour, config = SEAT_COLOURS[seat.seat], self.board.config
        size = {"width": PANEL_WIDTH - 24, "height": PANEL_ROW - 10}
        frame = 3.0 if seat.seat == self.board.to_act else 1.0
        yield _tag(
            "rect",
            x=left,
            y=top - 18,
            **size,
            rx=6.0,
            fill="#ffffff",
            stroke=colour,
            stroke_width=frame,
        )
        yield _tag(
            "circle",
            cx=left + 20,
            cy=top + 2,
            r=8.0,
            fill=colour,
            stroke=_shade(colour, 0.6),
            stroke_width=1.5,
        )
        name = (
            seat.name
            if len(seat.name) <= NAME_LENGTH_MAX
            else seat.name[: NAME_LENGTH_MAX - 1] + "…"
        )
        yield _words(
            left + 36,
            top + 7,
            f"seat {seat.seat}" + (f" · {name}" if name else ""),
            13,
            INK,
            weight="bold",
        )
        yield _words(
            left + 12,
            top + 28,
            f"{seat.hand} in hand, {seat.removed} of {config.rings_to_win} removed",
            12,
            INK,
        )
        yield _words(
            left + 12,
            top + 46,
            f"{seat.territory} of {config.territory_to_win} cells, {seat.markers} markers",
            12,
            INK,
        )


def _tag(name: str, **attributes: str | float) -> str:
    """An element without content; numbers are written with one decimal, `_` in names stands for
    `-`."""
    texts = (value if isinstance(value, str) else f"{value:.1f}" for value in attributes.values())
    pairs = (
        f"{key.replace('_', '-')}='{text}'" for key, text in zip(attributes, texts, strict=True)
    )
    return f"<{name} {' '.join(pairs)}/>"


def _words(
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size:.1f}' fill='{colour}' text-anchor='{anchor}' font-weight='{weight}'>"
        f"{escape(text)}</text>"
    )


def _wrapped(tokens: list[str]) -> list[str]:
    """Tokens in lines of at most `LINE_LENGTH_MAX` characters where they fit."""
    lines = [""]
    for token in tokens:
        if lines[-1] and len(lines[-1]) + 1 + len(token) > LINE_LENGTH_MAX:
            lines.append(token)
        else:
            lines[-1] = f"{lines[-1]} {token}".strip()
    return lines


def _shade(colour: str, factor: float) -> str:
    """The colour, darker by `factor`."""
    return "#" + "".join(f"{round(int(colour[i : i + 2], 16) * factor):02x}" for i in (1, 3, 5))
