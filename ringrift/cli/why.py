"""`ringrift why` and `ringrift lineage`: what an event rests on, down to the games; a network's
past and what came of it."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
from rich.table import Table

from ringrift.cli.source import console, opened, progress
from ringrift.errors import CommandError
from ringrift.insight.describe import DIGEST_SHOWN, important
from ringrift.insight.lineage import MODEL_DIGITS_MIN, Archive, Exposure, Lineage
from ringrift.insight.why import causes_svg
from ringrift.insight.why.causes import Node, find
from ringrift.insight.why.causes import why as causal_tree
from ringrift.insight.why.references import HEURISTIC

SHARDS_SHOWN_MAX = 12
CLOSED = {"open": "", "elsewhere": "  (opened elsewhere)", "deeper": "  …"}


async def why(options: argparse.Namespace) -> int:
    """Print the causal tree of an event."""
    async with opened(options) as log:
        with progress("looking through the log") as report:
            root = await find(log, options.event, report)
            if root is None:
                known = "give a sequence such as 120, a position such as GAMES/7, an event's id, or a network's digest"
                raise CommandError(f"there is no event {options.event!r}: {known}")
            top = await causal_tree(log, root, depth=options.depth, progress=report)
    if options.svg:
        options.svg.write_text(causes_svg.svg(top, text_of))
    if options.json:
        print(msgspec.json.encode(_document(top)).decode())
        return 0
    out = console()
    for text in _drawn(top):
        out.print(text, soft_wrap=True, markup=False)
    if options.svg:
        out.print(f"picture: {options.svg}", soft_wrap=True)
    return 0


def text_of(node: Node) -> str:
    """One node in one line."""
    if node.games is not None:
        games = node.games
        nodes = ", ".join(f"{name} {count}" for name, count in games.nodes.items())
        models = ", ".join(f"{_short(name)} {count}" for name, count in games.models.items())
        plural = "" if games.count == 1 else "s"
        return f"{games.position} {games.count} {games.origin} game{plural} for {games.request or '-'} (nodes {nodes}; by {models})"
    assert node.recorded is not None
    event, meta = node.recorded
    role = "" if node.role in ("root", "cause") else f"[{node.role}] "
    words = " ".join(f"{name}={value}" for name, value in important(event))
    return f"{role}{meta.position} {type(event).__name__} {meta.subject.split('.')[2]}  {words}{CLOSED[node.state]}"


def _drawn(top: Node) -> list[str]:
    """The tree with its branches drawn in text."""
    lines = []
    stack: list[tuple[str, str, Node]] = [("", "", top)]
    while stack:
        first, rest, node = stack.pop()
        lines.append(first + text_of(node))
        last = len(node.children) - 1
        ends = [("└─ ", "   ") if number == last else ("├─ ", "│  ") for number in range(last + 1)]
        stack += [
            (rest + ends[i][0], rest + ends[i][1], node.children[i]) for i in range(last, -1, -1)
        ]
    return lines


def _document(top: Node) -> dict[str, Any]:
    """Nodes in the order of the text, children by their number: a tree as deep as a history would
    break JSON readers."""
    rows = list(top.walk())
    numbers = {id(node): number for number, (_, node) in enumerate(rows)}
    nodes = []
    for depth, node in rows:
        row: dict[str, Any] = {
            "position": node.position,
            "role": node.role,
            "depth": depth,
            "state": node.state,
        }
        if node.recorded is not None:
            event, meta = node.recorded
            row |= {
                "type": type(event).__name__,
                "id": meta.id,
                "time": meta.time,
                "source": meta.source,
            }
            row |= {
                "data": {
                    name: value
                    for name, value in msgspec.to_builtins(event).items()
                    if name not in ("targets", "moves")
                }
            }
        elif node.games is not None:
            row |= {"type": "games", "data": msgspec.to_builtins(node.games)}
        nodes.append(row | {"children": [numbers[id(child)] for child in node.children]})
    return {"nodes": nodes}


async def lineage(options: argparse.Namespace) -> int:
    """Print a network's lineage, or the networks that saw games of a node or a network."""
    given = [value for value in (options.model, options.node, options.games_of) if value]
    if len(given) != 1:
        raise CommandError("name a network, or --node NODE, or --games-of MODEL")
    async with opened(options) as log:
        with progress("reading history") as report:
            archive = await Archive.open(log, report)
    if options.model:
        found = archive.of(_network(archive, options.model))
        print(msgspec.json.encode(found).decode()) if options.json else _print(found)
        return 0
    if options.node and options.node not in archive.nodes():
        known = ", ".join(archive.nodes()) or "none"
        raise CommandError(
            f"no game of node {options.node!r} is in a shard; there are those of {known}"
        )
    model = (
        HEURISTIC
        if options.games_of == HEURISTIC
        else _network(archive, options.games_of)
        if options.games_of
        else ""
    )
    rows = archive.exposed(
        lambda group: group.models.get(model, 0) if model else group.nodes.get(options.node, 0)
    )
    if options.json:
        print(msgspec.json.encode({"models": rows}).decode())
    else:
        _print_exposed(
            rows, f"networks that saw games of {_short(model) if model else options.node}"
        )
    return 0


