"""Turns requests into tickets on `WORK`. A ticket is a command and may be lost; the request is a fact, so the ticket comes back.

On start it looks at both: what was asked for, is not done and is not on the queue is put there again. A pause takes the tickets it
stops off the queue, so that no worker has to hand them back over and over; the end of the pause is like a start.

What has waited for hours is put on the queue once more, in front. The ticket behind is done by then: workers see its outcome.

Each minute it looks whether a ticket has vanished: asked for, not done and not on the queue, as after a purge by hand or a queue
that came back from an older copy. Such a one is put there again, some times: what vanishes over and over needs a person.
"""

from __future__ import annotations

import contextlib
from collections import Counter

from ringrift.consumers.deciding import STREAM, decoded
from ringrift.consumers.process import Process, run
from ringrift.domain.pause import Pauses
from ringrift.events import Fact, UndecodableEvent, type_of
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    PipelinePaused,
    PipelineResumed,
    ReanalysisFinished,
    ReanalysisRequested,
    SelfplayFinished,
    SelfplayPlanned,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingKilled,
    TrainingRequested,
    WorkAged,
)
from ringrift.events.tickets import (
    URGENT,
    Ticket,
    config_of,
    decode_ticket,
    encode_ticket,
    kind_of,
    subject_of,
    tickets_of,
)
from ringrift.streams.errors import QueueFull
from ringrift.streams.topology import WORK

REQUESTS = (SelfplayPlanned, TrainingRequested, EvaluationRequested, ReanalysisRequested)
OUTCOMES = (
    SelfplayFinished, TrainingFinished, TrainingFailed, TrainingKilled, EvaluationScored, EvaluationFailed, ReanalysisFinished,
)  # fmt: skip
PAUSES = (PipelinePaused, PipelineResumed)
FULL_RETRY_SECONDS = 1.0
VANISHED_MAX = 3
"""times that one ticket is brought back while this process lives: bytes that no worker can read would come for ever"""


async def main(process: Process) -> None:
    """Put what is outstanding on the queue, then every new request as it comes."""
    log = process.log
    filters = [type_of(kind).subject_filter for kind in (*REQUESTS, *OUTCOMES, *PAUSES, WorkAged, TickRecorded)]
    position = await log.tail(STREAM)
    outstanding, pauses = await _bring_back(process, position)
    vanished: Counter[str] = Counter()
    process.doing = "dispatching"
    async for entry in process.until_stopped(log.follow(STREAM, filters=filters, start_seq=position + 1)):
        recorded = await decoded(process, STREAM, entry)
        if recorded is None:
            continue
        if isinstance(recorded.event, PAUSES):
            before, pauses = pauses, pauses.after(recorded.event)
            if pauses == before:  # nothing was paused, or it was already: looking at the whole log would tell nothing new
                continue
            if isinstance(recorded.event, PipelinePaused):
                await _withdraw(process, pauses)
            else:
                outstanding, pauses = await _bring_back(process, recorded.meta.seq)
        elif isinstance(recorded.event, TickRecorded):
            if gone := await _vanished(process, outstanding, pauses, vanished):
                process.logger.warning("tickets vanished", tickets=gone)
                vanished.update(gone)
                outstanding, pauses = await _bring_back(process, recorded.meta.seq)
        elif isinstance(recorded.event, REQUESTS):
            _count(outstanding, recorded.event, recorded.meta.position)
            for ticket in tickets_of(recorded.event, recorded.meta.position):
                await _put(process, ticket, ticket.ticket, pauses)
        elif isinstance(recorded.event, WorkAged):
            await _hurry(process, recorded.event, pauses)
        else:
            _count(outstanding, recorded.event, recorded.meta.position)
        process.folded(recorded.meta.seq, {})


