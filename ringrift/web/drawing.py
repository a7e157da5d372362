"""Small pictures as SVG: where a sequential test stands, how its starts ended, Elo with intervals,
losses. Colours are classes of `static/style.css`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from markupsafe import Markup, escape

from ringrift.events.facts import Evidence
from ringrift.web.rendering import fixed, minus

WIDTH = 720.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 14.0, 38.0
T = TypeVar("T")
MARKS_MAX = 200
"""points of a chart; of more, evenly chosen ones are drawn"""


def _element(name: str, text: object = "", **attributes: object) -> Markup:
    """An element; names of attributes are written with `_` for `-` and without a final one."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{escape(text)}</{name}>")


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(value)


def _picture(parts: Iterable[Markup], label: str, width: float, height: float, kind: str) -> Markup:
    box, inner = f"0 0 {width:g} {height:g}", Markup("").join(parts)
    role = "group" if "<a " in inner else "img"
    return _element("svg", inner, viewBox=box, role=role, aria_label=label, class_=kind)


def trial_bar(evidence: Evidence) -> Markup:
    """Draw the log-likelihood ratio of a test between its thresholds."""
    low, high = evidence.lower, evidence.upper
    reach = max(-low, high, abs(evidence.llr)) * 1.08

    def x(llr: float) -> float:
        return 160.0 + 150.0 * llr / reach

    at = x(evidence.llr)
    ends = f"between {fixed(low)} (reject) and {fixed(high)} (promote)"
    parts = [
        _element("rect", x=10, y=16, width=300, height=8, rx=4, class_="band"),
        _element(
            "rect",
            x=min(160.0, at),
            y=16,
            width=abs(at - 160.0),
            height=8,
            class_="mark" if evidence.llr >= 0 else "mark bad",
        ),
        *(
            _element("line", x1=x(one), x2=x(one), y1=11, y2=29, class_=kind)
            for one, kind in ((low, "limit bad"), (0.0, "limit"), (high, "limit good"))
        ),
        _element("circle", cx=at, cy=20, r=6, class_="mark" if evidence.llr >= 0 else "mark bad"),
        _element("text", fixed(low), x=x(low), y=44, text_anchor="middle"),
        _element("text", "0", x=160, y=44, text_anchor="middle"),
        _element("text", fixed(high), x=x(high), y=44, text_anchor="middle"),
    ]
    label = f"log-likelihood ratio {fixed(evidence.llr)} {ends}"
    return _picture(parts, label, 320, 48, "chart test")


def class_bars(counts: Sequence[int], labels: Sequence[str]) -> Markup:
    """Draw how many starts ended with each score, worst first."""
    step, most = 320.0 / len(counts), max(*counts, 1)
    parts = []
    for number, (count, label) in enumerate(zip(counts, labels, strict=True)):
        height, middle = 44.0 * count / most, step * (number + 0.5)
        half = number - (len(counts) - 1) / 2
        kind = "mark bad" if half < 0 else "mark soft" if half == 0 else "mark"
        box = {"x": step * number + step * 0.12, "width": step * 0.76, "rx": 2}
        parts += [
            _element("rect", y=62 - max(height, 1.5), height=max(height, 1.5), class_=kind, **box),
            _element("text", count or "", x=middle, y=56 - height, text_anchor="middle"),
            _element("text", label, x=middle, y=77, text_anchor="middle"),
        ]
    named = ", ".join(f"{count} of {label}" for count, label in zip(counts, labels, strict=True))
    return _picture(parts, f"starts by score: {named}", 320, 82, "chart classes")


class Point(NamedTuple):
    """A network in a chart: `low` to `high` is its 95 % interval, `href` its page."""

    x: float
    y: float
    low: float
    high: float
    name: str
    title: str
    href: str
    rejected: bool = False


class Scale(NamedTuple):
    """Where values lie on the page: `first` at `start`, `last` at `end`."""

    first: float
    last: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.last - self.first) or 1.0
        return self.start + (self.end - self.start) * (value - self.first) / span

    def marks(self, most: int) -> list[float]:
        """Return at most about `most` round values in the range."""
        span = (self.last - self.first) or 1.0
        step = 10.0 ** math.floor(math.log10(span / most))
        step *= next(factor for factor in (1, 2, 5, 10, 20) if span / (step * factor) <= most)
        first = math.ceil(self.first / step)
        return [number * step for number in range(first, math.floor(self.last / step) + 1)]


