"""Leases: exclusive, fenced, renewed, taken over."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import ConcurrencyError, LeaseLost
from ringrift.log.leases import Pace, hold, try_acquire
from ringrift.log.protocol import Log

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]
_numbers = itertools.count()


@pytest.fixture
def role() -> str:
    return f"role{next(_numbers)}"


def note(role: str, text: str) -> list:
    event = ConsumerStarted(node=role, consumer="test", instance=text, version="1")
    return [draft(event, cause=None, source="test", key=role + text)]


async def test_a_released_lease_is_taken_over_at_once(connect: Connect, role: str) -> None:
    first, second = await connect(), await connect()
    order: list[str] = []

    async def hold_second() -> int:
        async with hold(second, role, "b", "test") as lease:
            order.append("b")
            return lease.token

    async with hold(first, role, "a", "test") as lease:
        order.append("a")
        waiting = asyncio.create_task(hold_second())
        assert await try_acquire(second, role, "c", "test") is None
        await first.append(note(role, "under the lease"), lease.expect)
        order.append("a again")
    async with asyncio.timeout(5):  # far less than the TTL
        token = await waiting
    assert order == ["a", "a again", "b"]
    assert token > lease.token


async def test_a_replaced_holder_cannot_append(connect: Connect, role: str) -> None:
    """A holder is paused, its key expires and another process takes over."""
    first, second = await connect(), await connect()
    paused = await try_acquire(first, role, "a", "test")
    assert paused is not None
    await second.purge("KV_leases", f"$KV.leases.{role}")  # as if it had expired
    taken = await try_acquire(second, role, "b", "test")
    assert taken is not None
    await second.append(note(role, "new holder"), taken[0].expect)
    with pytest.raises(ConcurrencyError) as caught:
        await first.append(note(role, "old holder"), paused[0].expect)
    assert (caught.value.expected, caught.value.actual) == (paused[0].token, taken[0].token)
    await taken[1].release()


async def test_a_process_overtaken_between_key_and_epoch_gets_no_lease(
    connect: Connect, role: str
) -> None:
    first, second = await connect(), await connect()

    class Slow:
        """A log whose process is paused right before it appends its epoch."""

        def __getattr__(self, name: str) -> object:
            return getattr(first, name)

        async def append(self, *args: object) -> list[int]:
            await second.purge("KV_leases", f"$KV.leases.{role}")
            assert await try_acquire(second, role, "b", "test") is not None
            return await first.append(*args)

    assert await try_acquire(Slow(), role, "a", "test") is None
    last = await first.last("EVENTS", f"ringrift.lease.{role}.acquired")
    assert b'"holder":"b"' in last.body
    key = await first.last("KV_leases", f"$KV.leases.{role}")
    assert b'"holder":"b"' in key.body, "the loser must not release the winner's key"


async def test_a_holder_is_notified_that_it_was_replaced(connect: Connect, role: str) -> None:
    log = await connect()

    async def live() -> None:
        async with asyncio.timeout(10), hold(log, role, "a", "test", pace=Pace(renew=0.05)):
            await log.publish("KV_leases", f"$KV.leases.{role}", b"someone else")
            await asyncio.sleep(10)

    with pytest.raises(LeaseLost, match="another holder"):
        await live()


async def test_a_holder_is_notified_that_it_could_not_renew(connect: Connect, role: str) -> None:
    log = await connect()
    pace = Pace(renew=0.05, sure=0.2)

    class Deaf:
        """A log that publishes the key once and never answers again."""

        asked = 0

        def __getattr__(self, name: str) -> object:
            return getattr(log, name)

        async def publish(self, *args: object, **options: object) -> int:
            self.asked += 1
            if self.asked > 1:
                await asyncio.sleep(60)
            return await log.publish(*args, **options)

    with pytest.raises(LeaseLost, match="not renewed"):
        async with asyncio.timeout(10), hold(Deaf(), role, "a", "test", pace=pace):
            await asyncio.sleep(10)


async def test_the_holder_renews_and_keeps_its_token(connect: Connect, role: str) -> None:
    log = await connect()
    async with hold(log, role, "a", "test", pace=Pace(renew=0.02)) as lease:
        key = await log.last("KV_leases", f"$KV.leases.{role}")
        async with asyncio.timeout(10):
            async for renewed in log.follow(
                "KV_leases", filters=[key.subject], start_seq=key.seq + 1
            ):
                if renewed.seq > key.seq + 2:
                    break
        await log.append(note(role, "still"), lease.expect)
    assert (await log.last("KV_leases", key.subject)).body == b""


async def test_a_key_is_released_after_a_renewal_without_an_answer(
    connect: Connect, role: str
) -> None:
    log = await connect()
    acquired = await try_acquire(log, role, "a", "test")
    assert acquired is not None
    taken = await log.last("KV_leases", f"$KV.leases.{role}")
    await log.publish(
        "KV_leases", taken.subject, taken.body, expect_last=taken.seq, kept_seconds=15
    )
    await acquired[1].release()
    assert (await log.last("KV_leases", taken.subject)).body == b""
    assert await try_acquire(log, role, "b", "test") is not None


async def test_a_cancelled_holder_does_not_lose_its_lease(connect: Connect, role: str) -> None:
    log = await connect()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), hold(log, role, "a", "test"):
            await asyncio.sleep(10)
    assert await try_acquire(log, role, "b", "test") is not None
