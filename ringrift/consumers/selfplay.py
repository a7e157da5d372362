"""Plays games for training: each game is in the log as soon as it ends. Searches old games again
where that is asked for."""

from __future__ import annotations

import time

from msgspec.structs import replace

from ringrift.consumers.fallback import wanted_or_older
from ringrift.consumers.networks import Networks
from ringrift.consumers.reanalysis import finished, reanalyse
from ringrift.events import Fact
from ringrift.events.facts import SelfplayFinished
from ringrift.events.tickets import ReanalysisTicket, SelfplayTicket, Ticket
from ringrift.learning.play import play_games
from ringrift.runtime.process import Process, run, threads
from ringrift.runtime.work import from_thread, is_done, publish_games, work
from ringrift.search.harness import Model


async def main(process: Process) -> None:
    """Do self-play tickets."""
    networks = Networks(process)

    async def play(process: Process, ticket: Ticket, deliveries: int) -> None:
        if isinstance(ticket, ReanalysisTicket):
            await reanalyse(process, ticket, deliveries, networks)
        else:
            assert isinstance(ticket, SelfplayTicket)
            await _play(process, ticket, deliveries, networks)

    await work(process, "selfplay", play, failed)


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    """A ticket that cannot be played is finished with the games it has: the generation goes on with
    fewer."""
    if isinstance(ticket, ReanalysisTicket):
        return finished(process, ticket, games=0, seconds=0.0)
    assert isinstance(ticket, SelfplayTicket)
    return SelfplayFinished(
        config=ticket.plan.config,
        generation=ticket.plan.generation,
        ticket=ticket.ticket,
        games=0,
        lost=ticket.games,
        plies=0,
        play_seconds=0.0,
        node=process.node,
        spare=ticket.plan.spare,
    )


async def _play(
    process: Process, ticket: SelfplayTicket, deliveries: int, networks: Networks
) -> None:
    plan = ticket.plan
    if await is_done(process, SelfplayFinished, ticket):
        return
    process.doing = f"playing {plan.config} generation {plan.generation}, {ticket.games} games"
    settings, _ = await process.settings(plan.settings_version)
    play = settings.selfplay
    if plan.noise_plies is not None:
        play = replace(play, noise_plies=plan.noise_plies)
    model: Model | None = None
    if plan.model:
        played_by, model = await wanted_or_older(process, ticket, plan.model, networks.get)
        ticket = replace(ticket, plan=replace(plan, model=played_by))
    began, plies = time.monotonic(), 0
    ids = [f"{ticket.ticket}-{index}" for index in range(ticket.games)]
    async with publish_games(process, ticket, plan.config, ids, deliveries) as publish:
        games = from_thread(
            process,
            lambda: play_games(
                ticket,
                play,
                node=process.node,
                model=model,
                threads=threads(),
                width=process.pressure.batch,
                progress=lambda _: process.check_stop(),
            ),
        )
        async for game in games:
            plies += game.plies
            await publish(game)
    fact = SelfplayFinished(
        config=plan.config,
        generation=plan.generation,
        ticket=ticket.ticket,
        games=ticket.games,
        plies=plies,
        play_seconds=time.monotonic() - began,
        node=process.node,
        spare=plan.spare,
    )
    await process.log.append([process.draft(fact, cause=ticket.cause, key=ticket.ticket)])


if __name__ == "__main__":
    run("selfplay", main)