def elo_chart(
    points: Sequence[Point],
    lines: Sequence[tuple[float, str]],
    along: Sequence[tuple[float, str]],
    label: str,
    under: str,
) -> Markup:
    """Draw networks with their intervals, and named horizontal `lines`; `along` are the marks of
    the horizontal axis, `under` its name."""
    shown = points
    heights = [edge for point in shown for edge in (point.low, point.high)]
    heights += [height for height, _ in lines] or [0.0]
    room = (max(heights) - min(heights) or 1.0) * 0.06
    height = 360.0
    y = Scale(min(heights) - room, max(heights) + room, height - BOTTOM, TOP)
    ends = [point.x for point in shown] + [place for place, _ in along]
    x = Scale(min(ends), max(ends), LEFT + 14, WIDTH - RIGHT - 14)
    parts = _axes(x, y, along, height, under)
    for level, name in lines:
        parts.append(
            _element(
                "line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(level), y2=y(level), class_="axis zero"
            )
        )
        parts.append(_element("text", name, x=WIDTH - RIGHT, y=y(level) - 5, text_anchor="end"))
    kept = [point for point in shown if not point.rejected]
    path = " ".join(f"{x(point.x):.1f},{y(point.y):.1f}" for point in kept)
    parts.append(_element("polyline", points=path, class_="line"))
    crowded = len(shown) > 24
    for point in shown:
        parts.append(_network(point, x, y, named=not crowded or point in kept[-1:]))
    return _picture(parts, label, WIDTH, height, "chart elo")


def _network(point: Point, x: Scale, y: Scale, *, named: bool) -> Markup:
    at, low, high = x(point.x), y(point.low), y(point.high)
    parts = [
        _element("title", point.title),
        _element("line", x1=at, x2=at, y1=low, y2=high, class_="bar"),
        _element("line", x1=at - 4, x2=at + 4, y1=low, y2=low, class_="bar"),
        _element("line", x1=at - 4, x2=at + 4, y1=high, y2=high, class_="bar"),
        _element("circle", cx=at, cy=y(point.y), r=5, class_="dot"),
    ]
    if named:
        parts.append(_element("text", point.name, x=at + 8, y=y(point.y) - 7))
    kind = "network rejected" if point.rejected else "network"
    return _element("a", Markup("").join(parts), href=point.href, class_=kind)


def curves(
    series: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], label: str, under: str
) -> Markup:
    """Draw named lines of a class each, such as the losses of a training over its steps."""
    points = [point for _, _, line in series for point in line]
    if not points:
        return Markup()
    height = 240.0
    tops, ends = [value for _, value in points], [at for at, _ in points]
    room = (max(tops) - min(tops) or 1.0) * 0.08
    y = Scale(min(tops) - room, max(tops) + room, height - BOTTOM, TOP)
    x = Scale(min(ends), max(ends), LEFT + 8, WIDTH - RIGHT - 70)
    parts = _axes(x, y, [(mark, f"{mark:g}") for mark in x.marks(8)], height, under)
    for name, kind, line in series:
        if line:
            path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in chosen(line, MARKS_MAX))
            parts.append(_element("polyline", points=path, class_=f"line {kind}"))
            at, value = line[-1]
            parts.append(_element("text", name, x=x(at) + 6, y=y(value) + 4))
    return _picture(parts, label, WIDTH, height, "chart curves")


def _axes(
    x: Scale, y: Scale, along: Iterable[tuple[float, str]], height: float, under: str
) -> list[Markup]:
    parts: list[Markup] = []
    for mark in y.marks(6):
        parts.append(
            _element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(mark), y2=y(mark), class_="axis")
        )
        text = minus(f"{mark:g}")
        place = {"x": LEFT - 8, "y": y(mark) + 4}
        parts.append(_element("text", text, **place, text_anchor="end", class_="up"))
    for at, name in along:
        place = {"x": x(at), "y": height - 19}
        parts.append(_element("text", name, **place, text_anchor="middle", class_="along"))
    place = {"x": WIDTH - RIGHT, "y": height - 3}
    parts.append(_element("text", under, **place, text_anchor="end", class_="up along"))
    return parts


def chosen(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` of the items, evenly chosen, the first and the last among them."""
    if len(items) <= most:
        return items
    step = (len(items) - 1) / (most - 1)
    return [items[round(number * step)] for number in range(most)]
