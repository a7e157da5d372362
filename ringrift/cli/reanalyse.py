"""`ringrift reanalyse`: asks for old games to be searched again by a newer network."""

from __future__ import annotations

import argparse
import contextlib

import msgspec

from ringrift.cli.control import known_scope
from ringrift.cli.source import opened
from ringrift.deciders.kit import seed_from
from ringrift.deciders.loop.retraction import retracted
from ringrift.errors import CommandError
from ringrift.events import Settings, UndecodableEvent, decode, draft
from ringrift.events.facts import GameCompleted, GamesRetracted, ReanalysisRequested, ShardExported
from ringrift.insight.strength.arena import chosen_model, measurements, settings_in_force
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.process import node_name


async def reanalyse(options: argparse.Namespace) -> int:
    """Write the requests; workers of self-play do them. Asking again asks for the games that are
    left."""
    if options.games < 1 or (options.simulations is not None and options.simulations < 1):
        raise CommandError("give at least 1 game and 1 simulation")
    config = known_scope(options.config)
    async with opened(options) as log:
        model = chosen_model(await measurements(log, config), options.model)
        settings, version = await settings_in_force(log)
        simulations = options.simulations or settings.selfplay.simulations
        requests = await requests_for(
            log, config, model, options.games, simulations, settings, version
        )
        source = f"ringrift@{node_name()}"
        if requests:
            await log.append_each(
                [draft(fact, cause=None, source=source, key=str(fact.seed)) for fact in requests]
            )
    games = sum(fact.games for fact in requests)
    if options.json:
        print(msgspec.json.encode({"model": model, "games": games, "requests": requests}).decode())
    else:
        asked = f"{games:,} games will be searched again by {model[:12]} while workers run (`ringrift up`)"
        print(
            asked
            if games
            else f"no exported game of {config} is left that {model[:12]} was not asked for"
        )
    return 0


async def requests_for(
    log: Log,
    config: str,
    model: str,
    games: int,
    simulations: int,
    settings: Settings,
    version: int,
) -> list[ReanalysisRequested]:
    """Requests for the newest `games` self-play games in shards that this network was not asked for
    with this budget."""
    history = await _history(log, config)
    exported = max(
        (event.last_seq for event in history if isinstance(event, ShardExported)), default=0
    )
    asked = [
        event
        for event in history
        if isinstance(event, ReanalysisRequested)
        and (event.model, event.simulations) == (model, simulations)
    ]
    retractions = [event for event in history if isinstance(event, GamesRetracted)]
    played: list[int] = []
    breaks: set[int] = set()
    async for batch in log.read(
        GAMES, filters=[f"ringrift.game.{config}.completed"], until_seq=exported
    ):
        for entry in batch:
            with contextlib.suppress(UndecodableEvent):
                game = decode(entry.body, stream=GAMES, seq=entry.seq).event
                if not isinstance(game, GameCompleted) or game.origin != "selfplay":
                    continue
                if retracted(retractions, game, entry.seq) or any(
                    one.first_seq <= entry.seq <= one.last_seq for one in asked
                ):
                    breaks.add(len(played))  # a range must not reach over it
                else:
                    played.append(entry.seq)
    first = max(0, len(played) - games)
    ranges = _ranges(played, first, breaks, settings.selfplay.games_per_ticket)
    return [
        ReanalysisRequested(
            config=config,
            model=model,
            first_seq=part[0],
            last_seq=part[-1],
            games=len(part),
            simulations=simulations,
            seed=seed_from(
                settings.seed, config, "reanalysis", model, simulations, part[0], part[-1]
            ),
            settings_version=version,
        )
        for part in ranges
    ]


def _ranges(played: list[int], first: int, breaks: set[int], size: int) -> list[list[int]]:
    """Runs of at most `size` of the sequences from index `first` on, begun anew at each of
    `breaks`."""
    found: list[list[int]] = []
    for index in range(first, len(played)):
        if not found or index in breaks or len(found[-1]) >= size:
            found.append([])
        found[-1].append(played[index])
    return found


async def _history(
    log: Log, config: str
) -> list[ShardExported | ReanalysisRequested | GamesRetracted]:
    filters = [
        f"ringrift.{subject}"
        for subject in (
            f"shard.{config}.exported",
            f"reanalysis.{config}.requested",
            f"retraction.{config}.retracted",
        )
    ]
    found = []
    async for batch in log.read(EVENTS, filters=filters):
        for entry in batch:
            with contextlib.suppress(UndecodableEvent):
                event = decode(entry.body, stream=EVENTS, seq=entry.seq).event
                if isinstance(event, ShardExported | ReanalysisRequested | GamesRetracted):
                    found.append(event)
    return found
