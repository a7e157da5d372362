"""What a process does after the server lost acknowledged events."""

from __future__ import annotations

import asyncio

import pytest

from ringrift.events import Draft, Fact, draft
from ringrift.events.facts import ConsumerStarted, LostEventsRepublished, PipelinePaused
from ringrift.log import read
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime.process import Process
from ringrift.runtime.republish import republish_lost


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> MemoryLog:
    return MemoryLog(MemoryBroker(clock))


def started(number: int) -> Draft:
    fact = ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="t", key=number)


async def append(log: MemoryLog, clock: Clock, *drafts: Draft) -> None:
    for item in drafts:
        clock.now += 1.0
        await log.append([item])


async def test_it_republishes_and_records_them(log: MemoryLog, clock: Clock) -> None:
    process = Process("selfplay", "n", log)
    republishing = asyncio.create_task(republish_lost(process))
    await append(log, clock, started(1), started(2))
    log.broker.crash(unsynced_seconds=0.5)
    async with asyncio.timeout(5):
        event, _ = await anext(read.follow(MemoryLog(log.broker), LostEventsRepublished))
    republishing.cancel()
    assert (event.first_seq, event.last_seq, event.republished, event.orphaned) == (2, 2, 1, 0)
    there = [item.event async for item in read.facts(log, ConsumerStarted)]
    assert there == [started(1).event, started(2).event]


async def test_it_reads_the_controls_again(log: MemoryLog, clock: Clock) -> None:
    process = Process("selfplay", "n", log)
    await append(log, clock, started(1), started(2))
    following = asyncio.create_task(process.controls.follow(await process.controls.load()))
    for _ in range(5):
        await asyncio.sleep(0)
    log.broker.crash(unsynced_seconds=0.5)
    pause: Fact = PipelinePaused(scope="all", kind="selfplay", why="test")
    await append(log, clock, draft(pause, cause=None, source="t"))
    async with asyncio.timeout(5):
        while not process.controls.pauses.stops("hex8_2p", "selfplay"):  # noqa: ASYNC110  a pause has no event
            await asyncio.sleep(0)
    following.cancel()
