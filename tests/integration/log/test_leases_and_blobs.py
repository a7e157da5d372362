"""Leases fence, and blobs come back as they were or not at all: in memory, on one server, on
three."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from collections.abc import Awaitable, Callable

import pytest

from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log import leases
from ringrift.log.blobs import CHUNK_BYTES, ObjectBlobs
from ringrift.log.errors import BlobCorrupt, BlobMissing, ConcurrencyError, LeaseLost
from ringrift.log.leases import hold, try_acquire
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


async def test_one_holds_the_other_takes_over_at_once_when_it_is_released(
    connect: Connect, role: str
) -> None:
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
    async with asyncio.timeout(5):  # far less than the lease would live
        token = await waiting
    assert order == ["a", "a again", "b"]
    assert token > lease.token


async def test_who_was_overtaken_cannot_write(connect: Connect, role: str) -> None:
    """A holder is paused, its key expires, another takes over: the log refuses what the first still
    wants to write."""
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


async def test_who_is_overtaken_between_key_and_epoch_gets_no_lease(
    connect: Connect, role: str
) -> None:
    first, second = await connect(), await connect()

    class Slow:
        """A log whose owner is paused right before it appends its epoch."""

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


async def test_a_holder_that_is_overtaken_is_told(
    connect: Connect, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    log = await connect()

    async def live() -> None:
        async with asyncio.timeout(10), hold(log, role, "a", "test"):
            await log.publish("KV_leases", f"$KV.leases.{role}", b"someone else")
            await asyncio.sleep(10)

    with pytest.raises(LeaseLost, match="another holder"):
        await live()


async def test_a_holder_that_cannot_renew_is_told(
    connect: Connect, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(leases, "SURE_SECONDS", 0.2)
    log = await connect()

    class Deaf:
        """A log that takes the key once and never answers again."""

        asked = 0

        def __getattr__(self, name: str) -> object:
            return getattr(log, name)

        async def publish(self, *args: object, **options: object) -> int:
            self.asked += 1
            if self.asked > 1:
                await asyncio.sleep(60)
            return await log.publish(*args, **options)

    with pytest.raises(LeaseLost, match="not renewed"):
        async with asyncio.timeout(10), hold(Deaf(), role, "a", "test"):
            await asyncio.sleep(10)


async def test_the_holder_renews_and_keeps_its_token(
    connect: Connect, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    log = await connect()
    async with hold(log, role, "a", "test") as lease:
        key = await log.last("KV_leases", f"$KV.leases.{role}")
        async with asyncio.timeout(10):
            async for renewed in log.follow(
                "KV_leases", filters=[key.subject], start_seq=key.seq + 1
            ):
                if renewed.seq > key.seq + 2:
                    break
        await log.append(note(role, "still"), lease.expect)
    assert (await log.last("KV_leases", key.subject)).body == b""


async def test_a_renewal_without_an_answer_does_not_keep_the_key_from_being_released(
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


async def test_cancelling_the_holder_is_no_loss(connect: Connect, role: str) -> None:
    log = await connect()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), hold(log, role, "a", "test"):
            await asyncio.sleep(10)
    assert await try_acquire(log, role, "b", "test") is not None


# blobs


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 17])
async def test_a_blob_comes_back_by_its_digest(connect: Connect, size: int) -> None:
    blobs = ObjectBlobs(await connect())
    data = os.urandom(size)
    digest = await blobs.put("models", data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await blobs.put("models", data) == digest
    assert await blobs.get("models", digest) == data
    assert await blobs.has("models", digest)
    assert digest in await blobs.names("models")
    await blobs.delete("models", digest)
    await blobs.delete("models", digest)
    assert not await blobs.has("models", digest)
    assert digest not in await blobs.names("models")
    with pytest.raises(BlobMissing, match=digest):
        await blobs.get("models", digest)
    await blobs.put("models", data)
    assert await blobs.get("models", digest) == data


async def test_a_damaged_blob_is_not_handed_out(connect: Connect) -> None:
    log = await connect()
    blobs = ObjectBlobs(log)
    digest = await blobs.put("shards", b"samples")
    (chunk,) = await log.subjects("OBJ_shards", "$O.shards.C.>")
    await log.purge("OBJ_shards", chunk)
    with pytest.raises(BlobCorrupt, match=digest):
        await blobs.get("shards", digest)
    await log.publish("OBJ_shards", chunk, b"sampled")
    with pytest.raises(BlobCorrupt, match=digest):
        await blobs.get("shards", digest)
    await blobs.delete("shards", digest)
    assert await blobs.put("shards", b"samples") == digest
    assert await blobs.get("shards", digest) == b"samples"
    await blobs.put_named("shards", "0" * 64, b"under another name")
    with pytest.raises(BlobCorrupt):
        await blobs.get("shards", "0" * 64)


async def test_a_named_blob_is_replaced_and_leaves_nothing_behind(connect: Connect) -> None:
    log = await connect()
    blobs = ObjectBlobs(log)
    name = "checkpoint of training-1 \N{SNOWMAN}"
    with pytest.raises(BlobMissing):
        await blobs.get_named("snapshots", name)
    for content in (b"first", b"second", os.urandom(CHUNK_BYTES + 1)):
        await blobs.put_named("snapshots", name, content)
        assert await blobs.get_named("snapshots", name) == content
    assert await blobs.names("snapshots") == [name]
    assert len(await log.subjects("OBJ_snapshots", "$O.snapshots.C.>")) == 1
