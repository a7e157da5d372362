"""Workers that answer every ticket of one config at once, without games or networks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from msgspec.structs import replace

from ringrift.events import Fact
from ringrift.events.facts import (
    ConsumerStarted,
    EvaluationRequested,
    EvaluationScored,
    Ranking,
    SelfplayPlanned,
    TrainingFailed,
    TrainingRequested,
)
from ringrift.events.tickets import EvaluationTicket, SelfplayTicket, Ticket, decode_ticket
from ringrift.runtime.process import Process
from support.games import recorded_game
from support.loop_facts import CONFIG, finished, registered
from support.system import POLL_SECONDS, selfplay_finished

FAILING, ABNORMAL = 2, 6
"""generations whose first training fails, and whose loss jumps"""


def model(generation: int) -> str:
    """The network of a generation."""
    return f"{generation:x}" * 64


async def work_on_all(process: Process) -> None:
    """Answer every ticket, until cancelled."""
    failed: set[int] = set()
    started = ConsumerStarted(node="n", consumer="selfplay", instance="i", version="1")
    await process.append(started, key="started")
    while True:
        for kind in ("selfplay", "training", "evaluation"):
            while (item := await process.log.next_ticket(kind, wait_seconds=0.0)) is not None:
                ticket = decode_ticket(item.body)
                for fact in _answers(ticket, failed):
                    answer = process.draft(fact, cause=ticket.cause, key=ticket.ticket)
                    await process.log.append([answer])
                await item.ack()
        await asyncio.sleep(POLL_SECONDS)


def scored(request: EvaluationRequested, ticket: str, *, wins: bool = True) -> EvaluationScored:
    """A match in which the candidate won, or lost, every game; none of its games is in the log."""
    order = (request.candidate.participant, request.opponent.participant)
    winner_first = order if wins else order[::-1]
    return EvaluationScored(
        config=CONFIG,
        generation=request.generation,
        ticket=ticket,
        candidate=order[0],
        candidate_model=request.candidate.model,
        opponent=order[1],
        purpose=request.purpose,
        round=request.round,
        games=0,
        wins=0.0,
        scores=((float(wins), request.starts),),
        rankings=(Ranking(order=winner_first, ranks=(1, 2), count=2 * request.starts),),
        play_seconds=1.0,
        node="n",
    )


def _answers(ticket: Ticket, failed: set[int]) -> Iterator[Fact]:
    if isinstance(ticket, SelfplayTicket):
        yield from _play(ticket.plan, ticket)
    elif isinstance(ticket, EvaluationTicket):
        yield scored(ticket.request, ticket.ticket)
    else:
        assert isinstance(ticket.request, TrainingRequested)
        yield from _train(ticket.request.generation, ticket.ticket, failed)


def _play(plan: SelfplayPlanned, ticket: SelfplayTicket) -> Iterator[Fact]:
    number = 4 * plan.generation + 2 * plan.spare + ticket.first_game
    yield recorded_game(number, ticket=ticket.ticket, game=f"{ticket.ticket}-0")
    finished = selfplay_finished(ticket.ticket)
    yield replace(finished, generation=plan.generation, spare=plan.spare)


def _train(generation: int, ticket: str, failed: set[int]) -> Iterator[Fact]:
    if generation == FAILING and generation not in failed:
        failed.add(generation)
        yield TrainingFailed(
            config=CONFIG, generation=generation, ticket=ticket, reason="test", node="n"
        )
        return
    loss = 9.0 if generation == ABNORMAL else 2.0
    yield replace(finished(model(generation), generation), ticket=ticket, loss=loss)
    yield replace(registered(model(generation), generation), ticket=ticket)
