"""Blobs: verified, replaced, deleted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable

import pytest
import structlog.testing

from ringrift.log.blobs import CHUNK_BYTES, Blobs
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 17])
async def test_a_blob_is_returned_by_its_digest(connect: Connect, size: int) -> None:
    blobs = Blobs(await connect())
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


async def test_a_damaged_blob_is_not_returned(connect: Connect) -> None:
    log = await connect()
    blobs = Blobs(log)
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


async def test_a_named_blob_is_replaced_completely(connect: Connect) -> None:
    log = await connect()
    blobs = Blobs(log)
    name = "checkpoint of training-1 \N{SNOWMAN}"
    with pytest.raises(BlobMissing):
        await blobs.get_named("checkpoints", name)
    for content in (b"first", b"second", os.urandom(CHUNK_BYTES + 1)):
        await blobs.put_named("checkpoints", name, content)
        assert await blobs.get_named("checkpoints", name) == content
    assert await blobs.names("checkpoints") == [name]
    assert len(await log.subjects("OBJ_checkpoints", "$O.checkpoints.C.>")) == 1


@pytest.mark.parametrize("record", ["M.x", "M.@", "M.eA", "M.eA==x", "M._w==", "M.a.b"])
async def test_a_name_that_is_not_ours_is_ignored(connect: Connect, record: str) -> None:
    log = await connect()
    blobs = Blobs(log)
    await blobs.put_named("folds", "ours", b"x")
    await log.publish("OBJ_folds", f"$O.folds.{record}", b"{}")
    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            assert await blobs.names("folds") == ["ours"]
    (line,) = said
    assert f"$O.folds.{record}" in line["subjects"]
    await log.purge("OBJ_folds", f"$O.folds.{record}")


async def test_a_replaced_blob_leaves_one_record(connect: Connect) -> None:
    log = await connect()
    for content in (b"one", b"two", b"three"):
        await Blobs(log).put_named("checkpoints", "replaced", content)
    record = "$O.checkpoints.M.cmVwbGFjZWQ="
    found = [e async for b in log.read("OBJ_checkpoints", filters=[record]) for e in b]
    assert len(found) == 1
    assert await Blobs(log).get_named("checkpoints", "replaced") == b"three"
