"""Tickets on the work queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from support.log_subject import Subject
from support.stream_cluster import ACK_SECONDS, TICKETS_MAX

from ringrift.events.tickets import PRIORITIES, SPARE, URGENT, USUAL
from ringrift.log.errors import QueueFull
from ringrift.log.protocol import Log
from ringrift.log.topology import WORK
from ringrift.log.work import WorkItem

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


@pytest_asyncio.fixture(loop_scope="module")
async def queue(log: Log) -> AsyncIterator[Log]:
    """A log with an empty work queue."""
    yield log
    for kind in ("selfplay", "training", "evaluation"):
        for priority in PRIORITIES:
            await log.purge(WORK, f"ringrift.work.{kind}.{priority}.hex8_2p")


async def until_gone(log: Log, seq: int) -> None:
    """Wait until a ticket is deleted, which in a cluster is a moment after its acknowledgement."""
    async with asyncio.timeout(10):
        while seq in [entry.seq for entry in await log.queued()]:  # noqa: ASYNC110  no event is set
            await asyncio.sleep(0.005)


async def ticket(log: Log, kind: str, wait_seconds: float = 10.0) -> WorkItem:
    item = await log.next_ticket(kind, wait_seconds=wait_seconds)
    assert item is not None
    return item


async def test_a_ticket_is_delivered_once_and_deleted_when_done(
    queue: Log, connect: Connect, subject: Subject
) -> None:
    other = await connect()
    where = "ringrift.work.selfplay.5.hex8_2p"
    seq = await queue.publish_ticket(where, b"one", f"{subject.node}-1")
    assert await queue.publish_ticket(where, b"one", f"{subject.node}-1") == seq
    await queue.publish_ticket(where, b"two", f"{subject.node}-2")
    assert [entry.body for entry in await queue.queued()] == [b"one", b"two"]
    items = [await ticket(queue, "selfplay"), await ticket(other, "selfplay")]
    assert [(item.body, item.deliveries, item.subject) for item in items] == [
        (b"one", 1, where),
        (b"two", 1, where),
    ]
    assert await other.next_ticket("training", wait_seconds=0.05) is None
    for item in items:
        await item.ack()
        await until_gone(queue, item.seq)
    assert await queue.next_ticket("selfplay", wait_seconds=0.05) is None
    assert await queue.publish_ticket(where, b"one", f"{subject.node}-1") == seq, (
        "known even after it was done"
    )
    assert await queue.queued() == []


async def test_tickets_are_delivered_by_priority(queue: Log, subject: Subject) -> None:
    for priority in (SPARE, USUAL, URGENT):
        where = f"ringrift.work.selfplay.{priority}.hex8_2p"
        await queue.publish_ticket(where, str(priority).encode(), f"{subject.node}-{priority}")
    async with asyncio.timeout(20):
        while True:  # each consumer of a cluster sees a ticket a moment after it was stored
            items = [await ticket(queue, "selfplay") for _ in PRIORITIES]
            if [int(item.body) for item in items] == list(PRIORITIES):
                break
            for item in items:
                await item.nak()
    waiting = asyncio.create_task(ticket(queue, "selfplay"))
    await items[-1].nak()
    again = await waiting
    assert int(again.body) == SPARE, "one that waits is woken by a ticket of any priority"
    for item in (*items[:-1], again):
        await item.ack()


async def test_a_ticket_is_redelivered_after_nak_and_silence(queue: Log, subject: Subject) -> None:
    await queue.publish_ticket("ringrift.work.training.5.hex8_2p", b"job", f"{subject.node}-1")
    item = await ticket(queue, "training")
    await item.nak()
    item = await ticket(queue, "training")
    assert item.deliveries == 2
    await item.nak(0.2)
    assert await queue.next_ticket("training", wait_seconds=0.05) is None
    item = await ticket(queue, "training")
    assert item.deliveries == 3
    item = await ticket(queue, "training")  # no progress for ACK_SECONDS
    assert item.deliveries == 4
    for _ in range(3):
        assert await queue.next_ticket("training", wait_seconds=ACK_SECONDS * 0.6) is None
        await item.in_progress()
    await item.term("not wanted")
    await until_gone(queue, item.seq)


async def test_a_worker_that_leaves_loses_no_ticket(queue: Log, subject: Subject) -> None:
    where = "ringrift.work.evaluation.5.hex8_2p"
    gone = asyncio.create_task(queue.next_ticket("evaluation", wait_seconds=30))
    waiting = asyncio.create_task(ticket(queue, "evaluation", 30))
    await asyncio.sleep(0.1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await queue.publish_ticket(where, b"job", f"{subject.node}-1")
    async with asyncio.timeout(10):
        item = await waiting
    assert item.body == b"job"
    await item.ack()


async def test_a_full_queue_refuses_tickets(queue: Log, subject: Subject) -> None:
    where = "ringrift.work.selfplay.5.hex8_2p"
    for number in range(TICKETS_MAX):
        await queue.publish_ticket(where, b"job", f"{subject.node}-{number}")
    with pytest.raises(QueueFull):
        await queue.publish_ticket(where, b"job", f"{subject.node}-more")
    item = await ticket(queue, "selfplay")
    await item.ack()
    await until_gone(queue, item.seq)
    await queue.publish_ticket(where, b"job", f"{subject.node}-more")
