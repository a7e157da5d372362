"""Reanalysis: requests for recorded games to be searched again by a newer network."""

from typing import Literal

from ringrift.deciders.kit import seed_from
from ringrift.deciders.loop.retraction import retracted
from ringrift.events import draft, facts
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.runtime.game_heads import game_heads


async def reanalyse(
    log: Log,
    config: str,
    model: str | None,
    *,
    games: int,
    simulations: int | None,
    source: str,
    origin: Literal["selfplay", "import"] = "selfplay",
) -> list[facts.ReanalysisRequested]:
    """Request the newest `games` games of an origin in shards for which this network (None: the
    heuristic) was not asked yet with this budget (that of self-play by default). Returns the
    requests written.

    Each is for a range of `GAMES` without requested or retracted games."""
    settings, version = await read.settings_in_force(log)
    simulations = simulations or settings.selfplay.simulations
    exported = 0
    asked: list[facts.ReanalysisRequested] = []
    retractions: list[facts.GamesRetracted] = []
    kinds = (facts.ShardExported, facts.ReanalysisRequested, facts.GamesRetracted)
    async for event, _ in read.facts(log, *kinds, scope=config):
        match event:
            case facts.ShardExported():
                exported = max(exported, event.last_seq)
            case facts.ReanalysisRequested():
                asked_for = event.model, event.simulations, event.origin
                if asked_for == (model, simulations, origin):
                    asked.append(event)
            case facts.GamesRetracted():
                retractions.append(event)
    played: list[int] = []
    breaks: set[int] = set()
    async for seq, _, head in game_heads(log, config, until=exported):
        if head.origin != origin:
            continue
        if retracted(retractions, head, seq) or any(
            one.first_seq <= seq <= one.last_seq for one in asked
        ):
            breaks.add(len(played))  # a range must not extend over it
        else:
            played.append(seq)
    first = max(0, len(played) - games)
    asking = config, "reanalysis", model or origin, simulations
    requests = [
        facts.ReanalysisRequested(
            config=config,
            model=model,
            first_seq=part[0],
            last_seq=part[-1],
            games=len(part),
            simulations=simulations,
            seed=seed_from(settings.seed, *asking, part[0], part[-1]),
            settings_version=version,
            origin=origin,
        )
        for part in _ranges(played, first, breaks, settings.selfplay.games_per_ticket)
    ]
    if requests:
        drafts = [draft(fact, cause=None, source=source, key=str(fact.seed)) for fact in requests]
        await log.append_each(drafts)
    return requests


def _ranges(played: list[int], first: int, breaks: set[int], size: int) -> list[list[int]]:
    """Split the sequences from index `first` on into runs of at most `size`, and at `breaks`."""
    found: list[list[int]] = []
    for index in range(first, len(played)):
        if not found or index in breaks or len(found[-1]) >= size:
            found.append([])
        found[-1].append(played[index])
    return found
