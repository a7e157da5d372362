"""Doing tickets: pull one, keep it alive while it is worked on, put the facts into the log,
acknowledge.

A worker that dies has its ticket delivered elsewhere. A ticket whose outcome is in the log already
is not done again. Failures are retried after 60, 120 and 240 seconds, then become a fact and a dead
letter."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from ringrift.deciders.fleet.breaker import node_target
from ringrift.events import Draft, Fact, UndecodableEvent, event_id, type_of
from ringrift.events.facts import GameCompleted
from ringrift.events.tickets import Ticket, config_of, decode_ticket
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Entry, WorkItem
from ringrift.log.retry import Backoff
from ringrift.log.topology import GAMES, WORK_ACK_SECONDS
from ringrift.runtime.process import Drained, Process

RETRY_DELAYS_SECONDS = (60.0, 120.0, 240.0)  # requirement G09.03: one try and three retries
LOG_RETRY_SECONDS = 2.0  # the log itself did not answer: nothing is wrong with the work
DELIVERIES_MAX = 20
"""a ticket that came so often ends its workers without a word, over and over; drains and kills of
others stay far below"""
PULL_SECONDS = 2.0
PAUSED_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""how soon a worker that waits sees that it need not any more"""
QUEUE_MAX = 64
IN_FLIGHT_MAX = 64

FETCHED = Backoff(first_seconds=0.2, longest_seconds=10.0, budget_seconds=None)
"""games are there a moment after they are written; after a cut it takes the servers up to 40 s"""

Item = TypeVar("Item")


Handle = Callable[[Process, Ticket, int], Awaitable[None]]
"""Does the work of a ticket; the number tells how often it has been delivered, 1 the first time."""
Failed = Callable[[Process, Ticket, str], Fact]
"""The fact that says that a ticket was given up, and why."""


async def work(process: Process, kind: str, handle: Handle, failed: Failed) -> None:
    """Do tickets of `kind` until told to stop."""
    following = asyncio.create_task(process.persist("breakers", process.breakers.follow))
    try:
        while not process.stopping:
            why = _must_wait(process, kind)
            process.doing = f"waiting: {why}" if why else "waiting for work"
            if why:
                await process.wait(LOOK_SECONDS)
                continue
            item = await process.log.next_ticket(kind, wait_seconds=PULL_SECONDS)
            if item is not None:
                await _serve(process, kind, item, handle, failed)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _must_wait(process: Process, kind: str) -> str:
    """Why no ticket may be taken now, empty if one may."""
    if process.pauses.stops("all", kind):
        return f"{kind} is paused"
    if not process.may_do(kind):
        return f"node {process.node} is assigned to other work"
    if not process.pressure.takes_work:
        resource, tier = process.pressure.worst
        return f"{resource} is in its {tier} tier"
    if not process.breakers.allows(node_target(process.node)):
        return f"node {process.node} is quarantined"
    return ""


async def _serve(
    process: Process, kind: str, item: WorkItem, handle: Handle, failed: Failed
) -> None:
    try:
        ticket = decode_ticket(item.body)
    except UndecodableEvent as error:
        await _give_up(process, item, str(error))
        return
    if process.pauses.stops(config_of(ticket), kind) or _must_wait(process, kind):
        await _hand_back(item)
        return
    if item.deliveries > DELIVERIES_MAX:
        await _fail(
            process, item, ticket, f"delivered {item.deliveries} times and never finished", failed
        )
        return
    process.preempted = False
    alive = asyncio.create_task(_keep_alive(item))
    logger = process.logger.bind(ticket=ticket.ticket, cause=ticket.cause)
    target, began, outcome = node_target(process.node), time.monotonic(), "failed"
    process.condition.took(began)
    try:
        await process.breakers.probing(target)
        await handle(process, ticket, item.deliveries)
        await item.ack()
        outcome = "done"
        await process.breakers.worked(target)
    except Drained:
        outcome = "handed back"
        logger.info("handed back")
        await item.nak()
    except StreamError as error:
        outcome = outcome if outcome == "done" else "log unavailable"
        logger.warning("log unavailable", error=str(error))
        with contextlib.suppress(
            StreamError
        ):  # not delivered either: the ticket comes back by its time limit
            await item.nak(LOG_RETRY_SECONDS)
    except Exception as error:
        process.errors += 1
        reason = f"{type(error).__name__}: {error}"
        if item.deliveries <= len(RETRY_DELAYS_SECONDS):
            delay = RETRY_DELAYS_SECONDS[item.deliveries - 1]
            logger.error("failed, will retry", reason=reason, delay_seconds=delay, exc_info=True)
            await item.nak(delay)
        else:
            logger.error("failed for good", reason=reason, exc_info=True)
            await _fail(process, item, ticket, reason, failed)
        with contextlib.suppress(StreamError):  # then the next failure counts
            await process.breakers.failed(target, reason, targets=len(await process.nodes()))
    finally:
        alive.cancel()
        process.condition.gave()
        process.metrics.add("ringrift_tickets_total", kind, outcome)
        process.metrics.observe("ringrift_ticket_seconds", time.monotonic() - began, kind)


