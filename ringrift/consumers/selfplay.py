"""Plays games for training, some of them against an opponent of the plan, and appends each as soon
as it ends. Reanalysis tickets search recorded
games again."""

from functools import partial

from msgspec.structs import replace

from ringrift.consumers.games.playing import played
from ringrift.consumers.games.reanalysis import finished, reanalyse
from ringrift.consumers.networks.fetching import Networks, wanted_or_older
from ringrift.events import Fact
from ringrift.events.facts import SelfplayFinished
from ringrift.events.tickets import ReanalysisTicket, SelfplayTicket
from ringrift.learning.play import opponent_of, play_games
from ringrift.log.errors import StreamError
from ringrift.nets.header import CheckpointError
from ringrift.runtime.process import Process
from ringrift.runtime.run import run
from ringrift.runtime.work import conclude, fields_of, is_done, work
from ringrift.search.harness import Model

Tickets = SelfplayTicket | ReanalysisTicket


async def main(process: Process) -> None:
    """Work on self-play and reanalysis tickets."""
    networks = Networks(process)

    async def handle(process: Process, ticket: Tickets, deliveries: int) -> None:
        if isinstance(ticket, ReanalysisTicket):
            await reanalyse(process, ticket, deliveries, networks)
        else:
            await _play(process, ticket, deliveries, networks)

    await work(process, "selfplay", handle, failed)


def failed(process: Process, ticket: Tickets, reason: str) -> Fact:
    """The outcome of a ticket that failed for good: it is finished with no games, and the
    generation continues without them."""
    if isinstance(ticket, ReanalysisTicket):
        return finished(process, ticket, games=0, seconds=0.0)
    return replace(_finished(process, ticket, 0, 0.0), games=0, lost=ticket.games)


async def _play(
    process: Process, ticket: SelfplayTicket, deliveries: int, networks: Networks
) -> None:
    plan = ticket.plan
    if await is_done(process, ticket, SelfplayFinished):
        return
    process.doing = f"playing {plan.config} generation {plan.generation}, {ticket.games} games"
    settings, _ = await process.settings(plan.settings_version)
    play = settings.selfplay
    if plan.noise_plies is not None:
        play = replace(play, noise_plies=plan.noise_plies)
    model: Model | None = None
    if plan.model:
        fetch = partial(networks.get, config=plan.config)
        used, model = await wanted_or_older(process, ticket, plan.model, fetch)
        ticket = replace(ticket, plan=replace(plan, model=used))
    rival = await _opponent(process, ticket, networks)
    began, plies = process.clock.monotonic(), 0
    playing = partial(play_games, ticket, play, model=model, opponent=rival)
    async for game in played(process, ticket, ticket.games, deliveries, playing):
        plies += game.plies
    fact = _finished(process, ticket, plies, process.clock.monotonic() - began)
    await conclude(process, ticket, fact)


async def _opponent(process: Process, ticket: SelfplayTicket, networks: Networks) -> Model | None:
    """The network of the ticket's opponent; none if it cannot be fetched: an earlier network that
    is gone must not stop self-play."""
    rival = opponent_of(ticket)
    if rival is None or rival.model is None:
        return None
    try:
        return await networks.get(rival.model, ticket.plan.config)
    except (StreamError, CheckpointError) as error:
        process.logger.warning("opponent not fetched", model=rival.model, reason=str(error))
        return None


def _finished(
    process: Process, ticket: SelfplayTicket, plies: int, seconds: float
) -> SelfplayFinished:
    return SelfplayFinished(
        **fields_of(process, ticket),
        generation=ticket.plan.generation,
        games=ticket.games,
        plies=plies,
        play_seconds=seconds,
        spare=ticket.plan.spare,
    )


if __name__ == "__main__":
    run("selfplay", main)
