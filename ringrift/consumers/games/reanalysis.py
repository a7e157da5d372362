"""Searches recorded games again with a newer network. The games do not change; the new targets are
facts of their own."""

import time
from collections.abc import Iterator

from ringrift.consumers.games.playing import from_thread, stored
from ringrift.consumers.networks.fetching import Networks
from ringrift.consumers.shards.building import retractions_until
from ringrift.deciders.loop.retraction import retracted
from ringrift.events import event_id
from ringrift.events.facts import GameCompleted, GameReanalysed, ReanalysisFinished
from ringrift.events.tickets import ReanalysisTicket
from ringrift.learning import reanalysis
from ringrift.learning.play import player_of, usual_seat
from ringrift.learning.shards import GameRejected
from ringrift.learning.targets import TargetsError
from ringrift.log import read
from ringrift.log.topology import EVENTS
from ringrift.rules import Config
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process
from ringrift.runtime.work import conclude, fields_of, is_done


def finished(
    process: Process, ticket: ReanalysisTicket, *, games: int, seconds: float
) -> ReanalysisFinished:
    """The outcome of a ticket."""
    request = ticket.request
    return ReanalysisFinished(
        **fields_of(process, ticket),
        model=request.model,
        first_seq=request.first_seq,
        last_seq=request.last_seq,
        games=games,
        lost=max(0, request.games - games),
        search_seconds=seconds,
    )


async def reanalyse(
    process: Process, ticket: ReanalysisTicket, deliveries: int, networks: Networks
) -> None:
    """Append the new targets of the ticket's games, then its outcome. Targets that an earlier
    delivery appended are not computed again."""
    request = ticket.request
    if await is_done(process, ticket, ReanalysisFinished):
        return
    process.doing = f"reanalysing {request.games} games of {request.config}"
    games = await _games(process, ticket)
    model = await networks.get(request.model, request.config) if request.model else None
    config = Config.parse(request.config)
    player = player_of(config, usual_seat(config, request, model), model, threads())
    began = process.clock.monotonic()
    ids = {game.game: event_id(GameReanalysed, ticket.cause, game.game) for _, game in games}
    names = list(ids.values())
    present = await stored(process, ticket, GameReanalysed, names) if deliveries > 1 else {}

    def search() -> Iterator[GameReanalysed]:
        for seq, game in games:
            if ids[game.game] in present:
                continue
            start = time.perf_counter()
            try:
                targets = reanalysis.reanalyse(game, player, request.seed)
            except (GameRejected, TargetsError) as error:  # its outcome counts it as lost
                process.logger.error("game not reanalysed", game=game.game, reason=str(error))
                continue
            yield GameReanalysed(
                **fields_of(process, ticket),
                game=game.game,
                game_seq=seq,
                model=request.model,
                simulations=request.simulations,
                targets=targets,
                search_seconds=round(time.perf_counter() - start, 6),
                settings_version=request.settings_version,
            )

    done = len(present)
    async for fact in from_thread(process, search()):
        await process.append(fact, cause=ticket.cause, key=fact.game)
        done += 1
    seconds = process.clock.monotonic() - began
    outcome = finished(process, ticket, games=done, seconds=seconds)
    await conclude(process, ticket, outcome)


async def _games(process: Process, ticket: ReanalysisTicket) -> list[tuple[int, GameCompleted]]:
    """The games of the ticket's range and origin with their sequences, without retracted ones."""
    request, log = ticket.request, process.log
    retractions = await retractions_until(log, request.config, await log.tail(EVENTS))
    games = read.facts(
        log,
        GameCompleted,
        scope=request.config,
        after=request.first_seq - 1,
        until=request.last_seq,
    )
    return [
        (meta.seq, game)
        async for game, meta in games
        if game.origin == request.origin and not retracted(retractions, game, meta.seq)
    ]
