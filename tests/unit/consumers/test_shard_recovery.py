"""Shards whose blob is lost are rebuilt from their games."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.shard_system import ShardSystem
from support.system import System, running

from ringrift.consumers import exporter
from ringrift.consumers.shards.building import shard_bytes
from ringrift.events.facts import ShardExported, ShardRecovered
from ringrift.log.errors import BlobCorrupt
from ringrift.runtime.process import Process


@pytest.fixture
async def shards(system: System) -> ShardSystem:
    found = ShardSystem(system)
    await found.start()
    return found


@pytest.fixture
async def trainer(system: System) -> Process:
    return system.process("trainer")


async def lost(shards: ShardSystem) -> ShardExported:
    """A shard without its blob."""
    fact = (await shards.shards())[0]
    await shards.blobs.delete("shards", fact.digest)
    return fact


async def test_a_lost_shard_is_rebuilt_once_and_recorded(
    shards: ShardSystem, trainer: Process
) -> None:
    fact = await lost(shards)
    for _ in range(2):
        assert await shard_bytes(trainer, fact) == shards.bytes_of(*shards.games[:2])
    (recovered,) = await shards.system.facts(ShardRecovered)
    assert (recovered.digest, recovered.index) == (fact.digest, 0)


async def test_a_stored_shard_is_read(shards: ShardSystem, trainer: Process) -> None:
    (fact, _) = await shards.shards()
    assert await shard_bytes(trainer, fact) == shards.bytes_of(*shards.games[:2])
    assert await shards.system.facts(ShardRecovered) == []


async def test_a_shard_that_is_rebuilt_with_other_bytes_is_refused(
    shards: ShardSystem, trainer: Process
) -> None:
    fact = replace(await lost(shards), digest="0" * 64)
    with pytest.raises(BlobCorrupt, match="was rebuilt as"):
        await shard_bytes(trainer, fact)
    assert await shards.system.facts(ShardRecovered) == []


async def test_an_exporter_rebuilds_lost_shards_when_it_starts(shards: ShardSystem) -> None:
    fact = await lost(shards)
    async with running(exporter.main(shards.exporter)), asyncio.timeout(60.0):
        while not await shards.blobs.has("shards", fact.digest):  # noqa: ASYNC110
            await asyncio.sleep(1.0)
    assert await shards.system.facts(ShardRecovered) == []
