"""`ringrift replay elo`: the rating tables from the log alone, now or as they were."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from ringrift.cli.source import console, moment, opened, progress
from ringrift.cluster.screen import ratings_table
from ringrift.insight.generations import ConfigView
from ringrift.insight.replay import RebuiltElo, rebuild_elo

EXIT_DIFFERENT = 1


async def elo(options: argparse.Namespace) -> int:
    """Print the tables and whether the live ones are the same, bit for bit; 1 if one is not."""
    until = moment(options.until) if options.until else None
    async with opened(options) as log:
        with progress("replaying evaluations") as report:
            rebuilt = await rebuild_elo(log, until=until, progress=report)
    if options.json:
        print(msgspec.json.encode({"configs": [_document(item) for item in rebuilt]}).decode())
    else:
        for item in rebuilt:
            _print(item)
        if not rebuilt:
            console().print("no evaluations in the log" + (" up to there" if options.until else ""))
    return EXIT_DIFFERENT if any(item.identical is False for item in rebuilt) else 0


def _document(item: RebuiltElo) -> dict[str, Any]:
    live = item.live
    return {
        "config": item.config,
        "games": item.table.games,
        "ratings": [msgspec.to_builtins(row) for row in item.table.ratings],
        "live": live.meta.position if live else None,
        "identical": item.identical,
        "unrated_evaluations": item.unrated,
    }


def _print(item: RebuiltElo) -> None:
    out = console()
    out.print(ratings_table(ConfigView(config=item.config, ratings=item.table.ratings)))
    out.print(f"{item.table.games:,} games; {_verdict(item)}\n", soft_wrap=True)


def _verdict(item: RebuiltElo) -> str:
    if item.live is None:
        return "no live table to compare with"
    where = item.live.meta.position
    if not item.identical:
        why = "" if item.at_live else f": its cause {item.live.meta.cause} is not in the log"
        return f"DIFFERENT from the live table {where}{why}"
    if item.unrated:
        return f"{item.unrated} evaluations are not rated yet; before them identical to the live table {where}, bit for bit"
    return f"identical to the live table {where}, bit for bit"