async def _hurry(process: Process, event: WorkAged, pauses: Pauses) -> None:
    """Put what is left of a request on the queue in front; a full queue leaves it where it is."""
    outstanding, _ = await _outstanding(process, await process.log.tail(STREAM))
    for ticket in outstanding.values():
        if ticket.cause != event.request or pauses.stops(event.config, event.kind):
            continue
        with contextlib.suppress(QueueFull):
            seq = await process.log.publish_ticket(subject_of(ticket, URGENT), encode_ticket(ticket), f"{ticket.ticket}.aged")
            process.logger.info("moved to the front", ticket=ticket.ticket, seq=seq, waited_seconds=event.waited_seconds)


async def _vanished(process: Process, outstanding: dict[str, Ticket], pauses: Pauses, before: Counter[str]) -> list[str]:
    """Tickets that are not done as far as we have read, not paused and not on the queue; without those that vanish too often."""
    on_queue = {ticket.ticket for ticket in await _queued(process)} if outstanding else set[str]()
    return [
        name for name, ticket in outstanding.items()
        if name not in on_queue and before[name] < VANISHED_MAX and not pauses.stops(config_of(ticket), kind_of(ticket))
    ]  # fmt: skip


async def _bring_back(process: Process, until_seq: int) -> tuple[dict[str, Ticket], Pauses]:
    """Put on the queue what the facts up to `until_seq` ask for, is not done and is not there; all that is not done, and what they
    say is paused."""
    on_queue = {ticket.ticket for ticket in await _queued(process)}  # before the facts: an outcome precedes its ack
    outstanding, pauses = await _outstanding(process, until_seq)
    await _withdraw(process, pauses)
    for ticket in outstanding.values():
        if ticket.ticket not in on_queue:  # the server may still know the id of a ticket that is lost
            await _put(process, ticket, f"{ticket.ticket}.{until_seq}", pauses)
    return outstanding, pauses


async def _withdraw(process: Process, pauses: Pauses) -> None:
    """Take the tickets that are paused off the queue; who has one in hand finishes it."""
    subjects = {entry.subject for entry in await process.log.queued()}
    for subject in sorted(subjects):
        _, _, kind, _, config = subject.split(".")
        if pauses.stops(config, kind):
            await process.log.purge(WORK, subject)
            process.logger.info("withdrawn while paused", subject=subject)


async def _queued(process: Process) -> list[Ticket]:
    """The tickets on the queue; bytes that are none are left to the worker who takes them."""
    found = []
    for entry in await process.log.queued():
        with contextlib.suppress(UndecodableEvent):
            found.append(decode_ticket(entry.body))
    return found


async def _outstanding(process: Process, until_seq: int) -> tuple[dict[str, Ticket], Pauses]:
    """Tickets asked for up to `until_seq` and not done by now, by id, and the pauses in force at `until_seq`."""
    filters = [type_of(kind).subject_filter for kind in (*REQUESTS, *OUTCOMES, *PAUSES)]
    tail = await process.log.tail(STREAM)
    outstanding: dict[str, Ticket] = {}
    pauses = Pauses()
    async for batch in process.log.read(STREAM, filters=filters, until_seq=tail):
        for entry in batch:
            recorded = await decoded(process, STREAM, entry)
            if recorded is None or (entry.seq > until_seq and not isinstance(recorded.event, OUTCOMES)):
                continue
            if isinstance(recorded.event, PAUSES):
                pauses = pauses.after(recorded.event)
            else:
                _count(outstanding, recorded.event, recorded.meta.position)
    return outstanding, pauses


def _count(outstanding: dict[str, Ticket], event: Fact, position: str) -> None:
    if isinstance(event, REQUESTS):
        outstanding.update({ticket.ticket: ticket for ticket in tickets_of(event, position)})
    elif isinstance(event, OUTCOMES):
        outstanding.pop(event.ticket, None)


async def _put(process: Process, ticket: Ticket, id: str, pauses: Pauses) -> None:
    """Put a ticket on the queue, once per `id`, unless it is paused; a full queue is the workers' way to say wait."""
    while not process.stopping and not pauses.stops(config_of(ticket), kind_of(ticket)):
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
