"""Exported shards and their bytes."""

from __future__ import annotations

from typing import NamedTuple

from ringrift.consumers.shards.building import rebuild
from ringrift.events import EventMeta
from ringrift.events.facts import ShardExported, ShardRecovered
from ringrift.log import read
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.topology import SHARD_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.runtime.process import Process


class ShardFact(NamedTuple):
    """A shard's fact and its place in the log."""

    event: ShardExported
    meta: EventMeta


async def exported_shards(log: Log) -> dict[str, list[ShardFact]]:
    """All shards of this build's encoder by config, oldest first."""
    found: dict[str, list[ShardFact]] = {}
    async for event, meta in read.facts(log, ShardExported):
        if event.encoder == ENCODER:
            found.setdefault(event.config, []).append(ShardFact(event, meta))
    return found


async def shard_bytes(process: Process, fact: ShardExported) -> bytes:
    """The shard's bytes, rebuilt from its games if its blob is missing or corrupt; rebuilding is
    recorded."""
    try:
        return await process.blobs.get(SHARD_BUCKET, fact.digest)
    except (BlobMissing, BlobCorrupt) as error:
        reason = f"{type(error).__name__}: {error}"
    process.logger.warning("shard is rebuilt", digest=fact.digest, reason=reason)
    data = await rebuild(process, fact)
    recovered = ShardRecovered(
        config=fact.config, digest=fact.digest, index=fact.index, reason=reason, node=process.node
    )
    await process.record(recovered, f"{process.instance}.{fact.digest}")
    return data
