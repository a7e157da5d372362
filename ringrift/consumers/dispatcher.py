"""Turns requests into tickets on `WORK`. A ticket is a command and may be lost; its request is a
fact, from which the ticket is created again.

On start and with the tick of every fifth minute, the dispatcher compares the requests with the
queue and puts back tickets that are missing and not done. Work that has waited for hours is put on
the queue once more with a higher priority; workers skip the older ticket, because its work is done
by then. A pause withdraws the tickets it affects, so that workers need not hand them back, and
resuming puts them back. Few more tickets than there are workers are on the queue; the next one is
that of the config whose turn it is (`ringrift.deciders.fleet.order`).

The dispatcher also recreates streams that lost their leader for good, if their content can be
rebuilt from facts, as that of the queue. It needs no lease: the leases may be among those
streams."""

import asyncio
import contextlib
from collections import Counter

import msgspec

from ringrift.deciders.context import Pauses
from ringrift.deciders.fleet import order
from ringrift.deciders.fleet.order import PAUSES, Order
from ringrift.events import EventMeta, Fact, UndecodableEvent, facts as f, tickets, type_of
from ringrift.events.tickets import OUTCOMES, REQUESTS, Ticket, encode_ticket, subject_of
from ringrift.log import read
from ringrift.log.errors import LogUnavailable, QueueFull
from ringrift.log.topology import EVENTS, WORK
from ringrift.runtime.decide import decoded, followed
from ringrift.runtime.process import Process
from ringrift.runtime.run import run
from ringrift.server.recreate import Recreator, recreate_consumers

READS = (f.StreamRecreated, *order.READS)
"""ticks, which come every minute, are last: by the last type the lag is measured"""
RETRY_SECONDS = 1.0
"""before the next attempt when the queue is full or the log has used up its own retries"""
STREAM_CHECK_SECONDS = 5.0
"""between two checks for streams without a leader"""
QUEUE_CHECK_MINUTES = 5
"""between two checks of the whole queue. Tickets are rarely lost: when a server loses
acknowledged messages, or when an operator deletes them"""
VANISHED_MAX = 3
"""checks that put a vanished ticket back until the next start: a ticket that no worker can decode
would otherwise be put back without end"""


class Outstanding:
    """The tickets without an outcome, folded up to `seq`, and how often each ticket vanished from
    the queue."""

    def __init__(self) -> None:
        self.order = Order()
        self.vanished: Counter[str] = Counter()
        self.seq = 0

    def take(self, event: Fact, meta: EventMeta) -> list[Ticket]:
        """Fold one fact; the tickets to put on the queue after it."""
        self.seq = meta.seq
        if isinstance(event, REQUESTS) and meta.unknown:
            return []
        return self.order.take(event, meta.position, meta.time)


async def main(process: Process) -> None:
    """Keep the queue filled, and recreate streams without a leader."""
    async with process.background({"stream recreation": lambda: _recreate_streams(process)}):
        while not process.stopping:
            try:
                await _dispatch(process)
            except LogUnavailable as error:  # the queue may be about to be recreated
                process.doing = "waiting: the log does not answer"
                process.logger.warning("log unavailable, restarting", error=str(error))
                await process.wait(RETRY_SECONDS)


async def _recreate_streams(process: Process) -> None:
    recreator = Recreator(process.log)
    while True:
        for found in (*await recreator.check(), *await recreate_consumers(process.log)):
            fields = msgspec.structs.asdict(found)
            process.logger.error("stream recreated", **fields)
            key = f"{found.stream}.{process.clock.wall()}"
            await process.append(f.StreamRecreated(**fields), key=key)
        await asyncio.sleep(STREAM_CHECK_SECONDS)


async def _dispatch(process: Process) -> None:
    """Put the outstanding tickets on the queue, then those of each new request."""
    log, filters = process.log, [type_of(kind).subject_filter for kind in READS]
    tail = await log.tail(EVENTS)
    known = Outstanding()
    async for batch in log.read(EVENTS, filters=filters, until_seq=tail):
        await log.know(EVENTS, batch[-1].seq)
        for entry in batch:
            if (recorded := decoded(process, EVENTS, entry)) is not None:
                known.take(*recorded)
    known.seq = tail
    await _put_back(process, known)
    process.doing = "dispatching"
    async for event, meta in followed(process, EVENTS, tail + 1, filters):
        if isinstance(event, REQUESTS) and meta.unknown:
            # its tickets would lack what this program does not know
            process.logger.warning("left to a newer dispatcher", request=meta.half_known)
            continue
        before = known.order.pauses
        for ticket in known.take(event, meta):
            await _put(process, known, ticket, ticket.ticket)
        await _react(process, known, event, before)


