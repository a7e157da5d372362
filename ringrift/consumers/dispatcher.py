"""Turns requests into tickets on `WORK`. A ticket is a command and may be lost; the request is a
fact, so the ticket comes back.

On start, and with the recorded tick every five minutes, it looks at both: what was asked for, is
not done and is not on the queue is put there again. A pause takes the tickets it stops off the
queue, so that no worker has to hand them back over and over; the end of the pause is like a start.

Beside that it looks for streams that have lost their leader for good and makes those anew that hold
nothing but what facts give: the queue above all. It needs no lease for that, for the leases may be
among them.

What has waited for hours is put on the queue once more, in front. The ticket behind is done by
then: workers see its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

import msgspec

from ringrift.deciders.pauses import Pauses
from ringrift.events import EventMeta, Fact, UndecodableEvent, type_of
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
    StreamRecreated,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingTimedOut,
    WorkEscalated,
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
from ringrift.log import read
from ringrift.log.errors import LogUnavailable, QueueFull
from ringrift.log.topology import WORK
from ringrift.runtime.decide import STREAM, decoded
from ringrift.runtime.process import Process, run

REQUESTS = (SelfplayPlanned, TrainingRequested, EvaluationRequested, ReanalysisRequested)
OUTCOMES = (
    SelfplayFinished,
    TrainingFinished,
    TrainingFailed,
    TrainingTimedOut,
    EvaluationScored,
    EvaluationFailed,
    ReanalysisFinished,
)
PAUSES = (PipelinePaused, PipelineResumed)
RETRY_SECONDS = 1.0
"""before a full queue, or a log that has not answered for as long as its own tries take, is asked
again"""
HEAL_SECONDS = 5.0
"""between two looks for streams without a leader"""
LOOK_MINUTES = 5
"""between two looks at the whole queue: a ticket is lost when a server loses what it acknowledged,
or to a hand; not every day"""
VANISHED_MAX = 3
"""looks that bring one ticket back until all is read anew: what no worker can read would come for
ever"""


class Outstanding:
    """What the facts ask for and is not done, by ticket, and what is paused, both folded up to
    `seq`; how often which vanished."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.pauses = Pauses()
        self.vanished: Counter[str] = Counter()
        self.seq = 0

    def take(self, event: Fact, meta: EventMeta) -> None:
        """Fold one fact."""
        self.seq = meta.seq
        if isinstance(event, REQUESTS):
            self.tickets.update(
                {ticket.ticket: ticket for ticket in tickets_of(event, meta.position)}
            )
        elif isinstance(event, OUTCOMES):
            self.tickets.pop(event.ticket, None)
        elif isinstance(event, PAUSES):
            self.pauses = self.pauses.after(event)


async def main(process: Process) -> None:
    """Keep the queue filled, and streams led."""
    healing = asyncio.create_task(
        process.persist("streams without a leader", lambda: _heal(process))
    )
    try:
        while not process.stopping:
            try:
                await _dispatch(process)
            except (
                LogUnavailable
            ) as error:  # while nobody leads the queue: it is for the other half of us to end that
                process.doing = "waiting: the log does not answer"
                process.logger.warning("begins again in a moment", error=str(error))
                await process.wait(RETRY_SECONDS)
    finally:
        healing.cancel()
        await asyncio.gather(healing, return_exceptions=True)


async def _heal(process: Process) -> None:
    """Tell of what is made anew, for ever."""
    while True:
        for found in await process.log.heal():
            process.logger.error("stream made anew", **msgspec.structs.asdict(found))
            await process.tell(
                StreamRecreated(**msgspec.structs.asdict(found)), f"{found.stream}.{time.time_ns()}"
            )
        await asyncio.sleep(HEAL_SECONDS)


