"""A causal tree as an SVG picture: a row per event, coloured by kind, lines to its causes."""

from xml.sax.saxutils import escape

from ringrift.insight.why.causes import CauseNode, node_text

ROW, INDENT, MARGIN, LETTER = 24.0, 22.0, 16.0, 7.2
"""Pixels: height of a row, indentation of a level, margin, width of a monospaced letter."""
LEVELS_MAX = 40
"""Deeper levels are drawn at this one, as a picture a mile wide shows nothing."""
PAPER, INK, FAINT = "#fbf8f1", "#2b2722", "#8b8170"
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"
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
"""By the first token of the subject (Okabe and Ito 2008); others are grey."""


def causes_svg(top: CauseNode) -> str:
    """Return the picture as an SVG document."""
    parts: list[str] = []
    heights: list[float] = []  # of the newest row of each level
    width = 0.0
    for number, (depth, node) in enumerate(top.walk()):
        level = min(depth, LEVELS_MAX)
        x, y = MARGIN + level * INDENT, MARGIN + (number + 0.5) * ROW
        if depth:
            line = f"M{x - INDENT:.0f},{heights[level - 1]:.0f} V{y:.0f} H{x:.0f}"
            parts.append(f"<path d='{line}' stroke='{FAINT}' fill='none'/>")
        heights[level:] = [y]
        colour = _colour(node)
        fill = colour if node.state == "open" else PAPER
        style = f"fill='{fill}' stroke='{colour}' stroke-width='2'"
        parts.append(f"<circle cx='{x:.0f}' cy='{y:.0f}' r='5' {style}/>")
        text = node_text(node)
        parts.append(f"<text x='{x + 12:.0f}' y='{y + 4:.0f}'>{escape(text)}</text>")
        width = max(width, level * INDENT + len(text) * LETTER)
    size = f"width='{width + 3 * MARGIN:.0f}' height='{y + 0.5 * ROW + MARGIN:.0f}'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} font-size='12' font-family='{FONT}' "
        f"fill='{INK}'><rect width='100%' height='100%' fill='{PAPER}'/>{''.join(parts)}</svg>\n"
    )


def _colour(node: CauseNode) -> str:
    if node.recorded is None:
        return COLOURS["game"]
    return COLOURS.get(node.recorded.meta.subject.split(".")[1], FAINT)
