"""The dispatcher turns requests into tickets, and puts back those that are lost."""

from __future__ import annotations

import json

import pytest
from support.system import PLAN, System, running, selfplay_finished, until

from ringrift.consumers import dispatcher
from ringrift.events import draft, encode
from ringrift.events.facts import TickRecorded, WorkEscalated
from ringrift.events.tickets import decode_ticket
from ringrift.runtime.process import Process

SUBJECT = "ringrift.work.selfplay.5.hex8_2p"


def queued(system: System) -> list[str]:
    """Names of the tickets on the queue."""
    return [decode_ticket(entry.body).ticket for entry in system.queue.entries.values()]


def tickets(seq: int, *numbers: int) -> list[str]:
    return [f"selfplay-events-{seq}-{number}" for number in numbers]


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("dispatcher")


async def folded(process: Process, seq: int) -> None:
    """Wait until the dispatcher has reacted to an event."""
    await until(lambda: process.seq == seq)


def tick(check: int) -> TickRecorded:
    """The tick of a check of the whole queue."""
    return TickRecorded(minute=check * dispatcher.QUEUE_CHECK_MINUTES)


async def test_a_request_becomes_its_tickets(system: System, process: Process) -> None:
    async with running(dispatcher.main(process)):
        await until(lambda: process.doing == "dispatching")
        seq = await system.write(PLAN)
        await until(lambda: queued(system) == tickets(seq, 0, 1, 2))


async def test_a_request_of_a_newer_program_is_left_to_its_dispatcher(
    system: System, process: Process
) -> None:
    """Its tickets would lack what this one does not know."""
    written = json.loads(encode(draft(PLAN, cause=None, source="newer@node")))
    written["data"]["colour"] = "blue"
    subject, body = written["subject"], json.dumps(written).encode()
    first = await system.log.publish("EVENTS", subject, body, id="first")
    async with running(dispatcher.main(process)):
        await until(lambda: process.doing == "dispatching")
        second = await system.log.publish("EVENTS", subject, body, id="second")
        third = await system.write(PLAN)
        await until(lambda: queued(system) == tickets(third, 0, 1, 2))
    assert first < second < third


async def test_a_start_puts_back_lost_tickets_that_are_not_done(
    system: System, process: Process
) -> None:
    seq = await system.write(PLAN, selfplay_finished("selfplay-events-1-1")) - 1
    async with running(dispatcher.main(process)):
        await until(lambda: queued(system) == tickets(seq, 0, 2))


async def test_a_restart_does_not_duplicate_tickets(system: System) -> None:
    await system.write(PLAN)
    for _ in range(2):
        process = system.process("dispatcher")
        async with running(dispatcher.main(process)):
            await until(lambda process=process: process.doing == "dispatching")
    assert len(queued(system)) == 3


async def test_a_check_changes_nothing_when_nothing_is_missing(
    system: System, process: Process
) -> None:
    seq = await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: len(queued(system)) == 3)
        await folded(process, await system.write(tick(0)))
    assert queued(system) == tickets(seq, 0, 1, 2)


async def test_a_check_puts_back_vanished_tickets_that_are_not_done(
    system: System, process: Process
) -> None:
    seq = await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: len(queued(system)) == 3)
        await system.write(selfplay_finished(f"selfplay-events-{seq}-0"))
        system.queue.entries.clear()  # the server lost acknowledged messages
        await folded(process, await system.write(TickRecorded(minute=1)))
        assert queued(system) == [], "not the minute of a check"
        await folded(process, await system.write(tick(1)))
        assert queued(system) == tickets(seq, 1, 2)


async def test_a_ticket_that_vanishes_again_and_again_is_put_back_a_few_times(
    system: System, process: Process
) -> None:
    seq = await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: len(queued(system)) == 3)
        for check in range(1, dispatcher.VANISHED_MAX + 2):
            await system.log.purge("WORK", SUBJECT)
            await folded(process, await system.write(tick(check)))
            expected = tickets(seq, 0, 1, 2) if check <= dispatcher.VANISHED_MAX else []
            assert queued(system) == expected


async def test_escalated_work_is_put_on_the_queue_with_the_highest_priority(
    system: System, process: Process
) -> None:
    seq = await system.write(PLAN)
    escalated = WorkEscalated(
        config="hex8_2p",
        kind="selfplay",
        request=f"EVENTS/{seq}",
        waited_seconds=1.0,
        settings_version=1,
    )
    async with running(dispatcher.main(process)):
        await until(lambda: len(queued(system)) == 3)
        await system.write(selfplay_finished(f"selfplay-events-{seq}-0"), escalated)
        await until(lambda: len(queued(system)) == 5)
    item = await system.log.next_ticket("selfplay", wait_seconds=1)
    assert item is not None
    assert item.subject == "ringrift.work.selfplay.1.hex8_2p"
