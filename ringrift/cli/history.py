"""Commands that explain recorded history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringrift.cli.common import HERE, Json, Source, opened, progress, show
from ringrift.errors import CommandError


async def why(
    event: str,
    /,
    *,
    svg: Path | None = None,
    depth: int | None = None,
    source: Source = HERE,
    json: Json = False,
) -> int:
    """Show what an event rests on, down to the games.

    Args:
        event: Sequence, position such as GAMES/7, id of an event, or digest of a network.
        svg: Also write the tree as a picture to this file.
        depth: Levels shown [default: all].
    """
    from ringrift.insight.why import causes
    from ringrift.insight.why.causes_svg import causes_svg

    async with opened(source) as log:
        with progress("searching the log") as report:
            root = await causes.find(log, event, report)
            if root is None:
                forms = "a sequence such as 120, a position such as GAMES/7, the id of an event"
                remedy = f"give {forms}, or the digest of a network"
                raise CommandError(f"there is no event {event!r}: {remedy}")
            top = await causes.why(log, root, depth=depth, progress=report)
    lines = list(causes.tree_lines(top))
    if svg:
        await asyncio.to_thread(svg.write_text, causes_svg(top), encoding="utf-8")
        lines.append(f"picture: {svg}")
    show(causes.tree_document(top), json, "\n".join(lines))
    return 0


async def lineage(
    model: str | None = None,
    /,
    *,
    node: str | None = None,
    games_of: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    source: Source = HERE,
    json: Json = False,
) -> int:
    """Show where a network comes from and what came of it.

    Args:
        model: Digest of a network, or at least its first 6 digits.
        node: Show the networks that learned from games of this node instead.
        games_of: Show the networks that learned from games of this network, or of `heuristic`.
    """
    from ringrift.insight import lineage as feature
    from ringrift.insight.describe import short

    if sum(value is not None for value in (model, node, games_of)) != 1:
        raise CommandError("give a network, or --node NODE, or --games-of MODEL")
    async with opened(source) as log:
        with progress("reading history") as report:
            archive = await feature.Archive.open(log, report)
    if model is not None:
        found = archive.of(archive.model(model))
        show(found, json, "\n".join(feature.lineage_lines(found)))
        return 0
    player = None if games_of is None else archive.player(games_of)
    rows = archive.exposed_to(node=node, player=player)
    table = feature.exposure_table(rows, short(player or node or ""))
    show({"models": rows}, json, lambda out: out.print(table))
    return 0
