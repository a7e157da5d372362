"""Why did this happen? The tree of everything an event rests on, down to the games.

Each event is opened once, where it is nearest to the root; elsewhere it is only named. So the tree
of a decision after a thousand generations is as long as its history, not exponentially longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ringrift.events import Recorded, UndecodableEvent, decode
from ringrift.events.facts import EvaluationScored, SelfplayFinished, ShardExported
from ringrift.insight.why.references import GameIndex, Games, Index, index, index_games, shard_facts
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES


@dataclass(kw_only=True)
class Node:
    """An event, or a group of games, and what it rests on.

    role       as what its parent rests on it: `cause`, `shard`, `model`, `evidence`, `settings`,
    `games`; `root` at the top state      `open`: its children are here; `elsewhere`: it is opened
    at another place of the tree; `deeper` than was asked for"""

    role: str
    recorded: Recorded | None = None
    games: Games | None = None
    state: Literal["open", "elsewhere", "deeper"] = "open"
    children: list[Node] = field(default_factory=list)

    @property
    def position(self) -> str:
        """`EVENTS/12`, or `GAMES/1..64`."""
        if self.recorded is not None:
            return self.recorded.meta.position
        return self.games.position if self.games else ""

    def walk(self) -> Iterator[tuple[int, Node]]:
        """The tree top down, each node with its depth."""
        stack = [(0, self)]
        while stack:
            depth, node = stack.pop()
            yield depth, node
            stack.extend((depth + 1, child) for child in reversed(node.children))


async def find(log: Log, name: str, progress: Progress | None = None) -> Recorded | None:
    """The event at a sequence (`12`), a position (`EVENTS/12`, `GAMES/7`), with an id, or that
    registered a network.

    A network is named by its digest or at least 6 digits of it."""
    stream, _, number = name.rpartition("/")
    if number.isdecimal() and stream in ("", EVENTS, GAMES):
        entry = await log.get(stream or EVENTS, int(number))
        return decode(entry.body, stream=stream or EVENTS, seq=entry.seq) if entry else None
    marks = [f'"id":"{name}"'.encode()]
    if len(name) >= 6 and set(name) <= set("0123456789abcdef"):
        marks.append(f'"model":"{name}'.encode())
    for where in (EVENTS, GAMES):
        async for batch in log.read(where, progress=progress):
            for entry in batch:
                if any(mark in entry.body for mark in marks):
                    try:
                        recorded = decode(entry.body, stream=where, seq=entry.seq)
                    except UndecodableEvent:
                        continue
                    if (
                        recorded.meta.id == name
                        or type(recorded.event).__name__ == "ModelRegistered"
                    ):
                        return recorded
    return None


async def why(
    log: Log, root: Recorded, *, depth: int | None = None, progress: Progress | None = None
) -> Node:
    """The causal tree of an event, at most `depth` levels deep."""
    last = root.meta.seq if root.meta.stream == EVENTS else None
    known = await index(log, last, progress)
    games = await index_games(log, shard_facts(known, last), progress)
    return tree(root, known, games, depth=depth)


def tree(root: Recorded, known: Index, games: GameIndex, *, depth: int | None = None) -> Node:
    """The causal tree over indexes."""
    top = Node(role="root", recorded=root)
    opened = {root.meta.position}
    waiting: deque[tuple[int, Node]] = deque([(0, top)])
    while waiting:
        level, node = waiting.popleft()
        for child in _children(node, known, games):
            node.children.append(child)
            if child.position in opened:
                child.state = "elsewhere"
            elif depth is not None and level + 1 >= depth:
                child.state = "deeper"
            else:
                opened.add(child.position)
                waiting.append((level + 1, child))
    return top


def _children(node: Node, known: Index, games: GameIndex) -> Iterator[Node]:
    if node.games is not None:
        request = known.at.get(node.games.request or "")
        if request is not None:
            yield Node(role="cause", recorded=request)
        return
    assert node.recorded is not None
    for role, recorded in known.references(node.recorded):
        yield Node(role=role, recorded=recorded)
    event = node.recorded.event
    if isinstance(event, ShardExported):
        yield from (
            Node(role="games", games=group) for group in games.by_shard.get(event.digest, ())
        )
    elif isinstance(event, EvaluationScored | SelfplayFinished) and (
        group := games.by_request.get(node.recorded.meta.cause or "")
    ):
        yield Node(role="games", games=group)
