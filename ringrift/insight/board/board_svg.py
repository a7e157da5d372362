"""A position as an SVG picture: stacks as rings one upon another, the last turn pointed out.

`svg` is a document with the players beside the board, `figure` the board alone for a page, which
brings `STYLE` itself because pages allow no style inside them.

Colours are those of Okabe and Ito (2008), which the colour-blind can distinguish. Stacks of two
or more rings show their height."""

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from ringrift.events.visible import visible
from ringrift.insight.board.drawing import BoardView, Cell, SeatView, Trace, spoken, trace

SEAT_COLOURS: Final = ("", "#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""By seat, index 0 unused."""
PAPER, CELL, GRID, INK, FAINT = "#fbf8f1", "#efe7d6", "#cdbf9f", "#2b2722", "#8b8170"
FONT: Final = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
UNIT: Final = 52.0
"""Width of a cell in pixels, before boards above 9 cells wide are scaled."""
LARGE_SCALE: Final = 34.0 / UNIT
MARGIN, HEAD = UNIT * 0.95, 62.0
PANEL_WIDTH, PANEL_ROW = 262, 84
RING_RX, RING_RY, RING_THICKNESS, STACK_HEIGHT_MAX = 16.0, 7.8, 6.0, 27.0
"""Higher stacks have thinner rings."""
NAME_LENGTH_MAX, LINE_LENGTH_MAX = 22, 28
"""Characters that fit into the panel."""
SQRT2, SQRT3 = math.sqrt(2.0), math.sqrt(3.0)
ARROW: Final = (
    "<defs><marker id='head' viewBox='0 0 10 10' refX='8' refY='5' markerWidth='4.5' "
    f"markerHeight='4.5' orient='auto'><path d='M0,0.5 L9.5,5 L0,9.5 L2.5,5 Z' fill='{INK}'/>"
    "</marker></defs>"
)
SHAPES: Final = f"""text {{ fill: {INK} }}
.faint {{ fill: {FAINT} }}
.bold {{ font-weight: bold }}
.label {{ fill: {FAINT}; font-size: 15px; text-anchor: middle }}
.cell {{ fill: {CELL}; stroke: {GRID}; stroke-width: 1.2 }}
.last {{ fill: none; stroke: {INK}; stroke-width: 2; stroke-opacity: 0.55 }}
.move {{ stroke: {INK}; stroke-width: 3; stroke-opacity: 0.7; stroke-linecap: round }}
.shadow {{ fill: {INK}; fill-opacity: 0.18 }}
.badge {{ fill: {PAPER}; stroke: {INK}; stroke-width: 0.8 }}
.height {{ font-size: 12px; text-anchor: middle }}
.panel {{ fill: #ffffff }}"""
MARKS: Final = f"""
.share {{ fill: none; stroke: {INK}; stroke-opacity: 0.4; stroke-linecap: round }}
.played {{ stroke: #d55e00; stroke-opacity: 0.9 }}
.percent {{ font-size: 13px; font-weight: bold; text-anchor: middle; paint-order: stroke;
 stroke: {PAPER}; stroke-width: 3px }}
.hit {{ fill: transparent }}"""
"""Of what only figures have."""

Point = tuple[float, float]


class Mark(NamedTuple):
    """A move drawn on the board with its share of a search, 0 to 1, and whether it was played."""

    token: str
    share: float
    played: bool = False


def svg(board: BoardView) -> str:
    """Return the picture as an SVG document."""
    return "\n".join(_Picture(board).parts()) + "\n"


def figure(board: BoardView, marks: Iterable[Mark] = (), *, clickable: bool = False) -> str:
    """Return the board alone as an SVG element of the class `board`.

    If `clickable`, each cell is a button with its name as `data-cell` and its content in words."""
    return "\n".join(_Picture(board).figure(marks, clickable))


def style() -> str:
    """Return the rules of the classes of a figure, for a page."""
    rules = "\n".join((SHAPES, *_seat_styles(), MARKS)).replace("\n ", " ")
    return "\n".join(f".board {rule}" for rule in rules.splitlines() if rule)


class _Picture:
    """Places the cells of a board; lengths are pixels."""

    def __init__(self, board: BoardView) -> None:
        shape = board.position.config.shape
        self.board, self.shape, self.hex = board, shape, shape.hex
        self.scale = 1.0 if shape.width < 10 else LARGE_SCALE
        rows = (3 * shape.radius + 2) / SQRT3 if self.hex else shape.width
        self.width = (shape.width * UNIT + 2 * MARGIN) * self.scale
        self.height = HEAD + (rows * UNIT + 2 * MARGIN) * self.scale
        self.places = {cell.name: self._place(cell.x, cell.y) for cell in board.cells}

    def _place(self, x: float, y: float) -> Point:
        """Return the centre of the cell at grid column x and row y."""
        if not self.hex:
            return MARGIN + (x + 0.5) * UNIT, MARGIN + (y + 0.5) * UNIT
        across = x + 0.5 + (y - self.shape.radius) / 2
        return MARGIN + across * UNIT, MARGIN + (1 + 1.5 * y) * UNIT / SQRT3

    def parts(self) -> Iterator[str]:
        """Yield all parts from back to front."""
        width, board = self.width + PANEL_WIDTH, self.board
        size = f"width='{width:.0f}' height='{self.height:.0f}'"
        box = f"viewBox='0 0 {width:.0f} {self.height:.0f}' role='img' font-family='{FONT}'"
        yield f"<svg xmlns='http://www.w3.org/2000/svg' {size} {box}>"
        yield f"<title>{_text(board.caption)}</title>"
        yield "\n".join(("<style>", SHAPES, *_seat_styles(), "</style>", ARROW))
        yield f"<rect width='100%' height='100%' fill='{PAPER}'/>"
        left = MARGIN * self.scale
        if board.title:
            yield _tag("text", "faint", board.title, x=left, y=26.0, font_size=12)
        yield _tag("text", "bold", board.caption, x=left, y=50.0, font_size=19)
        yield f"<g transform='translate(0 {HEAD:.0f}) scale({self.scale:.3f})'>"
        yield from self._board()
        yield "</g>"
        yield from self._panel()
        yield "</svg>"

    def figure(self, marks: Iterable[Mark], clickable: bool) -> Iterator[str]:
        """Yield the board without title and players; marks and cells to click on are on top."""
        points = [*self.places.values(), *(place for place, _ in self._label_places())]
        (left, right), (top, bottom) = (
            (min(each), max(each)) for each in zip(*points, strict=True)
        )
        edge = UNIT / SQRT3 + 4
        box = f"{left - edge:.0f} {top - edge:.0f} {right - left + 2 * edge:.0f}"
        role = "group" if clickable else "img"
        large = " large" if self.scale < 1 else ""
        head = (
            f"<svg class='board{large}' viewBox='{box} {bottom - top + 2 * edge:.0f}' role='{role}'"
        )
        label = quoteattr(visible(self.board.caption))
        yield f"{head} aria-label={label} font-family='{FONT}'>{ARROW}"
        yield from self._board()
        for mark in _merged(marks):
            yield from self._mark(mark)
        if clickable:
            yield from map(self._button, self.board.cells)
        yield "</svg>"

    def _board(self) -> Iterator[str]:
        """Yield the cells and what is on them."""
        board = self.board
        for cell in board.cells:
            yield self._outline(cell.name, "cell")
            if cell.collapsed:
                yield self._outline(cell.name, f"own{cell.collapsed}", 0.93)
        yield from self._labels()
        # outlines below the stacks, arrows above them
        for name in sorted({name for move in board.last_turn for name in move.cells}):
            yield self._outline(name, "last", 0.9)
        for cell in board.cells:
            yield from self._content(cell)
        yield from (self._arrow(move) for move in board.last_turn if move.path)

    def _outline(self, name: str, style: str, scale: float = 1.0, /, **attributes: str) -> str:
        """Return the polygon of a cell."""
        corners, reach, first = (6, UNIT / SQRT3, 90) if self.hex else (4, UNIT / SQRT2, 135)
        x, y = self.places[name]
        turns = [math.radians(360 / corners * corner - first) for corner in range(corners)]
        reach *= scale
        points = [(x + reach * math.cos(turn), y + reach * math.sin(turn)) for turn in turns]
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return _tag("polygon", style, points=listed, **attributes)

    def _button(self, cell: Cell) -> str:
        named = {"data_cell": cell.name, "aria_label": spoken(cell)}
        return self._outline(cell.name, "hit", role="button", tabindex="-1", **named)

    def _labels(self) -> Iterator[str]:
        for (x, y), label in self._label_places():
            yield _tag("text", "label", label, x=x, y=y + 5.4)

    def _label_places(self) -> Iterator[tuple[Point, str]]:
        """Yield column letters and row numbers, on hexes next to the first or last cell."""
        last = self.shape.width - 1
        for i in range(self.shape.width):
            if self.hex:
                radius = self.shape.radius
                letter = self._place(i, max(0, radius - i) - 0.8)
                number = self._place(min(last, 3 * radius - i) + 0.8, i)
            else:
                letter, number = self._place(i, -0.8), self._place(-0.8, i)
            yield letter, chr(97 + i)
            yield number, str(i + 1)

    def _content(self, cell: Cell) -> Iterator[str]:
        x, y = self.places[cell.name]
        if cell.marker:
            yield _tag("circle", f"marker{cell.marker}", cx=x, cy=y, r=7.8)
        elif cell.stack:
            yield from _stack(cell.stack, x, y)

    def _arrow(self, move: Trace, style: str = "move", **attributes: float | str) -> str:
        (x0, y0), (x1, y1) = self.places[move.path[0]], self.places[move.path[-1]]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0  # a chain may return to its origin
        dx, dy = ((end - start) / length * 0.2 * UNIT for start, end in ((x0, x1), (y0, y1)))
        ends = {"x1": x0 + dx, "y1": y0 + dy, "x2": x1 - dx, "y2": y1 - dy}
        return _tag("line", style, **ends, **(attributes or {"marker_end": "url(#head)"}))

    def _mark(self, mark: Mark) -> Iterator[str]:
        """Yield the share of a move at its last cell, and the way there as wide as the share."""
        move = trace(mark.token)
        style, wide = "share played" if mark.played else "share", 2.0 + 8.0 * mark.share
        x, y = self.places[(move.path or move.cells)[-1]]
        if move.path:
            yield self._arrow(move, style, stroke_width=wide)
        else:
            yield _tag("circle", style, cx=x, cy=y, r=17.0, stroke_width=wide / 2)
        yield _tag("text", "percent", f"{100 * mark.share:.0f}", x=x, y=y + 4.7)

    def _panel(self) -> Iterator[str]:
        """Yield the players and their counters, right of the board."""
        board, left, top = self.board, self.width, HEAD + MARGIN * self.scale
        for seat in board.seats:
            yield from self._seat(seat, left, top)
            top += PANEL_ROW
        if board.last_turn:
            yield _tag("text", "faint", "last turn", x=left, y=top + 12, font_size=12)
            lines = _wrapped(move.token for move in board.last_turn)
            for row, line in enumerate(lines):
                yield _tag("text", "", line, x=left, y=top + 32 + row * 17, font_size=13)

    def _seat(self, seat: SeatView, left: float, top: float) -> Iterator[str]:
        number, name = seat.seat, visible(seat.name)
        frame = 3 if number == self.board.position.seat else 1
        size = {"width": PANEL_WIDTH - 24, "height": PANEL_ROW - 10}
        place = {"x": left, "y": top - 18, "rx": 6, "stroke_width": frame}
        yield _tag("rect", f"panel seat{number}", **place, **size)
        yield _tag("circle", f"marker{number}", cx=left + 20, cy=top + 2, r=8)
        if len(name) > NAME_LENGTH_MAX:
            name = name[: NAME_LENGTH_MAX - 1] + "…"
        title = f"seat {number} · {name}" if name else f"seat {number}"
        yield _tag("text", "bold", title, x=left + 36, y=top + 7, font_size=13)
        yield _tag("text", "", seat.rings, x=left + 12, y=top + 28, font_size=12)
        yield _tag("text", "", seat.area, x=left + 12, y=top + 46, font_size=12)


def _merged(marks: Iterable[Mark]) -> list[Mark]:
    """Return one mark for moves to the same cell from the same cell, such as placements of one to
    three rings; moves that name no cell have none."""
    found: dict[tuple[str, ...], Mark] = {}
    for mark in marks:
        move = trace(mark.token)
        key = (*move.path[::2], *move.path[-1:]) if move.path else move.cells[:1]
        if key:
            known = found.get(key, Mark(mark.token, 0.0))
            found[key] = Mark(mark.token, known.share + mark.share, known.played or mark.played)
    return list(found.values())


def _seat_styles() -> Iterator[str]:
    for seat, colour in enumerate(SEAT_COLOURS[1:], 1):
        dark = _shade(colour, 0.45)
        yield f".seat{seat} {{ stroke: {colour} }}"
        yield f".own{seat} {{ fill: {colour}; fill-opacity: 0.5; stroke: {colour} }}"
        yield f".marker{seat} {{ fill: {colour}; stroke: {_shade(colour, 0.6)} }}"
        yield f".ring{seat} {{ fill: {colour}; stroke: {dark} }}"
        yield f".side{seat} {{ fill: {_shade(colour, 0.78)}; stroke: {dark} }}"
        yield f".hole{seat} {{ fill: {dark} }}"


def _stack(rings: tuple[int, ...], x: float, y: float) -> Iterator[str]:
    """Yield rings from the lowest to the top one, centred on the cell, and the height of two or
    more."""
    rx, ry = RING_RX, RING_RY
    thick = min(RING_THICKNESS, STACK_HEIGHT_MAX / len(rings))
    foot = y + thick * len(rings) / 2
    yield _tag("ellipse", "shadow", cx=x, cy=foot + ry * 0.25, rx=rx * 1.08, ry=ry * 1.08)
    for level, ring in enumerate(reversed(rings), 1):
        top = foot - thick * level
        side = f"v{thick:.1f} a{rx:.1f},{ry:.1f} 0 0 0 {2 * rx:.1f},0 v{-thick:.1f} Z"
        yield _tag("path", f"side{ring}", d=f"M{x - rx:.1f},{top:.1f} {side}")
        yield _tag("ellipse", f"ring{ring}", cx=x, cy=top, rx=rx, ry=ry)
    yield _tag("ellipse", f"hole{rings[0]}", cx=x, cy=top, rx=rx * 0.5, ry=ry * 0.5)
    if len(rings) > 1:
        cx, cy = x + 17.2, y - 14.0
        yield _tag("circle", "badge", cx=cx, cy=cy, r=7)
        yield _tag("text", "height", str(len(rings)), x=cx, y=cy + 4.3)


def _tag(name: str, style: str, text: str = "", /, **attributes: float | str) -> str:
    """Return an element of a class; lengths have at most one digit after the point."""
    words = [name]
    for key, value in {"class": style, **attributes}.items():
        length = f"{value:.1f}" if isinstance(value, float) else visible(str(value))
        words.append(f"{key.replace('_', '-')}={quoteattr(length)}")
    head = " ".join(words)
    return f"<{head}>{_text(text)}</{name}>" if text else f"<{head}/>"


def _text(text: str) -> str:
    """Return text for XML, which forbids most control characters even as references."""
    return escape(visible(text))


def _wrapped(tokens: Iterable[str]) -> list[str]:
    """Return tokens in lines of at most `LINE_LENGTH_MAX` characters where they fit."""
    lines = [""]
    for token in tokens:
        if lines[-1] and len(lines[-1]) + 1 + len(token) > LINE_LENGTH_MAX:
            lines.append(token)
        else:
            lines[-1] = f"{lines[-1]} {token}".strip()
    return lines


def _shade(colour: str, factor: float) -> str:
    """Return the colour, darker by `factor`."""
    return "#" + "".join(f"{round(int(colour[i : i + 2], 16) * factor):02x}" for i in (1, 3, 5))
