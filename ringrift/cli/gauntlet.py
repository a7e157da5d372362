"""`ringrift gauntlet`: a network under every harness, against the tiers, or several networks
against each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec
from rich.table import Table

from ringrift.cli.source import console
from ringrift.cli.strength import results_table
from ringrift.cluster.screen import ratings_table
from ringrift.errors import CommandError
from ringrift.events.facts import Purpose, Rating
from ringrift.events.participants import seat
from ringrift.insight.generations import ConfigView
from ringrift.insight.replay import rebuild_elo
from ringrift.insight.strength.arena import Arena, chosen_model, measurements, opened, play
from ringrift.insight.strength.measurements import Measurements, Result, highest_beaten
from ringrift.learning import pairings
from ringrift.learning.pairings import Pairing
from ringrift.learning.tiers import TIERS
from ringrift.log.jetstream import JetStreamLog
from ringrift.rules import Config

MODELS_MIN = 2


async def gauntlet(options: argparse.Namespace) -> int:
    """Have the matches played, print their scores and everyone's rating."""
    if options.pairs < 1 or options.simulations < 1:
        raise CommandError("give at least 1 simulation and 1 pair")
    async with opened(options, create=False) as arena:
        known = await measurements(arena.log, options.config)
        if options.tiers:
            return await _climb(arena, known, options)
        purpose, asked = _asked(known, options)
        known = await play(arena, known, purpose, asked, pairs=options.pairs, seed=options.seed)
        ratings = await _ratings(arena.log, options.config)
    results = _of(known, purpose, asked)
    players = {pairing.candidate.participant for pairing in asked} | {
        pairing.opponent.participant for pairing in asked
    }
    rows = [row for row in ratings if row.participant in players]
    if options.json:
        print(
            msgspec.json.encode(
                {"config": options.config, "results": results, "ratings": rows}
            ).decode()
        )
    else:
        out = console()
        out.print(results_table(f"{options.config}: {purpose}", results))
        out.print(ratings_table(ConfigView(config=options.config, ratings=tuple(rows))))
    return 0


def tiers(options: argparse.Namespace) -> int:
    """Print who plays the tiers."""
    if options.json:
        print(
            msgspec.json.encode([{"tier": tier.name, "seat": tier.seat} for tier in TIERS]).decode()
        )
        return 0
    table = Table(pad_edge=False)
    for name in ("tier", "participant", "harness", "simulations"):
        table.add_column(name, justify="right" if name == "simulations" else "left")
    for tier in TIERS:
        table.add_row(
            tier.name, tier.seat.participant, tier.seat.harness, str(tier.seat.simulations)
        )
    console().print(table)
    return 0


def _asked(known: Measurements, options: argparse.Namespace) -> tuple[Purpose, list[Pairing]]:
    """Harnesses of one network, or the round robin of several."""
    if not options.models:
        model = chosen_model(known, options.model or "current")
        return "gauntlet", pairings.gauntlet(
            Config.parse(options.config),
            model,
            options.simulations,
            kind=pairings.kind_of(known.models[model].architecture),
        )
    models = list(dict.fromkeys(chosen_model(known, name) for name in options.models))
    if len(models) < MODELS_MIN:
        raise CommandError("a round robin needs two different networks: give --models A,B,...")
    return "tournament", list(pairings.round_robin(models, options.simulations))


async def _climb(arena: Arena, known: Measurements, options: argparse.Namespace) -> int:
    """From D1 up until a tier is not beaten beyond doubt: the dear tiers are played by those only
    who get there."""
    model = chosen_model(known, options.model or "current")
    me = seat("gumbel", model=model, simulations=options.simulations)
    results: list[Result] = []
    for tier in TIERS:
        asked = [Pairing(me, tier.seat)]
        known = await play(arena, known, "tier", asked, pairs=options.pairs, seed=options.seed)
        results += _of(known, "tier", asked)
        if results[-1].verdict != "stronger":
            break
    highest = highest_beaten(results, [(tier.name, tier.seat.participant) for tier in TIERS])
    if options.json:
        document = {
            "config": options.config,
            "player": me.participant,
            "highest_tier_beaten": highest,
            "results": results,
        }
        print(msgspec.json.encode(document).decode())
    else:
        out = console()
        out.print(results_table(f"{options.config}: tiers from D1", results))
        out.print(f"highest tier beaten: {highest or 'none'}")
    return 0


def _of(known: Measurements, purpose: Purpose, asked: Sequence[Pairing]) -> list[Result]:
    """The results of these pairings, in their order."""
    found = {(row.candidate, row.opponent): row for row in known.results(purpose)}
    return [found[pairing.candidate.participant, pairing.opponent.participant] for pairing in asked]


async def _ratings(log: JetStreamLog, config: str) -> tuple[Rating, ...]:
    """The rating table as it follows from the log, whether a rater runs or not."""
    return next(
        (item.table.ratings for item in await rebuild_elo(log) if item.config == config), ()
    )
