"""The dispatcher withdraws paused tickets and puts them back on resume."""

from __future__ import annotations

import pytest
from support.system import PLAN, System, running, until

from ringrift.consumers import dispatcher
from ringrift.events.facts import ConsumerStarted, PipelinePaused, PipelineResumed, TickRecorded
from ringrift.events.tickets import decode_ticket
from ringrift.log.entry import Entry
from ringrift.runtime.process import Process

PAUSE = PipelinePaused(scope="all", kind="selfplay", why="test")
RESUME = PipelineResumed(scope="all", kind="selfplay", why="test")


def queued(system: System) -> list[str]:
    return sorted(decode_ticket(entry.body).ticket for entry in system.queue.entries.values())


def tickets(*seqs: int) -> list[str]:
    return sorted(f"selfplay-events-{seq}-{number}" for seq in seqs for number in range(3))


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("dispatcher")


async def test_a_pause_withdraws_tickets_and_resuming_puts_each_back_once(
    system: System, process: Process
) -> None:
    for instance in "abcdefgh":  # with so many workers, all tickets are on the queue
        worker = ConsumerStarted(node="n", consumer="selfplay", instance=instance, version="1")
        await system.write(worker)
    first = await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: queued(system) == tickets(first))
        await system.write(PAUSE)
        await until(lambda: queued(system) == [])
        second = await system.write(PLAN)
        await system.write(RESUME)
        await until(lambda: queued(system) == tickets(first, second))
        third = await system.write(PLAN)
        await until(lambda: queued(system) == tickets(first, second, third))


async def test_a_start_while_paused_puts_nothing_on_the_queue(
    system: System, process: Process
) -> None:
    await system.write(PLAN, PipelinePaused(scope="hex8_2p", kind="all", why="test"))
    async with running(dispatcher.main(process)):
        await until(lambda: process.doing == "dispatching")
    assert queued(system) == []


async def test_a_paused_ticket_is_not_put_back_by_a_check(system: System, process: Process) -> None:
    await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: len(queued(system)) == 3)
        check = TickRecorded(minute=dispatcher.QUEUE_CHECK_MINUTES)
        last = await system.write(PAUSE, check)
        await until(lambda: process.seq == last)
    assert queued(system) == []


async def test_resuming_without_a_pause_reads_no_queue(
    system: System, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of such facts must not keep the dispatcher from new requests."""

    async def counted() -> list[Entry]:
        nonlocal reads
        reads += 1
        return await read_queue()

    reads, read_queue = 0, process.log.queued
    monkeypatch.setattr(process.log, "queued", counted)
    async with running(dispatcher.main(process)):
        await until(lambda: process.doing == "dispatching")
        at_start = reads
        for _ in range(20):
            await system.write(PipelineResumed(scope="square19_4p", kind="all", why="test"))
        await system.write(PLAN)
        await until(lambda: len(system.queue.entries) == 3)
    assert reads == at_start