async def _react(process: Process, known: Outstanding, event: Fact, pauses_before: Pauses) -> None:
    """Change the queue as a fact that was just folded requires, besides new tickets."""
    if isinstance(event, PAUSES) and known.order.pauses != pauses_before:
        if isinstance(event, f.PipelinePaused):
            await _withdraw(process, known.order.pauses)
        else:
            await _put_back(process, known)
    elif isinstance(event, f.WorkEscalated):
        await _escalate(process, known, event)
    elif isinstance(event, f.StreamRecreated) and event.stream == WORK:
        await _put_back(process, known)
    elif isinstance(event, f.TickRecorded) and event.minute % QUEUE_CHECK_MINUTES == 0:
        await _put_back(process, known, vanished=True)


async def _escalate(process: Process, known: Outstanding, event: f.WorkEscalated) -> None:
    """Put the outstanding tickets of a request on the queue with the highest priority, unless the
    queue is full."""
    for ticket in known.order.tickets_of(event):
        with contextlib.suppress(QueueFull):
            subject, id = subject_of(ticket, tickets.URGENT), f"{ticket.ticket}.aged"
            seq = await process.log.publish_ticket(subject, encode_ticket(ticket), id)
            process.logger.info("escalated", ticket=ticket.ticket, seq=seq)


async def _put_back(process: Process, known: Outstanding, *, vanished: bool = False) -> None:
    """Put the offered tickets that are missing on the queue, and withdraw paused ones.

    `vanished`: a missing ticket has no known reason to be missing, so it is put back at most
    `VANISHED_MAX` times."""
    on_queue = await _queued(process)  # read before the facts: an outcome precedes its ack
    later = read.facts(process.log, *OUTCOMES, after=known.seq)
    done = {event.ticket async for event, _ in later if isinstance(event, OUTCOMES)}
    await _withdraw(process, known.order.pauses)
    for name in list(known.order.offered):
        ticket = known.order.outstanding[name]
        if name in on_queue or name in done or known.vanished[name] >= VANISHED_MAX:
            continue
        if vanished and not known.order.is_paused(ticket):
            process.logger.warning("ticket vanished from the queue", ticket=name)
            known.vanished[name] += 1
        # the server may still remember the id of a lost ticket, so this one gets another id
        await _put(process, known, ticket, f"{name}.{known.seq}")


async def _queued(process: Process) -> set[str]:
    """Names of the tickets on the queue. Undecodable ones are dead-lettered by the worker that
    takes them."""
    found = set()
    for entry in await process.log.queued():
        with contextlib.suppress(UndecodableEvent):
            found.add(tickets.decode_ticket(entry.body).ticket)
    return found


async def _withdraw(process: Process, pauses: Pauses) -> None:
    """Delete the paused tickets from the queue. Workers finish those in hand."""
    if not pauses.paused:
        return
    subjects = {entry.subject for entry in await process.log.queued()}
    for subject in sorted(subjects):
        _, _, kind, _, config = subject.split(".")
        if pauses.stops(config, kind):
            await process.log.purge(WORK, subject)
            process.logger.info("withdrawn while paused", subject=subject)


async def _put(process: Process, known: Outstanding, ticket: Ticket, id: str) -> None:
    """Put a ticket on the queue, once per `id`, unless it is paused. A full queue is backpressure:
    wait until workers have taken some."""
    while not process.stopping and not known.order.is_paused(ticket):
        try:
            seq = await process.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)
        except QueueFull:
            process.doing = "waiting: the work queue is full"
            process.condition.waits(process.clock.monotonic())
            await process.wait(RETRY_SECONDS)
            continue
        process.logger.info("dispatched", ticket=ticket.ticket, seq=seq, cause=ticket.cause)
        return


if __name__ == "__main__":
    run("dispatcher", main)
