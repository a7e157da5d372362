"""`ringrift strength`: how strong the current network is, and with `--ladder` what more budget is
worth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from ringrift.cli.source import console
from ringrift.errors import CommandError
from ringrift.insight.strength.arena import chosen_model, measurements, opened, play
from ringrift.insight.strength.measurements import (
    Measurements,
    Result,
    Rung,
    markdown,
    rungs,
    strength_report,
)
from ringrift.learning import pairings
from ringrift.rules import Config

STRENGTH_PAIRS = 200
"""400 games of two seats: at a score of 60 % the lower bound of the interval is then 55 %"""
LADDER_GAMES = 100
"""at least so many a rung: more budget that is worth 60 % then has a lower bound of 50 %"""


async def strength(options: argparse.Namespace) -> int:
    """Play what is not in the log yet, print the table, write report and plot. With `--report`
    nothing is played."""
    if options.simulations < 1 or (options.pairs is not None and options.pairs < 1):
        raise CommandError("give at least 1 simulation and 1 pair")
    if unknown := sorted(set(options.against or ()) - set(pairings.AGAINST)):
        raise CommandError(
            f"no opponent is called {', '.join(unknown)}; there are {', '.join(pairings.AGAINST)}"
        )
    async with opened(options, create=options.ladder and not options.report) as arena:
        known = await measurements(arena.log, options.config)
        if options.ladder:
            if not options.report:
                asked = _ladder_pairings(known, options)
                pairs = options.pairs or -(-LADDER_GAMES // known.seats)
                known = await play(arena, known, "ladder", asked, pairs=pairs, seed=options.seed)
            return show_ladder(rungs(known), options)
        model = chosen_model(known, options.model or "current")
        if not options.report:
            kind = pairings.kind_of(known.models[model].architecture)
            asked = pairings.strength(
                model, options.simulations, options.against or pairings.AGAINST, kind=kind
            )
            pairs = options.pairs or STRENGTH_PAIRS
            known = await play(arena, known, "strength", asked, pairs=pairs, seed=options.seed)
    return _show_report(known, model, options)


def _ladder_pairings(known: Measurements, options: argparse.Namespace) -> list[pairings.Pairing]:
    """Network-free ladders, and those of the network where one is named or current."""
    wanted = options.model or ("current" if known.view.current else None)
    model = chosen_model(known, wanted) if wanted else None
    kind = pairings.kind_of(known.models[model].architecture) if model else "network"
    asked = pairings.ladder(
        Config.parse(options.config), sorted(options.budgets or ()), model=model, kind=kind
    )
    if not asked:
        raise CommandError(f"give at least two budgets for a ladder, not {options.budgets}")
    return asked


def _show_report(known: Measurements, model: str, options: argparse.Namespace) -> int:
    from ringrift.insight.plots import score_over_games

    report = strength_report(known, model)
    page: Path = options.data / f"strength_{options.config}.md"
    plot = page.with_suffix(".png")
    score_over_games(report, plot)
    page.write_text(markdown(report, plot.name), encoding="utf-8")
    if options.json:
        print(msgspec.json.encode(report).decode())
        return 0
    title = f"{report.config}: network {model[:12]}, generation {report.generation}, {report.games_generated:,} self-play games"
    out = console()
    out.print(results_table(title, report.results))
    out.print(f"report: {page}\nplot: {plot}", soft_wrap=True)
    return 0


def show_ladder(found: Sequence[Rung], options: argparse.Namespace) -> int:
    """Print one ladder a player."""
    if options.json:
        print(msgspec.json.encode({"config": options.config, "rungs": found}).decode())
        return 0
    table = Table(
        title=f"{options.config}: strength against budget", title_justify="left", pad_edge=False
    )
    for name in ("player", "simulations", "against", "games", "won", "95 % interval", "verdict"):
        table.add_column(name, justify="left" if name in ("player", "verdict") else "right")
    for rung in found:
        row = rung.result
        table.add_row(
            rung.player,
            str(rung.budget),
            str(rung.below),
            str(row.games),
            f"{row.score:.1%}",
            _interval(row),
            row.verdict,
        )
    console().print(table)
    return 0


def results_table(title: str, results: Sequence[Result]) -> Table:
    """One row a match."""
    table = Table(title=title, title_justify="left", pad_edge=False)
    for name in ("player", "against", "games", "won", "95 % interval", "fair share", "verdict"):
        table.add_column(
            name, justify="left" if name in ("player", "against", "verdict") else "right"
        )
    for row in results:
        table.add_row(
            row.candidate,
            row.opponent,
            str(row.games),
            f"{row.score:.1%}",
            _interval(row),
            f"{row.fair:.1%}",
            row.verdict,
        )
    return table


def _interval(row: Result) -> str:
    return f"{row.low:.1%} to {row.high:.1%}"
