"""What was acknowledged and is gone is written again, once; who has read what is gone hears of
it."""

from __future__ import annotations

import asyncio

import pytest

from ringrift.events import Draft, decode, draft
from ringrift.events.facts import ConsumerStarted, LostEventsRepublished, PipelinePaused
from ringrift.log import ledger
from ringrift.log.errors import LogRewound
from ringrift.log.ledger import Ledger
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.log.protocol import Expect
from ringrift.runtime.process import Process
from ringrift.runtime.republish import republish_lost


class Clock:
    """Seconds since 1970 that pass when told to."""

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


def note(number: int, cause: str | None = None) -> Draft:
    return draft(
        ConsumerStarted(node="n", consumer="test", instance=str(number), version="1"),
        cause=cause,
        source="t",
        key=number,
    )


async def ids(log: MemoryLog) -> list[str | None]:
    return [entry.id async for batch in log.read("EVENTS") for entry in batch]


async def write(log: MemoryLog, clock: Clock, *drafts: Draft) -> None:
    for item in drafts:
        clock.now += 1.0
        await log.append([item])


async def test_what_the_server_forgot_is_written_again_once(log, clock):
    drafts = [note(number) for number in range(5)]
    await write(log, clock, *drafts)
    log.broker.crash(unsynced_seconds=1.5)
    assert await ids(log) == [item.id for item in drafts[:3]]
    assert log.returned.is_set()
    (mended,) = await log.ledger.mend(log)
    assert (
        mended.stream,
        mended.first_seq,
        mended.last_seq,
        mended.republished,
        mended.orphaned,
    ) == ("EVENTS", 4, 5, 2, 0)
    assert await ids(log) == [item.id for item in drafts]
    assert await log.ledger.mend(log) == []
    assert await ids(log) == [item.id for item in drafts]


async def test_a_second_loss_of_the_same_events_is_counted_once(log, clock):
    await write(log, clock, note(1))
    for _ in range(2):
        log.broker.crash(unsynced_seconds=5.0)
        (mended,) = await log.ledger.mend(log)
        assert mended.republished == 1
    assert len(await ids(log)) == 1


async def test_a_fact_whose_cause_is_gone_too_is_left_out(log, clock):
    other = MemoryLog(log.broker)
    await write(other, clock, note(1))
    await write(log, clock, note(2, cause="EVENTS/1"))
    log.broker.crash(unsynced_seconds=10.0)
    await write(other, clock, note(3))  # takes the sequence of the cause
    (mended,) = await log.ledger.mend(log)
    assert (mended.republished, mended.orphaned) == (0, 1)
    assert await ids(log) == [note(3).id]


async def test_an_acknowledgement_that_came_late_is_no_loss(log, clock):
    await write(MemoryLog(log.broker), clock, note(1))  # stored, but its writer was not told
    clock.now += 2 * ledger.CLOCK_SKEW.total_seconds()
    await write(log, clock, note(1))
    assert await log.ledger.mend(log) == []


async def test_decisions_are_not_kept(log):
    await log.append([note(1)], Expect("ringrift.consumer.>", 0))
    assert len(log.ledger) == 0


BOUNDS = [("KEPT_EVENTS_MAX", 3, 3), ("KEPT_BYTES_MAX", 25, 2), ("KEPT_SECONDS", 3.5, 4)]


@pytest.mark.parametrize(("name", "value", "left"), BOUNDS)
def test_the_ledger_is_bounded(monkeypatch, clock, name, value, left):
    monkeypatch.setattr(ledger, name, value)
    kept = Ledger(clock)
    for number in range(10):
        clock.now += 1.0
        kept.add([note(number)], [number], [10])
    assert len(kept) == left


@pytest.mark.parametrize("more", [0, 1, 2, 3])
async def test_a_follower_hears_that_what_it_read_is_gone(log, clock, more):
    await write(log, clock, *(note(number) for number in range(4)))
    followed = log.follow("EVENTS")
    for _ in range(4):
        await anext(followed)
    log.broker.crash(unsynced_seconds=1.5)
    await write(log, clock, *(note(10 + number) for number in range(more)))
    with pytest.raises(LogRewound):
        await asyncio.wait_for(anext(followed), 5)


async def test_a_follower_that_has_read_nothing_that_is_gone_goes_on(log, clock):
    await write(log, clock, *(note(number) for number in range(4)))
    followed = log.follow("EVENTS", start_seq=3)
    log.broker.crash(unsynced_seconds=1.5)
    await write(log, clock, note(10))
    await write(log, clock, note(11))
    assert (await asyncio.wait_for(anext(followed), 5)).id == note(10).id


async def test_a_process_says_what_it_mended(log, clock):
    process = Process("selfplay", "n", log)
    mending = asyncio.create_task(republish_lost(process))
    await write(log, clock, note(1), note(2))
    log.broker.crash(unsynced_seconds=0.5)
    async with asyncio.timeout(5):
        async for entry in MemoryLog(log.broker).follow("EVENTS"):
            event = decode(entry.body, stream="EVENTS", seq=entry.seq).event
            if isinstance(event, LostEventsRepublished):
                break
    mending.cancel()
    assert (event.first_seq, event.last_seq, event.republished, event.orphaned) == (2, 2, 1, 0)
    assert (await ids(log))[:2] == [note(1).id, note(2).id]


async def test_controls_are_read_again_after_a_loss(log, clock):
    process = Process("selfplay", "n", log)
    await write(log, clock, note(1), note(2))
    following = asyncio.create_task(process.controls.follow(await process.controls.load()))
    for _ in range(5):
        await asyncio.sleep(0)
    log.broker.crash(unsynced_seconds=0.5)
    await write(
        log,
        clock,
        draft(PipelinePaused(scope="all", kind="selfplay", why="test"), cause=None, source="t"),
    )
    async with asyncio.timeout(5):
        while not process.controls.pauses.stops("hex8_2p", "selfplay"):  # noqa: ASYNC110  a pause has no event
            await asyncio.sleep(0)
    following.cancel()
