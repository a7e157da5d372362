"""The log in memory on a clock that the test moves: windows, expiry, redelivery.

The behaviour suite tests what all logs have in common."""

from __future__ import annotations

import asyncio

import pytest

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import LogUnavailable
from ringrift.log.leases import try_acquire
from ringrift.log.topology import EVENT_IDS_SECONDS, EVENTS, LEASE_SECONDS, WORK_ACK_SECONDS
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

WHERE = "ringrift.work.selfplay.5.hex8_2p"


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self.broker: MemoryBroker | None = None

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        assert self.broker is not None
        self.broker.wake()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> MemoryLog:
    clock.broker = MemoryBroker(clock)
    return MemoryLog(clock.broker)


def event(key: str) -> Draft:
    return draft(
        ConsumerStarted(node="n", consumer="c", instance=key, version="1"),
        cause=None,
        source="t",
        key=key,
    )


async def test_an_id_is_known_for_the_window_and_no_longer(log: MemoryLog, clock: Clock) -> None:
    assert await log.append([event("a")]) == [1]
    clock.advance(EVENT_IDS_SECONDS)
    assert await log.append([event("a")]) == [1]
    clock.advance(1)
    assert await log.append([event("a")]) == [2]


async def test_messages_expire(log: MemoryLog, clock: Clock) -> None:
    key = "$KV.leases.planner"
    await log.publish("KV_leases", key, b"mine", kept_seconds=15)
    clock.advance(14)
    assert await log.last("KV_leases", key) is not None
    clock.advance(1)
    marker = await log.last("KV_leases", key)
    assert marker is not None
    assert marker.body == b""
    clock.advance(1)
    assert await log.last("KV_leases", key) is None
    assert await log.tail("KV_leases") == 2


async def test_a_ticket_of_a_silent_worker_is_redelivered(log: MemoryLog, clock: Clock) -> None:
    await log.publish_ticket(WHERE, b"job", "t1")
    first = await log.next_ticket("selfplay", wait_seconds=0)
    assert first is not None
    waiting = asyncio.create_task(log.next_ticket("selfplay", wait_seconds=1000))
    await asyncio.sleep(0)
    clock.advance(WORK_ACK_SECONDS - 1)
    await first.in_progress()
    clock.advance(WORK_ACK_SECONDS - 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(1)
    second = await waiting
    assert second is not None
    assert (second.seq, second.deliveries) == (first.seq, 2)


async def test_a_lease_expires_and_leaves_a_higher_token(log: MemoryLog, clock: Clock) -> None:
    first = await try_acquire(log, "planner", "a", "t")
    assert first is not None
    clock.advance(LEASE_SECONDS - 1)
    assert await try_acquire(log, "planner", "b", "t") is None
    clock.advance(1)
    second = await try_acquire(log, "planner", "b", "t")
    assert second is not None
    assert second[0].token > first[0].token
    assert second[0].expect.last_seq == second[0].token


async def test_a_closed_log_is_unavailable(log: MemoryLog) -> None:
    following = asyncio.create_task(anext(log.follow(EVENTS)))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogUnavailable):
        await following
    with pytest.raises(LogUnavailable):
        await log.append([event("a")])
