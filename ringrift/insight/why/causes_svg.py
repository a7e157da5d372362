"""A causal tree as an SVG picture: one row an event, lines from what rests to what it rests on, a
colour a kind of fact."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

from ringrift.insight.why.causes import Node

ROW, INDENT, MARGIN, LETTER = 24.0, 22.0, 16.0, 7.2
"""pixels: height of a row, step to the right a level, margin, width of a letter of the monospaced
text"""
INDENT_LEVELS_MAX = 40
"""deeper levels are drawn at this one: a picture a mile wide shows nothing"""
PAPER, INK, FAINT = "#fbf8f1", "#2b2722", "#8b8170"
COLOURS = {
    "selfplay": "#0072b2",
    "game": "#0072b2",
    "shard": "#56b4e9",
    "training": "#e69f00",
    "model": "#d55e00",
    "evaluation": "#009e73",
    "rating": "#009e73",
    "promotion": "#cc79a7",
}
"""by the context of the subject (Okabe and Ito 2008, told apart by the colour-blind); others are
grey"""


def svg(top: Node, text_of: Callable[[Node], str]) -> str:
    """The picture as an SVG document; `text_of` writes the line of a node."""
    rows = list(top.walk())
    texts = [text_of(node) for _, node in rows]
    parts: list[str] = []
    open_at: list[float] = []
    for number, (depth, node) in enumerate(rows):
        level = min(depth, INDENT_LEVELS_MAX)
        x, y = MARGIN + level * INDENT, MARGIN + (number + 0.5) * ROW
        if depth:
            up = x - INDENT
            parts.append(
                f"<path d='M{up:.0f},{open_at[level - 1]:.0f} V{y:.0f} H{x:.0f}' stroke='{FAINT}' fill='none'/>"
            )
        open_at[level:] = [y]
        colour = _colour(node)
        shape = f"fill='{colour}'" if node.state == "open" else f"fill='{PAPER}'"
        parts.append(
            f"<circle cx='{x:.0f}' cy='{y:.0f}' r='5' {shape} stroke='{colour}' stroke-width='2'/>"
        )
        parts.append(f"<text x='{x + 12:.0f}' y='{y + 4:.0f}'>{escape(texts[number])}</text>")
    width = 3 * MARGIN + max(
        min(d, INDENT_LEVELS_MAX) * INDENT + len(t) * LETTER
        for (d, _), t in zip(rows, texts, strict=True)
    )
    height = 2 * MARGIN + len(rows) * ROW
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' font-size='12' "
        f"font-family='DejaVu Sans Mono, Menlo, Consolas, monospace' fill='{INK}'>"
        f"<rect width='100%' height='100%' fill='{PAPER}'/>{''.join(parts)}</svg>\n"
    )


def _colour(node: Node) -> str:
    if node.recorded is None:
        return COLOURS["game"]
    return COLOURS.get(node.recorded.meta.subject.split(".")[1], FAINT)
