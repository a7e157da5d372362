"""Turns requests into tickets on `WORK`. A ticket is a command and may be lost; the request is a fact, so the ticket comes back.

On start it looks at both: what was asked for, is not done and is not on the queue is put there again.
"""

from __future__ import annotations

from ringrift.consumers.deciding import STREAM, decoded
from ringrift.consumers.process import Process, run
from ringrift.events import Fact, type_of
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingFailed,
    TrainingFinished,
    TrainingKilled,
    TrainingRequested,
)
from ringrift.events.tickets import Ticket, decode_ticket, encode_ticket, subject_of, tickets_of
from ringrift.streams.errors import QueueFull

REQUESTS = (SelfplayPlanned, TrainingRequested, EvaluationRequested)
OUTCOMES = (SelfplayFinished, TrainingFinished, TrainingFailed, TrainingKilled, EvaluationScored, EvaluationFailed)
FULL_RETRY_SECONDS = 1.0


async def main(process: Process) -> None:
    """Put what is outstanding on the queue, then every new request as it comes."""
    log = process.log
    filters = [type_of(kind).subject_filter for kind in REQUESTS]
    queued = {decode_ticket(entry.body).ticket for entry in await log.queued()}  # before the facts: an outcome precedes its ack
    outstanding, position = await _outstanding(process)
    for ticket in outstanding.values():
        if ticket.ticket not in queued:
            await _put(process, ticket, f"{ticket.ticket}.{position}")  # the server may still know the id of a ticket that is lost
    process.doing = "dispatching"
    async for entry in process.until_stopped(log.follow(STREAM, filters=filters, start_seq=position + 1)):
        recorded = await decoded(process, STREAM, entry)
        if recorded is not None and isinstance(recorded.event, REQUESTS):
            for ticket in tickets_of(recorded.event, recorded.meta.position):
                await _put(process, ticket, ticket.ticket)
            process.folded(recorded.meta.seq, {})


async def _outstanding(process: Process) -> tuple[dict[str, Ticket], int]:
    """Tickets asked for and not done, by id, and the sequence up to which the log was read."""
    filters = [type_of(kind).subject_filter for kind in (*REQUESTS, *OUTCOMES)]
    tail = await process.log.tail(STREAM)
    outstanding: dict[str, Ticket] = {}
    async for batch in process.log.read(STREAM, filters=filters, until_seq=tail):
        for entry in batch:
            recorded = await decoded(process, STREAM, entry)
            if recorded is not None:
                _count(outstanding, recorded.event, recorded.meta.position)
    return outstanding, tail


def _count(outstanding: dict[str, Ticket], event: Fact, position: str) -> None:
    if isinstance(event, REQUESTS):
        outstanding.update({ticket.ticket: ticket for ticket in tickets_of(event, position)})
    elif isinstance(event, OUTCOMES):
        outstanding.pop(event.ticket, None)


async def _put(process: Process, ticket: Ticket, id: str) -> None:
    """Put a ticket on the queue, once per `id`; a full queue is the workers' way to say wait."""
    while not process.stopping:
        try:
            seq = await process.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)
        except QueueFull:
            process.doing = "waiting: the work queue is full"
            await process.wait(FULL_RETRY_SECONDS)
            continue
        process.logger.info("dispatched", ticket=ticket.ticket, seq=seq, cause=ticket.cause)
        return


if __name__ == "__main__":
    run("dispatcher", main)