async def _dispatch(process: Process) -> None:
    """Put what is outstanding on the queue, then every new request as it comes."""
    log = process.log
    filters = [
        type_of(kind).subject_filter
        for kind in (*REQUESTS, *OUTCOMES, *PAUSES, WorkEscalated, TickRecorded, StreamRecreated)
    ]
    position = await log.tail(STREAM)
    known = Outstanding()
    async for batch in log.read(STREAM, filters=filters, until_seq=position):
        for entry in batch:
            if (recorded := await decoded(process, STREAM, entry)) is not None:
                known.take(*recorded)
    known.seq = position
    await _bring_back(process, known)
    process.doing = "dispatching"
    async for entry in process.until_stopped(
        log.follow(STREAM, filters=filters, start_seq=position + 1)
    ):
        recorded = await decoded(process, STREAM, entry)
        if recorded is None:
            continue
        before = known.pauses
        known.take(*recorded)
        await _act(process, known, recorded.event, recorded.meta.position, was_paused=before)
        process.folded(recorded.meta.seq, {})


async def _act(
    process: Process, known: Outstanding, event: Fact, position: str, *, was_paused: Pauses
) -> None:
    """What a fact that has just been folded asks of the queue."""
    if isinstance(event, PAUSES) and known.pauses != was_paused:
        await (
            _withdraw(process, known.pauses)
            if isinstance(event, PipelinePaused)
            else _bring_back(process, known)
        )
    elif isinstance(event, REQUESTS):
        for ticket in tickets_of(event, position):
            await _put(process, ticket, ticket.ticket, known.pauses)
    elif isinstance(event, WorkEscalated):
        await _hurry(process, event, known)
    elif isinstance(event, StreamRecreated) and event.stream == WORK:
        await _bring_back(process, known)
    elif isinstance(event, TickRecorded) and event.minute % LOOK_MINUTES == 0:
        await _bring_back(process, known, vanished=True)


async def _hurry(process: Process, event: WorkEscalated, known: Outstanding) -> None:
    """Put what is left of a request on the queue in front; a full queue leaves it where it is."""
    for ticket in list(known.tickets.values()):
        if ticket.cause != event.request or known.pauses.stops(event.config, event.kind):
            continue
        with contextlib.suppress(QueueFull):
            seq = await process.log.publish_ticket(
                subject_of(ticket, URGENT), encode_ticket(ticket), f"{ticket.ticket}.aged"
            )
            process.logger.info(
                "moved to the front",
                ticket=ticket.ticket,
                seq=seq,
                waited_seconds=event.waited_seconds,
            )


async def _bring_back(process: Process, known: Outstanding, *, vanished: bool = False) -> None:
    """Put on the queue what is outstanding and not there, and take off it what is paused.

    `vanished`: what is missing has no reason to be, so it comes back `VANISHED_MAX` times at
    most."""
    on_queue = {
        ticket.ticket for ticket in await _queued(process)
    }  # before the facts: an outcome precedes its ack
    done = await _done_after(process, known.seq)
    await _withdraw(process, known.pauses)
    for ticket in list(known.tickets.values()):
        if (
            ticket.ticket in on_queue
            or ticket.ticket in done
            or known.vanished[ticket.ticket] >= VANISHED_MAX
        ):
            continue
        if vanished and not known.pauses.stops(config_of(ticket), kind_of(ticket)):
            process.logger.warning("ticket vanished from the queue", ticket=ticket.ticket)
            known.vanished[ticket.ticket] += 1
        await _put(
            process, ticket, f"{ticket.ticket}.{known.seq}", known.pauses
        )  # the server may know the id of a lost one


async def _done_after(process: Process, seq: int) -> set[str]:
    """Tickets with an outcome that is in the log and not folded yet."""
    later = read.facts(process.log, *OUTCOMES, after=seq)
    return {event.ticket async for event, _ in later if isinstance(event, OUTCOMES)}


async def _withdraw(process: Process, pauses: Pauses) -> None:
    """Take the tickets that are paused off the queue; who has one in hand finishes it."""
    if not pauses.paused:
        return
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


async def _put(process: Process, ticket: Ticket, id: str, pauses: Pauses) -> None:
    """Put a ticket on the queue, once per `id`, unless it is paused; a full queue is the workers'
    way to say wait."""
    while not process.stopping and not pauses.stops(config_of(ticket), kind_of(ticket)):
        try:
            seq = await process.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)
        except QueueFull:
            process.doing = "waiting: the work queue is full"
            await process.wait(RETRY_SECONDS)
            continue
        process.logger.info("dispatched", ticket=ticket.ticket, seq=seq, cause=ticket.cause)
        return


if __name__ == "__main__":
    run("dispatcher", main)
