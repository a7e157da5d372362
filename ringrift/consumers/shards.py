"""Shards as a process meets them: which there are, and the bytes of each, made again from the log where a blob is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ringrift.consumers.process import Process
from ringrift.events import Fact, UndecodableEvent, decode, type_of
from ringrift.events.codec import EventMeta
from ringrift.events.facts import GameCompleted, ShardExported, ShardRecovered
from ringrift.learning.shards import ShardCounts, build_shard
from ringrift.nets.encoding import ENCODER
from ringrift.rules import Config
from ringrift.streams.errors import BlobCorrupt, BlobMissing
from ringrift.streams.log import Log


class ShardFact(NamedTuple):
    """A shard's fact and where it is in the log."""

    event: ShardExported
    meta: EventMeta


def encoder_version() -> str:
    """Version of the encoder that shards of this build are made with."""
    return ENCODER


def make_shard(config: str, games: Sequence[Fact]) -> tuple[bytes, ShardCounts]:
    """Bytes of the shard of these games, the same on every machine, and what is in it; games that only measure are left out."""
    chosen = [game for game in games if isinstance(game, GameCompleted) and game.origin != "tournament"]
    return build_shard(Config.parse(config), chosen)


async def exported_shards(log: Log) -> dict[str, list[ShardFact]]:
    """All shards of this build's encoder version, oldest first, by config."""
    found: dict[str, list[ShardFact]] = {}
    async for batch in log.read("EVENTS", filters=[type_of(ShardExported).subject_filter]):
        for entry in batch:
            event, meta = decode(entry.body, stream="EVENTS", seq=entry.seq)
            if isinstance(event, ShardExported) and event.encoder == encoder_version():
                found.setdefault(event.config, []).append(ShardFact(event, meta))
    return found


async def ensure_shards(process: Process, shards: dict[str, list[ShardFact]]) -> None:
    """Make every shard again that is not in the object store."""
    present = await process.blobs.names("shards")
    for facts in shards.values():
        for fact, _ in facts:
            if fact.digest not in present:
                await remake(process, fact)


async def shard_bytes(process: Process, fact: ShardExported) -> bytes:
    """The shard's bytes, from the store if they are there and whole, else from the games, which a fact tells."""
    try:
        return await process.blobs.get("shards", fact.digest)
    except (BlobMissing, BlobCorrupt) as error:
        process.logger.warning("shard is made again", digest=fact.digest, reason=str(error))
        data = await remake(process, fact)
        recovered = ShardRecovered(
            config=fact.config, digest=fact.digest, index=fact.index, reason=f"{type(error).__name__}: {error}", node=process.node
        )
        await process.log.append([process.draft(recovered, cause=None, key=f"{process.instance}.{fact.digest}")])
        return data


async def remake(process: Process, fact: ShardExported) -> bytes:
    """The shard made from its range of games once more and stored. Raises BlobCorrupt if it is not the same."""
    games: list[Fact] = []
    subject = f"ringrift.game.{fact.config}.completed"
    async for batch in process.log.read("GAMES", filters=[subject], start_seq=fact.first_seq, until_seq=fact.last_seq):
        for entry in batch:
            try:
                games.append(decode(entry.body, stream="GAMES", seq=entry.seq).event)
            except UndecodableEvent:
                continue  # was left out, and dead-lettered, when the shard was first made
    data, _ = await asyncio.to_thread(make_shard, fact.config, games)
    digest = await process.blobs.put("shards", data)
    if digest != fact.digest:
        raise BlobCorrupt(f"shard {fact.index} of {fact.config} came back as {digest}, its fact says {fact.digest}")
    return data
