"""The causal tree of an event: everything it rests on, down to the games.

Each event is opened once, where it is nearest to the root, and only named elsewhere. The tree of a
decision after a thousand generations is therefore as long as its history, not exponentially
longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ringrift.events import Recorded, facts
from ringrift.insight.describe import fields_line, plural
from ringrift.insight.digests import DIGITS_MIN, short
from ringrift.insight.why.references import GameGroup, GameIndex, HistoryIndex
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES

CLOSED = {"open": "", "elsewhere": "  (shown elsewhere)", "deeper": "  …"}
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
    recorded: Recorded | None = None
    games: GameGroup | None = None
    state: Literal["open", "elsewhere", "deeper"] = "open"
    children: list[CauseNode] = field(default_factory=list)

    @property
    def position(self) -> str:
        """Such as `EVENTS/12` or `GAMES/1..64`."""
        if self.recorded is not None:
            return self.recorded.meta.position
        return self.games.position if self.games else ""

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
    if name.isdecimal():
        return await read.fact_at(log, f"{EVENTS}/{name}")
    if name.startswith((f"{EVENTS}/", f"{GAMES}/")):
        return await read.fact_at(log, name)
    marks = [f'"id":"{name}"'.encode()]
    if len(name) >= DIGITS_MIN and set(name) <= set("0123456789abcdef"):
        marks.append(f'"model":"{name}'.encode())
    found: Recorded
    for stream in (EVENTS, GAMES):
        async for found in read.search(log, marks, stream=stream, progress=progress):
            if found.meta.id == name or isinstance(found.event, facts.ModelRegistered):
                return found
    return None


async def why(
    log: Log, root: Recorded, *, depth: int | None = None, progress: Progress | None = None
) -> CauseNode:
    """Return the causal tree of an event, at most `depth` levels deep."""
    last = root.meta.seq if root.meta.stream == EVENTS else None
    history = await HistoryIndex.read(log, last, progress)
    games = await GameIndex.read(log, history, last, progress)
    top = CauseNode(role="root", recorded=root)
    opened = {root.meta.position}
    waiting = deque([(0, top)])  # breadth first: the nearest place is met first
    while waiting:
        level, node = waiting.popleft()
        node.children = list(_children(node, history, games))
        for child in node.children:
            if child.position in opened:
                child.state = "elsewhere"
            elif depth is not None and level + 1 >= depth:
                child.state = "deeper"
            else:
                opened.add(child.position)
                waiting.append((level + 1, child))
    return top


def _children(node: CauseNode, history: HistoryIndex, games: GameIndex) -> Iterator[CauseNode]:
    if node.games is not None:
        request = history.at.get(node.games.request or "")
        if request is not None:
            yield CauseNode(role="cause", recorded=request)
        return
    assert node.recorded is not None
    for role, recorded in history.references(node.recorded):
        yield CauseNode(role=role, recorded=recorded)
    event, meta = node.recorded
    if isinstance(event, facts.ShardExported):
        for group in games.of_shard(event.digest):
            yield CauseNode(role="games", games=group)
    elif isinstance(event, facts.EvaluationScored | facts.SelfplayFinished):
        played = games.by_request.get(meta.cause or "")
        yield from [CauseNode(role="games", games=played)] if played else []


def node_text(node: CauseNode) -> str:
    """Return a node as one line."""
    if (games := node.games) is not None:
        what = plural(games.count, f"{games.origin} game")
        nodes = ", ".join(f"{name} {count}" for name, count in games.nodes.items())
        models = ", ".join(f"{short(name)} {count}" for name, count in games.models.items())
        request = games.request or "-"
        text = f"{games.position} {what} for {request} (nodes {nodes}; by {models})"
        return f"{text}{CLOSED[node.state]}"
    assert node.recorded is not None
    event, meta = node.recorded
    role = "" if node.role in ("root", "cause") else f"[{node.role}] "
    scope = meta.subject.split(".")[2]
    head = f"{role}{meta.position} {type(event).__name__} {scope}"
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
        row |= _about(node)
        nodes.append(row | {"children": [numbers[id(child)] for child in node.children]})
    return {"nodes": nodes}


def _about(node: CauseNode) -> dict[str, Any]:
    if node.recorded is None:
        return {"type": "games", "data": msgspec.to_builtins(node.games)}
    event, meta = node.recorded
    data = msgspec.to_builtins(event)
    return {
        "type": type(event).__name__,
        "id": meta.id,
        "time": meta.time,
        "source": meta.source,
        "data": {name: value for name, value in data.items() if name not in BULKY},
    }
