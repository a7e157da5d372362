"""Work on tickets: pull one, keep it alive while its work runs, append the facts, acknowledge it.

The ticket of a worker that dies is delivered to another one. A ticket whose outcome is in the log
is not worked on again. A failed ticket is retried after each time of the setting
`operation.ticket_waits`, unless its error is permanent; then its failure becomes a fact and the
ticket a dead letter."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from typing import TypedDict, TypeVar, cast

from structlog.contextvars import bind_contextvars, reset_contextvars

from ringrift.deciders.fleet import pressure
from ringrift.deciders.fleet.breaker import node_target
from ringrift.errors import Permanent
from ringrift.events import Draft, Fact, UndecodableEvent, UnknownEvent
from ringrift.events.tickets import Ticket, config_of, decode_ticket, of_each_config
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamError
from ringrift.log.topology import WORK, WORK_ACK_SECONDS
from ringrift.log.work import WorkItem
from ringrift.runtime.host import return_memory
from ringrift.runtime.process import Drained, Process, cancel

LOG_RETRY_SECONDS = 2.0
"""after a failure of the log, which is no failure of the work"""
DELIVERIES_MAX = 20
"""a ticket delivered more often kills its workers; drains and kills of others cause far fewer"""
PULL_SECONDS = 600.0
"""of one wait for a ticket, which ends as soon as none may be taken any more"""
PAUSED_SECONDS = 5.0
LEFT_SECONDS = 10.0
"""until a ticket that was left to other nodes is delivered again"""
RETRIES = "ringrift_ticket_retries_total"
LOOK_SECONDS = 0.5
"""between two checks whether a waiting worker may take a ticket"""

T = TypeVar("T", bound=Ticket)
Handle = Callable[[Process, T, int], Awaitable[None]]
"""Does the work of a ticket. The number counts its deliveries, 1 for the first."""
Failed = Callable[[Process, T, str], Fact]
"""The fact that reports that a ticket failed for good, and why."""


class LeftToOthers(Exception):
    """A worker hands its ticket back because another node should take it."""


async def work(process: Process, kind: str, handle: Handle[T], failed: Failed[T]) -> None:
    """Work on tickets of `kind` until the process stops."""
    async with process.background({"breakers": process.breakers.shared.follow}):
        while not process.stopping:
            why = _why_not(process, kind)
            if why:
                process.doing = f"waiting: {why}"
                await process.wait(LOOK_SECONDS)
                continue
            process.doing = "waiting for work"
            item = await _next(process, kind)
            if item is not None:
                await _serve(process, kind, item, handle, failed)


async def _next(process: Process, kind: str) -> WorkItem | None:
    """Wait for a ticket until none may be taken any more. The wait is local: the server is not
    asked again."""
    taking = asyncio.ensure_future(process.log.next_ticket(kind, wait_seconds=PULL_SECONDS))
    stopped = asyncio.ensure_future(process.wait_for_stop())
    try:
        while not (taking.done() or stopped.done() or _why_not(process, kind)):
            await asyncio.wait(
                {taking, stopped}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
    finally:
        await cancel(taking, stopped)
    return None if taking.cancelled() else taking.result()


def _why_not(process: Process, kind: str) -> str:
    """Why no ticket may be taken now; empty if one may."""
    if process.controls.pauses.stops("all", kind):
        return f"{kind} is paused"
    if process.controls.draining:
        return f"node {process.node} drains"
    if not process.controls.allows(kind):
        return f"node {process.node} is assigned to other work"
    if not pressure.takes_work(process.tiers):
        resource, tier = pressure.worst(process.tiers)
        return f"{resource} is in its {tier} tier"
    if process.controls.quarantined:
        return f"node {process.node} is quarantined: {process.controls.quarantined}"
    for voter, tier in process.controls.short_voters.items():
        return f"the disk of voter {voter} is in its {tier} tier"
    if not process.breakers.allows(node_target(process.node)):
        return f"node {process.node} is quarantined"
    return ""


async def _serve(
    process: Process, kind: str, item: WorkItem, handle: Handle[T], failed: Failed[T]
) -> None:
    try:
        # the queue delivers tickets by kind, so this one is of the type that `handle` takes
        ticket = cast(T, decode_ticket(item.body))
    except UnknownEvent as error:
        await _leave(process, item, error)
        return
    except UndecodableEvent as error:
        await _dead_letter(process, item, str(error))
        return
    # the pull may have waited, and only now is the config known
    if process.controls.pauses.stops(config_of(ticket), kind) or _why_not(process, kind):
        await _hand_back(item)
        return
    if item.deliveries > DELIVERIES_MAX:
        reason = f"delivered {item.deliveries} times and never finished"
        await _fail(process, item, failed(process, ticket, reason), ticket, reason)
        return
    process.controls.preempted = False  # an earlier preemption concerned the tickets before
    alive = asyncio.create_task(_keep_alive(item))
    logger = process.logger
    causes = bind_contextvars(ticket=ticket.ticket, cause=ticket.cause)
    target, began, outcome = node_target(process.node), process.clock.monotonic(), "failed"
    process.condition.ticket_taken(began)
    try:
        await process.breakers.probing(target)
        await handle(process, ticket, item.deliveries)
        await item.ack()
        outcome = "done"
        if item.deliveries > 1:
            process.metrics.add(RETRIES, kind, "succeeded")
        await process.breakers.worked(target)
    except Drained:
        outcome = "handed back"
        logger.info("handed back")
        await _give_back(item)
    except LeftToOthers:
        outcome = "handed back"
        await _give_back(item, LEFT_SECONDS)
    except UnknownEvent as error:
        outcome = "handed back"
        await _leave(process, item, error)
    except StreamError as error:
        outcome = outcome if outcome == "done" else "log unavailable"
        logger.warning("log unavailable", error=str(error))
        await _give_back(item, LOG_RETRY_SECONDS)
    except Exception as error:
        process.errors += 1
        reason = f"{type(error).__name__}: {error}"
        waits = process.controls.operation.ticket_waits
        is_last = isinstance(error, Permanent) or item.deliveries > len(waits)
        process.metrics.add(RETRIES, kind, "exhausted" if is_last else "queued")
        if not is_last:
            delay = waits[item.deliveries - 1]
            logger.error("failed, will retry", reason=reason, delay_seconds=delay, exc_info=True)
            await _give_back(item, delay)
        else:
            logger.error("failed for good", reason=reason, exc_info=True)
            await _fail(process, item, failed(process, ticket, reason), ticket, reason)
        with contextlib.suppress(StreamError):  # the next failure counts again
            await process.report_error(reason, ticket.cause)
            if not isinstance(error, Permanent):  # the node is not to blame
                nodes = {beat.node for beat in await process.presence.all()}
                await process.breakers.failed(target, reason, targets=len(nodes))
    finally:
        alive.cancel()
        reset_contextvars(**causes)
        return_memory()
        ended = process.clock.monotonic()
        process.condition.ticket_ended(ended)
        seconds = ended - began
        process.metrics.add("ringrift_tickets_total", kind, outcome)
        process.metrics.observe("ringrift_ticket_seconds", seconds, kind)


async def _hand_back(item: WorkItem) -> None:
    """Return a ticket that was taken just as it was paused. The dispatcher withdraws it and puts
    it back on resume. If no dispatcher runs, the ticket must not use up its deliveries."""
    with contextlib.suppress(StreamError):  # the ticket is redelivered after its time limit
        if item.deliveries > DELIVERIES_MAX // 2:
            await item.term("paused; the dispatcher puts it back")
        else:
            await _give_back(item, PAUSED_SECONDS)


async def _give_back(item: WorkItem, delay_seconds: float = 0.0) -> None:
    with contextlib.suppress(StreamError):  # the ticket is redelivered after its time limit
        await item.nak(delay_seconds)


async def _leave(process: Process, item: WorkItem, error: UnknownEvent) -> None:
    """Leave a ticket that a newer program wrote, or settings did, to a worker that knows it all."""
    process.logger.warning("left to a newer program", subject=item.subject, reason=str(error))
    if item.deliveries > DELIVERIES_MAX // 2:
        await _dead_letter(process, item, str(error))
    else:
        await _give_back(item, PAUSED_SECONDS)


async def _fail(
    process: Process, item: WorkItem, failure: Fact, ticket: Ticket, reason: str
) -> None:
    """Append the failure, then dead-letter the ticket. After a crash in between, the ticket is
    redelivered and the fact is not written twice."""
    await conclude(process, ticket, failure)
    await _dead_letter(process, item, reason, failure_recorded=True)


async def _dead_letter(
    process: Process, item: WorkItem, reason: str, *, failure_recorded: bool = False
) -> None:
    entry = Entry(item.seq, item.subject, 0, item.body)
    await process.dead_letter(entry, WORK, item.deliveries, reason, failure_recorded)
    await item.term(reason)


async def _keep_alive(item: WorkItem) -> None:
    while True:
        await asyncio.sleep(WORK_ACK_SECONDS / 3)
        with contextlib.suppress(StreamError):  # up to two in a row may fail
            await item.in_progress()


class TicketFields(TypedDict):
    """See `TicketFact`."""

    config: str
    ticket: str
    node: str


def fields_of(process: Process, ticket: Ticket) -> TicketFields:
    """The fields of every fact of a worker that describe its ticket."""
    return TicketFields(config=config_of(ticket), ticket=ticket.ticket, node=process.node)


async def is_done(process: Process, ticket: Ticket, *outcomes: type[Fact]) -> bool:
    """Whether the log holds an outcome of the ticket, of one of these types."""
    after = int(ticket.cause.partition("/")[2])
    async for event, _ in read.facts(process.log, *outcomes, scope=config_of(ticket), after=after):
        if getattr(event, "ticket", None) == ticket.ticket:
            return True
    return False


async def conclude(process: Process, ticket: Ticket, outcome: Fact) -> None:
    """Append the outcome of a ticket, unless another worker has done so while this one was frozen,
    even if the server has forgotten the id."""
    if not await is_done(process, ticket, type(outcome)):
        await process.log.append(drafts(process, ticket, outcome, ticket.ticket))


def drafts(process: Process, ticket: Ticket, fact: Fact, key: str | int = 0) -> list[Draft]:
    """A fact about a ticket, for each config that the ticket is of."""
    keys = (key if not number else f"{key}.{number}" for number in count())
    facts = zip(keys, of_each_config(ticket, fact), strict=False)
    return [process.draft(one, cause=ticket.cause, key=key) for key, one in facts]


async def caused_at(process: Process, ticket: Ticket) -> datetime:
    """When the fact that caused the ticket was stored; the epoch if it is gone."""
    stream, _, seq = ticket.cause.partition("/")
    entry = await process.log.get(stream, int(seq))
    return entry.time if entry else datetime.fromtimestamp(0, UTC)
