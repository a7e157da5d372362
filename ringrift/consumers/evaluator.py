"""Plays matches: every game a fact, and their score one more."""

from __future__ import annotations

from ringrift.consumers.networks import Networks
from ringrift.events import Fact
from ringrift.events.facts import EvaluationFailed, EvaluationScored, GameCompleted
from ringrift.events.tickets import EvaluationTicket, Ticket
from ringrift.learning.matches import play_match
from ringrift.rules import Config
from ringrift.runtime.process import Process, run, threads
from ringrift.runtime.work import from_thread, is_done, publish_games, work


async def main(process: Process) -> None:
    """Do evaluation tickets."""
    networks = Networks(process)

    async def measure(process: Process, ticket: Ticket, deliveries: int) -> None:
        assert isinstance(ticket, EvaluationTicket)
        await _measure(process, ticket, deliveries, networks)

    await work(process, "evaluation", measure, failed)


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    """What the log says of a match that was given up."""
    assert isinstance(ticket, EvaluationTicket)
    request = ticket.request
    return EvaluationFailed(
        config=request.config,
        generation=request.generation,
        ticket=ticket.ticket,
        candidate_model=request.candidate.model,
        purpose=request.purpose,
        reason=reason,
        node=process.node,
    )


async def _measure(
    process: Process, ticket: EvaluationTicket, deliveries: int, networks: Networks
) -> None:
    request = ticket.request
    if await is_done(process, EvaluationScored, ticket):
        return
    process.doing = f"measuring {request.config} generation {request.generation} against {request.opponent.participant}"
    settings, _ = await process.settings(request.settings_version)
    models = {seat.model for seat in (request.candidate, request.opponent) if seat.model}
    held = {model: await networks.get(model) for model in sorted(models)}
    seats = Config.parse(request.config).seats
    ids = [f"{ticket.ticket}-{index}" for index in range(request.starts * seats)]
    async with publish_games(process, ticket, request.config, ids, deliveries) as publish:
        match = from_thread(
            process,
            lambda: play_match(
                ticket,
                settings.evaluation,
                node=process.node,
                model_of=held.__getitem__,
                threads=threads(),
                width=process.pressure.batch,
                progress=lambda _: process.check_stop(),
            ),
        )
        async for fact in match:
            if isinstance(fact, GameCompleted):
                await publish(fact)
            else:
                score = fact
    await process.log.append([process.draft(score, cause=ticket.cause)])


if __name__ == "__main__":
    run("evaluator", main)
