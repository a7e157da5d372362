"""Doing tickets: retries, handing back, giving up, and games that are written once; on the
in-memory log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from ringrift.consumers.games.publishing import publish_games
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    DeadLetterStored,
    GameCompleted,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingFailed,
)
from ringrift.events.tickets import SelfplayTicket, encode_ticket, subject_of, tickets_of
from ringrift.log.errors import LogUnavailable
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime import work as working
from ringrift.runtime.from_thread import from_thread
from ringrift.runtime.process import Process
from ringrift.runtime.work import Drained, is_done, work

PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=0,
    games=3,
    games_per_ticket=3,
    simulations=4,
    model=None,
    seed=1,
    settings_version=0,
)


@pytest.fixture
def process() -> Process:
    log = MemoryLog(MemoryBroker())
    return Process("selfplay", "test", log)


async def ticket(process: Process) -> SelfplayTicket:
    """A plan in the log and its ticket on the queue."""
    (seq,) = await process.log.append([draft(PLAN, cause=None, source="test")])
    (item,) = tickets_of(PLAN, f"EVENTS/{seq}")
    await process.log.publish_ticket(subject_of(item), encode_ticket(item), item.ticket)
    return item


def failed(process: Process, ticket: SelfplayTicket, reason: str) -> Fact:
    return TrainingFailed(
        config="hex8_2p", generation=0, ticket=ticket.ticket, reason=reason, node="test"
    )


def game(ticket: SelfplayTicket, number: int) -> GameCompleted:
    return GameCompleted(
        game=f"{ticket.ticket}-{number}",
        config="hex8_2p",
        origin="selfplay",
        ticket=ticket.ticket,
        seats=(),
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="r",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=b"",
        rules_version=1,
        play_seconds=0.0,
        node="test",
        settings_version=0,
    )


async def test_done_work_is_acknowledged(process):
    await ticket(process)

    async def handle(process, ticket, deliveries):
        process.stop()

    await work(process, "selfplay", handle, failed)
    assert await process.log.queued() == []


async def test_failures_are_retried_then_told_and_dead_lettered(process, monkeypatch):
    monkeypatch.setattr(working, "RETRY_DELAYS_SECONDS", (0.0, 0.0, 0.0))
    await ticket(process)
    seen: list[int] = []

    async def handle(process, ticket, deliveries):
        seen.append(deliveries)
        if deliveries == 4:
            process.stop()
        raise RuntimeError("no luck")

    await work(process, "selfplay", handle, failed)
    assert seen == [1, 2, 3, 4]
    assert await process.log.queued() == []
    assert await process.log.last("EVENTS", "ringrift.training.hex8_2p.failed") is not None
    assert await process.log.last("EVENTS", "ringrift.dead-letter.selfplay.stored") is not None


async def test_a_ticket_in_hand_goes_back_when_told_to_stop(process):
    await ticket(process)

    async def handle(process, ticket, deliveries):
        process.stop()
        raise Drained

    await work(process, "selfplay", handle, failed)
    assert (await process.log.next_ticket("selfplay", wait_seconds=1)).deliveries == 2


async def test_a_log_that_is_away_is_no_fault_of_the_work(process, monkeypatch):
    monkeypatch.setattr(working, "LOG_RETRY_SECONDS", 0.0)
    await ticket(process)

    async def handle(process, ticket, deliveries):
        if deliveries < 6:
            raise LogUnavailable("away")
        process.stop()

    await work(process, "selfplay", handle, failed)
    assert await process.log.queued() == []
    assert process.errors == 0


async def test_bytes_that_are_no_ticket_are_dead_lettered(process):
    await process.log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "odd")

    async def handle(process, ticket, deliveries):
        raise AssertionError

    running = asyncio.create_task(work(process, "selfplay", handle, failed))
    async with asyncio.timeout(10):
        async for entry in process.log.follow("EVENTS"):
            if DeadLetterStored.__name__.encode() in entry.body:
                break
    process.stop()
    await running
    letter = await process.log.last("DEAD", "ringrift.dead.>")
    assert letter.body == b"{}"


async def test_a_ticket_whose_outcome_is_in_the_log_is_known(process):
    item = await ticket(process)
    assert not await is_done(process, item, SelfplayFinished)
    outcome = SelfplayFinished(
        config="hex8_2p",
        generation=0,
        ticket=item.ticket,
        games=3,
        plies=1,
        play_seconds=1.0,
        node="test",
    )
    await process.log.append([draft(outcome, cause=item.cause, source="test")])
    assert await is_done(process, item, SelfplayFinished)


async def test_games_of_an_earlier_delivery_are_not_written_again(process):
    item = await ticket(process)
    ids = [f"{item.ticket}-{number}" for number in range(3)]
    async with publish_games(process, item, ids, 1) as publish:
        await publish(game(item, 1))
    process.log.broker.stream("GAMES")._ids.clear()  # so much later that the server has forgotten
    async with publish_games(process, item, ids, 2) as publish:
        for number in range(3):
            await publish(game(item, number))
    assert await process.log.tail("GAMES") == 3


async def test_a_thread_yields_in_order_and_its_errors_arrive(process):
    def numbers() -> Iterator[int]:
        yield from range(100)
        raise ValueError("spent")

    seen: list[int] = []
    with pytest.raises(ValueError, match="spent"):
        await collect(process, numbers, seen)
    assert seen == list(range(100))


async def test_a_thread_is_left_when_told_to_stop(process):
    left = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            left.set()

    with pytest.raises(Drained):
        await collect(process, numbers, [], stop_at=10)
    assert left.wait(5)


async def collect(
    process: Process, make: Callable[[], Iterator[int]], into: list[int], stop_at: int = -1
) -> None:
    async for number in from_thread(process, make):
        into.append(number)
        if number == stop_at:
            process.stop()