async def _hand_back(item: WorkItem) -> None:
    """A ticket that was taken just as it was paused. The dispatcher takes it off the queue and
    brings it back on resume; if none runs, it must not use up its deliveries, and comes back with
    the dispatcher."""
    with contextlib.suppress(StreamError):  # it comes back by its time limit
        if item.deliveries > DELIVERIES_MAX // 2:
            await item.term("paused; the dispatcher brings it back")
        else:
            await item.nak(PAUSED_SECONDS)


async def _fail(
    process: Process, item: WorkItem, ticket: Ticket, reason: str, failed: Failed
) -> None:
    """The fact first, then the dead letter: a crash in between brings the ticket back, and the fact
    is not written twice."""
    await process.log.append(
        [process.draft(failed(process, ticket, reason), cause=ticket.cause, key=ticket.ticket)]
    )
    await _give_up(process, item, reason, answered=True)


async def _give_up(
    process: Process, item: WorkItem, reason: str, *, answered: bool = False
) -> None:
    entry = Entry(item.seq, item.subject, 0, item.body)
    await process.bury(
        entry, stream="WORK", deliveries=item.deliveries, reason=reason, answered=answered
    )
    await item.term(reason)


async def _keep_alive(item: WorkItem) -> None:
    while True:
        await asyncio.sleep(WORK_ACK_SECONDS / 3)
        with contextlib.suppress(StreamError):  # the next beat tries again; three in a row may miss
            await item.in_progress()


async def is_done(process: Process, kind: type[Fact], ticket: Ticket) -> bool:
    """Whether a fact of `kind`, stored since the ticket was caused, names this ticket."""
    cause = int(ticket.cause.partition("/")[2])
    async for item in read.facts(process.log, kind, scope=config_of(ticket), after=cause):
        if getattr(item.event, "ticket", None) == ticket.ticket:
            return True
    return False


@contextlib.asynccontextmanager
async def publish_games(
    process: Process, ticket: Ticket, config: str, ids: Sequence[str], deliveries: int
) -> AsyncIterator[Callable[[GameCompleted], Awaitable[None]]]:
    """A function that puts a game into the log; when the block ends, all of them are acknowledged.

    A ticket that came before may have left games: those are not written again, however long ago
    that was. Many are in flight. On a node with an edge they go there, and the block ends when the
    cluster has fetched them."""
    present: dict[str, int] = {}
    if deliveries > 1:
        names = [event_id(GameCompleted, ticket.cause, game) for game in ids]
        filters = [type_of(GameCompleted).filter(config)]
        present = await process.log.stored(
            "GAMES", names, filters, await caused_at(process, ticket)
        )
    slots, written = asyncio.Semaphore(IN_FLIGHT_MAX), set[str]()
    log = process.edge or process.log
    appending: list[asyncio.Task[None]] = []

    async def append(item: Draft) -> None:
        try:
            await log.append([item])
            written.add(item.id)
        finally:
            slots.release()

    async def publish(game: GameCompleted) -> None:
        item = process.draft(game, cause=ticket.cause, key=game.game)
        if item.id not in present:
            await slots.acquire()  # wait for room, so that a slow log slows the play
            appending.append(asyncio.create_task(append(item)))

    try:
        yield publish
        await asyncio.gather(*appending)
    finally:
        await asyncio.gather(*appending, return_exceptions=True)
    if process.edge is not None:
        await _until_fetched(process, ticket, config, written)


async def _until_fetched(process: Process, ticket: Ticket, config: str, written: set[str]) -> None:
    """Wait until the cluster has these games, however long the link is down. Raises Drained."""
    process.doing = f"waiting: {len(written)} games of {config} are on the edge"
    for pause in FETCHED.pauses():
        process.check_stop()
        with contextlib.suppress(StreamError):  # the link is down
            since = await caused_at(process, ticket)
            if (
                written
                <= (
                    await process.log.stored(
                        GAMES, sorted(written), [type_of(GameCompleted).filter(config)], since
                    )
                ).keys()
            ):
                return
        await process.wait(pause)


async def caused_at(process: Process, ticket: Ticket) -> datetime:
    """When the fact that the ticket comes from was stored."""
    stream, _, seq = ticket.cause.partition("/")
    entry = await process.log.get(stream, int(seq))
    return entry.time if entry else datetime.fromtimestamp(0, UTC)


async def from_thread(process: Process, make: Callable[[], Iterator[Item]]) -> AsyncIterator[Item]:
    """What an iterator yields that computes for long: it runs in a thread, at most `QUEUE_MAX`
    items ahead.

    Raises Drained when the process is told to stop; whatever the iterator raises is raised here."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Item | BaseException | None] = asyncio.Queue(QUEUE_MAX)
    quitting = threading.Event()

    def produce() -> None:
        try:
            for item in make():
                asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()
                if quitting.is_set():
                    return
            outcome: BaseException | None = None
        except Exception as error:  # noqa: BLE001  carried over to the consumer's side and raised there
            outcome = error
        asyncio.run_coroutine_threadsafe(queue.put(outcome), loop).result()

    running = asyncio.ensure_future(asyncio.to_thread(produce))
    try:
        while True:
            item = await queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
            process.check_stop()
    finally:
        quitting.set()
        while not running.done():  # make room so that the thread sees that we left
            while not queue.empty():
                queue.get_nowait()
            await asyncio.wait({running}, timeout=0.05)
