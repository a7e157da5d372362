"""The values of all seats over a game as an SVG: a line a seat, and marks at its blunders."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ringrift.web.rendering import signed

WIDTH, HEIGHT, PAD = 800.0, 170.0, 10.0
TICK_PLIES: Final = (10, 20, 50, 100, 200)
"""distances between labels; the first with at most ten labels is used"""


class Blunder(NamedTuple):
    """A move that lost `loss` of its seat's value; `ply` is before it."""

    ply: int
    seat: int
    loss: float


def graph(
    values: Mapping[int, Sequence[float]],
    plies: int,
    *,
    ply: int,
    blunders: Iterable[Blunder] = (),
    link: str = "",
) -> str:
    """Return the graph with a cursor at `ply`; values are -1 to 1 by seat, by ply. The address of a
    blunder is `link` and its ply. Empty without values."""
    if not values:
        return ""
    seats = len(next(iter(values.values())))
    parts = [
        f"<svg class='graph' viewBox='0 0 {WIDTH:.0f} {HEIGHT + 20:.0f}' data-plies='{plies}'"
        f" data-pad='{PAD:.0f}' data-width='{WIDTH:.0f}' role='group'"
        f" aria-label='Value of each seat by ply, from −1 (loses) to 1 (wins)'>",
        f"<line class='axis' x1='{PAD}' x2='{WIDTH - PAD}' y1='{_y(0)}' y2='{_y(0)}'/>",
        *(_level(value) for value in (1, -1)),
        *(_tick(at, plies) for at in range(0, plies + 1, _step(plies))),
    ]
    for seat in range(seats):
        points = " ".join(f"{_x(at, plies):.1f},{_y(row[seat]):.1f}" for at, row in values.items())
        parts.append(f"<polyline class='value line{seat + 1}' points='{points}'/>")
    for blunder in blunders:
        if (row := values.get(blunder.ply)) is not None:
            parts.append(_mark(blunder, _x(blunder.ply, plies), _y(row[blunder.seat - 1]), link))
    x = _x(ply, plies)
    parts.append(f"<line class='cursor' x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{HEIGHT}'/></svg>")
    return "".join(parts)


def _mark(blunder: Blunder, x: float, y: float, link: str) -> str:
    words = f"seat {blunder.seat} lost {blunder.loss:.2f} at ply {blunder.ply}"
    circle = f"<circle class='blunder' cx='{x:.1f}' cy='{y:.1f}' r='6'><title>{words}</title>"
    return f"<a href='{link}{blunder.ply}' aria-label='{words}'>{circle}</circle></a>"


def _tick(at: int, plies: int) -> str:
    x = f"{_x(at, plies):.1f}"
    line = f"<line class='tick' x1='{x}' x2='{x}' y1='0' y2='{HEIGHT}'/>"
    return f"{line}<text class='label along' x='{x}' y='{HEIGHT + 15}'>{at}</text>"


def _level(value: int) -> str:
    return f"<text class='level up' x='{PAD + 4}' y='{_y(value) + 4:.0f}'>{signed(value)}</text>"


def _step(plies: int) -> int:
    return next((step for step in TICK_PLIES if plies <= 10 * step), 500)


def _x(ply: int, plies: int) -> float:
    return PAD + (WIDTH - 2 * PAD) * ply / max(plies, 1)


def _y(value: float) -> float:
    return PAD + (HEIGHT - 2 * PAD) * (1 - value) / 2
