"""The causal tree of an event: everything it rests on, down to the games. As text, as a document
and as an SVG picture: a row per event, coloured by kind, with lines to its causes.

Each event is opened once, where it is nearest to the root, and only named elsewhere. The tree of a
decision after a thousand generations is therefore as long as its history, not exponentially
longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.sax.saxutils import escape

import msgspec

from ringrift.events import Recorded, facts
from ringrift.insight.describe import DIGITS_MIN, fields_line, plural, short
from ringrift.insight.why.references import GameGroup, GameIndex, HistoryIndex
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES

CLOSED = {"open": "", "elsewhere": "  (shown elsewhere)", "deeper": "  …"}
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
BULKY = ("targets", "moves")
"""Fields of a game that are left out of the JSON document."""


@dataclass(kw_only=True)
class CauseNode:
    """An event, or a group of games, with its causes.

    role    its relation to its parent: `cause`, `shard`, `model`, `evidence`, `settings`, `games`;
            `root` at the top
    state   `open`: its children are here; `elsewhere`: it is shown at another place of the tree;
            `deeper`: it is below the requested depth"""

    role: str
    what: Recorded | GameGroup
    state: Literal["open", "elsewhere", "deeper"] = "open"
    children: list[CauseNode] = field(default_factory=list)

    @property
    def position(self) -> str:
        """Such as `EVENTS/12` or `GAMES/1..64`."""
        return (self.what if isinstance(self.what, GameGroup) else self.what.meta).position

    def walk(self) -> Iterator[tuple[int, CauseNode]]:
        """Yield the nodes of the tree top down, each with its depth."""
        stack = [(0, self)]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack.extend((depth + 1, child) for child in reversed(node.children))


async def find(log: Log, name: str, progress: Progress | None = None) -> Recorded | None:
    """Find an event by its sequence (`12`), position (`EVENTS/12`, `GAMES/7`) or id, or the
    registration of a network by its digest or at least 6 digits of it."""
    if name.isdecimal() and len(name) <= read.SEQ_DIGITS_MAX:
        return await read.fact_at(log, f"{EVENTS}/{name}")
    if name.startswith((f"{EVENTS}/", f"{GAMES}/")):
        return await read.fact_at(log, name)
    marks = [f'"id":"{name}"'.encode()]
    if len(name) >= DIGITS_MIN and set(name) <= set("0123456789abcdef"):
        marks.append(f'"model":"{name}'.encode())
    found: Recorded
    for stream in (EVENTS, GAMES):
        async for found in read.search(log, marks, stream=stream, progress=progress):
            if found.meta.id == name or isinstance(found.event, facts.ModelMade):
                return found
    return None


async def why(
    log: Log, root: Recorded, *, depth: int | None = None, progress: Progress | None = None
) -> CauseNode:
    """Return the causal tree of an event, at most `depth` levels deep."""
    last = root.meta.seq if root.meta.stream == EVENTS else None
    history = await HistoryIndex.read(log, last, progress)
    games = await GameIndex.read(log, history, last, progress)
    top = CauseNode(role="root", what=root)
    opened = {root.meta.position}
    waiting = deque([(0, top)])  # breadth first: the nearest place is met first
    while waiting:
        level, node = waiting.popleft()
        node.children = list(_children(node.what, history, games))
        for child in node.children:
            if child.position in opened:
                child.state = "elsewhere"
            elif depth is not None and level + 1 >= depth:
                child.state = "deeper"
            else:
                opened.add(child.position)
                waiting.append((level + 1, child))
    return top


def _children(
    what: Recorded | GameGroup, history: HistoryIndex, games: GameIndex
) -> Iterator[CauseNode]:
    if isinstance(what, GameGroup):
        if request := history.at.get(what.request or ""):
            yield CauseNode(role="cause", what=request)
        return
    for role, recorded in history.references(what):
        yield CauseNode(role=role, what=recorded)
    event, meta = what
    if isinstance(event, facts.ShardExported):
        for group in games.of_shard(event.digest):
            yield CauseNode(role="games", what=group)
    elif isinstance(event, facts.EvaluationScored | facts.SelfplayFinished):
        played = games.by_request.get(meta.cause or "")
        yield from [CauseNode(role="games", what=played)] if played else []


def node_text(node: CauseNode) -> str:
    """Return a node as one line."""
    if isinstance(node.what, GameGroup):
        games = node.what
        what = plural(games.count, f"{games.origin} game")
        nodes = ", ".join(f"{name} {count}" for name, count in games.nodes.items())
        models = ", ".join(f"{short(name)} {count}" for name, count in games.models.items())
        by = f"(nodes {nodes}; by {models})"
        return f"{games.position} {what} for {games.request or '-'} {by}{CLOSED[node.state]}"
    event, meta = node.what
    role = "" if node.role in ("root", "cause") else f"[{node.role}] "
    head = f"{role}{meta.position} {type(event).__name__} {meta.subject.split('.')[2]}"
    return f"{head}  {fields_line(event)}{CLOSED[node.state]}"


def tree_lines(top: CauseNode) -> Iterator[str]:
    """Yield the tree as text, with its branches drawn."""
    stack = [("", "", top)]
    while stack:
        first, rest, node = stack.pop()
        yield first + node_text(node)
        for child in reversed(node.children):
            last = child is node.children[-1]
            branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
            stack.append((rest + branch, rest + below, child))


def tree_document(top: CauseNode) -> dict[str, Any]:
    """Return the nodes in the order of the text, with children as indices into the list.

    A nested document as deep as a long history would exceed the limits of JSON readers."""
    rows = list(top.walk())
    numbers = {id(node): number for number, (_, node) in enumerate(rows)}
    nodes = []
    for depth, node in rows:
        row = {"position": node.position, "role": node.role, "depth": depth, "state": node.state}
        children = [numbers[id(child)] for child in node.children]
        nodes.append(row | _about(node.what) | {"children": children})
    return {"nodes": nodes}


def _about(what: Recorded | GameGroup) -> dict[str, Any]:
    if isinstance(what, GameGroup):
        return {"type": "games", "data": msgspec.to_builtins(what)}
    event, meta = what
    data = msgspec.to_builtins(event)
    return {
        "type": type(event).__name__,
        "id": meta.id,
        "time": meta.time,
        "source": meta.source,
        "data": {name: value for name, value in data.items() if name not in BULKY},
    }


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
    if isinstance(node.what, GameGroup):
        return COLOURS["game"]
    return COLOURS.get(node.what.meta.subject.split(".")[1], FAINT)
