"""Republishing events that a server acknowledged and lost."""

from __future__ import annotations

import asyncio

import pytest

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import LogRewound
from ringrift.log.protocol import Expect
from ringrift.log.recent import Recent
from ringrift.log.republish import CLOCK_SKEW, republish
from ringrift.tools.memory_log import MemoryBroker, MemoryLog


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


async def test_lost_events_are_republished_once(log, clock):
    drafts = [note(number) for number in range(5)]
    await write(log, clock, *drafts)
    log.broker.crash(unsynced_seconds=1.5)
    assert await ids(log) == [item.id for item in drafts[:3]]
    assert log.reconnected.is_set()
    (result,) = await republish(log)
    assert (
        result.stream,
        result.first_seq,
        result.last_seq,
        result.republished,
        result.orphaned,
    ) == ("EVENTS", 4, 5, 2, 0)
    assert await ids(log) == [item.id for item in drafts]
    assert await republish(log) == []
    assert await ids(log) == [item.id for item in drafts]


async def test_events_lost_twice_are_republished_twice(log, clock):
    await write(log, clock, note(1))
    for _ in range(2):
        log.broker.crash(unsynced_seconds=5.0)
        (result,) = await republish(log)
        assert result.republished == 1
    assert len(await ids(log)) == 1


async def test_an_event_whose_cause_is_lost_is_left_out(log, clock):
    other = MemoryLog(log.broker)
    await write(other, clock, note(1))
    await write(log, clock, note(2, cause="EVENTS/1"))
    log.broker.crash(unsynced_seconds=10.0)
    await write(other, clock, note(3))  # takes the sequence of the cause
    (result,) = await republish(log)
    assert (result.republished, result.orphaned) == (0, 1)
    assert await ids(log) == [note(3).id]


async def test_a_late_acknowledgement_is_no_loss(log, clock):
    await write(MemoryLog(log.broker), clock, note(1))  # stored, but never acknowledged
    clock.now += 2 * CLOCK_SKEW.total_seconds()
    await write(log, clock, note(1))
    assert await republish(log) == []


async def test_decisions_are_not_kept(log):
    await log.append([note(1)], Expect("ringrift.consumer.>", 0))
    assert len(log.recent) == 0


async def test_decisions_are_kept_if_asked_for(log):
    await log.append([note(1)], Expect("ringrift.consumer.>", 0), republish=True)
    assert len(log.recent) == 1


LIMITS = [("KEPT_EVENTS_MAX", 3, 3), ("KEPT_BYTES_MAX", 25, 2), ("KEPT_SECONDS", 3.5, 4)]


@pytest.mark.parametrize(("name", "limit", "left"), LIMITS)
def test_what_is_kept_is_bounded(clock, monkeypatch, name, limit, left):
    monkeypatch.setattr(f"ringrift.log.recent.{name}", limit)
    recent = Recent(clock)
    for number in range(10):
        clock.now += 1.0
        recent.add([note(number)], [number], [10])
    assert len(recent) == left


@pytest.mark.parametrize("more", [0, 1, 2, 3])
async def test_a_follower_is_notified_that_events_it_read_are_lost(log, clock, more):
    await write(log, clock, *(note(number) for number in range(4)))
    followed = log.follow("EVENTS")
    for _ in range(4):
        await anext(followed)
    log.broker.crash(unsynced_seconds=1.5)
    await write(log, clock, *(note(10 + number) for number in range(more)))
    with pytest.raises(LogRewound):
        await asyncio.wait_for(anext(followed), 5)


async def test_a_follower_that_read_none_of_the_lost_events_continues(log, clock):
    await write(log, clock, *(note(number) for number in range(4)))
    followed = log.follow("EVENTS", start_seq=3)
    log.broker.crash(unsynced_seconds=1.5)
    await write(log, clock, note(10))
    await write(log, clock, note(11))
    assert (await asyncio.wait_for(anext(followed), 5)).id == note(10).id
