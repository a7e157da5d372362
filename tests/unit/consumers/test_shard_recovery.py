"""A shard whose blob is lost comes back from the games, and a fact tells it; one that is there is
just read."""

from __future__ import annotations

from typing import Any

import pytest

from ringrift.consumers.shards import building, stored
from ringrift.events import decode
from ringrift.events.facts import ShardExported, ShardRecovered
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.errors import BlobCorrupt
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime.process import Process


async def exported(process: Process, monkeypatch: pytest.MonkeyPatch, data: bytes) -> ShardExported:
    """The fact of a shard of no games, which `make_shard` turns into `data`; its blob is not
    stored."""
    monkeypatch.setattr(building, "make_shard", lambda config, games: (data, None))
    digest = await ObjectBlobs(MemoryLog(MemoryBroker())).put("shards", data)
    return ShardExported(
        config="hex8_2p",
        encoder="e",
        index=3,
        first_seq=1,
        last_seq=1,
        games=1,
        samples=1,
        rejected=0,
        digest=digest,
        size_bytes=len(data),
    )


@pytest.fixture
def process() -> Process:
    log = MemoryLog(MemoryBroker())
    return Process("trainer", "test", log)


async def told(process: Process) -> list[Any]:
    read = process.log.read("EVENTS")
    return [
        decode(entry.body, stream="EVENTS", seq=entry.seq).event
        async for batch in read
        for entry in batch
    ]


async def test_a_lost_shard_is_made_again_and_that_is_told(process, monkeypatch) -> None:
    fact = await exported(process, monkeypatch, b"shard")
    assert await stored.shard_bytes(process, fact) == b"shard"
    (recovered,) = await told(process)
    assert isinstance(recovered, ShardRecovered)
    assert (recovered.digest, recovered.index) == (fact.digest, 3)
    assert await stored.shard_bytes(process, fact) == b"shard"
    assert len(await told(process)) == 1


async def test_a_shard_that_is_there_is_read(process, monkeypatch) -> None:
    fact = await exported(process, monkeypatch, b"shard")
    await process.blobs.put("shards", b"shard")
    assert await stored.shard_bytes(process, fact) == b"shard"
    assert await told(process) == []


async def test_a_shard_that_comes_back_otherwise_is_refused_and_nothing_is_told(
    process, monkeypatch
) -> None:
    fact = await exported(process, monkeypatch, b"shard")
    monkeypatch.setattr(building, "make_shard", lambda config, games: (b"other", None))
    with pytest.raises(BlobCorrupt):
        await stored.shard_bytes(process, fact)
    assert await told(process) == []
