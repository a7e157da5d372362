"""The processes of the simulated system. All but the operator run as they do in production; the
games, and the time they take, are modelled."""

from __future__ import annotations

import asyncio
import contextlib
import random

from ringrift.consumers import dispatcher
from ringrift.consumers.games.playing import publish_games
from ringrift.deciders.loop import evaluation, promotion, selfplay
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    EvaluationScored,
    GameCompleted,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    Seat,
    SelfplayFinished,
    SettingsChanged,
)
from ringrift.events.settings import EvaluationSettings, PromotionSettings, SelfplaySettings
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket, Ticket
from ringrift.log.errors import StreamError
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.work import is_done, work
from ringrift.tools.simulation import workload

from .hosts import Main

SETTINGS = Settings(
    selfplay=SelfplaySettings(bootstrap_games=4, games=4, games_per_ticket=2),
    promotion=PromotionSettings(starts_max=8),
    evaluation=EvaluationSettings(starts_per_ticket=4, baseline_starts=16),
)
PLANNER = (selfplay.DECIDER, evaluation.DECIDER)
DECIDERS = (*PLANNER, promotion.DECIDER)
HELD = {"planner": [kind for decider in PLANNER for kind in decider.writes]}
"""Facts that only the holder of a role may write."""
VERDICTS = (ModelPromoted, PromotionRejected)
MODELS = tuple(letter * 64 for letter in "ab")
STRONGER_ELO = 8000.0
"""Enough to win every game."""


async def planner(process: Process) -> None:
    """One of two; they hold a lease in turn."""
    await act(process, PLANNER, "planner")


async def promoter(process: Process) -> None:
    """One of two, which act at the same time: optimistic concurrency control resolves their
    conflicts."""
    await act(process, (promotion.DECIDER,), None)


async def player(process: Process) -> None:
    """A self-play worker."""
    await work(process, "selfplay", play, failed)


async def evaluator(process: Process) -> None:
    """An evaluator."""
    await work(process, "evaluation", measure, failed)


async def operator(process: Process) -> None:
    """Puts the settings in force and registers the networks, retrying each fact until it is
    acknowledged."""
    facts: list[Fact] = [SettingsChanged(version=1, settings=SETTINGS, why="simulated")]
    for number, model in enumerate(MODELS, 1):
        registered = ModelRegistered(
            config="hex8_2p",
            model=model,
            generation=number,
            architecture="v2-micro",
            encoder="e",
            parameters=1,
            parents=(),
            ticket=f"trained-{number}",
        )
        facts.append(registered)
    for number, fact in enumerate(facts):
        await asyncio.sleep(duration(process, fact, 0.0, 12.0))
        item = process.draft(fact, cause=None, key=f"simulated-{number}")
        while True:
            with contextlib.suppress(StreamError):
                await process.log.append([item])
                break
            await asyncio.sleep(1.0)
    await process.wait_for_stop()


def duration(process: Process, what: object, least: float, most: float) -> float:
    """Seconds that this process takes for something; always the same."""
    return random.Random(f"{process.node}/{what}").uniform(least, most)


async def play(process: Process, ticket: Ticket, deliveries: int) -> None:
    """Work on a ticket as the self-play worker does, with modelled games."""
    assert isinstance(ticket, SelfplayTicket)
    if await is_done(process, ticket, SelfplayFinished):
        return
    ids = [f"{ticket.ticket}-{index}" for index in range(ticket.games)]
    async with publish_games(process, ticket, ids, deliveries) as publish:
        for name in ids:
            await asyncio.sleep(duration(process, name, 0.1, 3.0))
            process.check_stop()
            await publish(game(process, ticket, name))
    fact = workload.played(ticket, process.node, plies=1, seconds=1.0)
    await process.log.append([process.draft(fact, cause=ticket.cause, key=ticket.ticket)])


def game(process: Process, ticket: SelfplayTicket, name: str) -> GameCompleted:
    """A game without moves."""
    return GameCompleted(
        game=name,
        config="hex8_2p",
        origin="selfplay",
        ticket=ticket.ticket,
        seats=(Seat(participant="random", harness="random"),) * 2,
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="r",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=b"",
        rules_version=1,
        play_seconds=0.0,
        node=process.node,
        settings_version=0,
    )


async def measure(process: Process, ticket: Ticket, deliveries: int) -> None:
    """Work on a ticket as the evaluator does, with a modelled match that the candidate wins."""
    assert isinstance(ticket, EvaluationTicket)
    if await is_done(process, ticket, EvaluationScored):
        return
    await asyncio.sleep(duration(process, ticket.ticket, 0.1, 4.0))
    fact = workload.match(
        ticket.request,
        STRONGER_ELO,
        0.0,
        ticket=ticket.ticket,
        node=process.node,
        seconds=1.0,
        draw=random.Random(0),
    )
    await process.log.append([process.draft(fact, cause=ticket.cause)])


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    """The fact of a ticket that failed for good."""
    return workload.failed(ticket, process.node, reason)


MAINS: dict[str, tuple[str, Main]] = {
    "planner-a": ("planner", planner),
    "planner-b": ("planner", planner),
    "promoter-a": ("promoter", promoter),
    "promoter-b": ("promoter", promoter),
    "dispatcher": ("dispatcher", dispatcher.main),
    "player-a": ("selfplay", player),
    "player-b": ("selfplay", player),
    "evaluator": ("evaluator", evaluator),
    "operator": ("operator", operator),
}
"""By host: the name of its process, and what the process runs."""