def _network(archive: Archive, prefix: str) -> str:
    found = archive.named(prefix) if len(prefix) >= MODEL_DIGITS_MIN else []
    if len(found) != 1:
        known = ", ".join(_short(name) for name in list(archive.known.models)[-8:]) or "none"
        what = (
            f"{len(found)} networks begin with"
            if found
            else f"no network begins with (at least {MODEL_DIGITS_MIN} digits)"
        )
        raise CommandError(f"{what} {prefix!r}; the newest are {known}")
    return found[0]


def _short(model: str) -> str:
    return model[:DIGEST_SHOWN]


def _print(found: Lineage) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(text, soft_wrap=True, markup=False)

    say(
        f"{_short(found.model)}  {found.config} generation {found.generation}, {found.architecture}, {found.position}"
    )
    say(
        f"  verdict: {found.verdict or 'none so far'}{', the current network' if found.current else ''}"
    )
    if found.tainted:
        say(f"  tainted: it learned from games that {', '.join(found.tainted)} retracted")
    say("what went into it")
    say(f"  training asked for by {found.training or 'nothing in the log'}")
    say(f"  weights of: {', '.join(map(_short, found.ancestors)) or 'none, it began at random'}")
    samples = sum(shard.samples for shard in found.shards)
    say(
        f"  {len(found.shards)} shards, {sum(shard.games for shard in found.shards):,} games, {samples:,} positions"
    )
    for title, counts in (
        ("node", found.games_by_node),
        ("player", found.games_by_model),
        ("origin", found.games_by_origin),
    ):
        say(
            f"    by {title}: "
            + (
                ", ".join(f"{_short(name)} {count:,}" for name, count in counts.items())
                or "nothing known"
            )
        )
    for shard in found.shards[:SHARDS_SHOWN_MAX]:
        ranges = ", ".join(group.position for group in shard.groups)
        say(
            f"    {shard.position} {_short(shard.digest)} {shard.games} games, {shard.samples:,} positions: {ranges}"
        )
    if len(found.shards) > SHARDS_SHOWN_MAX:
        say(f"    and {len(found.shards) - SHARDS_SHOWN_MAX} more, see --json")
    say("what came of it")
    say(f"  children: {', '.join(map(_short, found.children)) or 'none'}")
    say(f"  trained on its games: {', '.join(map(_short, found.pupils)) or 'none'}")
    say(f"  self-play plans: {', '.join(found.plans) or 'none'}")
    say(
        "  games: "
        + (", ".join(f"{count:,} {origin}" for origin, count in found.games.items()) or "none")
    )
    for row in found.results:
        say(f"  {row.position} {row.purpose} against {row.opponent}: {row.wins:g} of {row.games}")


def _print_exposed(rows: list[Exposure], title: str) -> None:
    table = Table(title=title, title_justify="left", pad_edge=False)
    for name in ("network", "config", "generation", "games", "of", "through the weights of"):
        table.add_column(name, justify="right" if name in ("generation", "games", "of") else "left")
    for row in rows:
        parents = ", ".join(map(_short, row.inherited))
        table.add_row(
            _short(row.model),
            row.config,
            str(row.generation),
            f"{row.games:,}",
            f"{row.of:,}",
            parents,
        )
    console().print(table if rows else f"{title}: none")
