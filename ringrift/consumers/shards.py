"""Shards as a process meets them: which there are, and the bytes of each, made again from the log
where a blob is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ringrift.deciders.loop.retraction import retracted
from ringrift.events import Fact
from ringrift.events.codec import EventMeta
from ringrift.events.facts import (
    GameCompleted,
    GameReanalysed,
    GamesRetracted,
    ShardExported,
    ShardRecovered,
)
from ringrift.learning.shards import ShardCounts, build_shard
from ringrift.log import read
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.nets.encoding import ENCODER
from ringrift.rules import Config
from ringrift.runtime.process import Process


class ShardFact(NamedTuple):
    """A shard's fact and where it is in the log."""

    event: ShardExported
    meta: EventMeta


def encoder_version() -> str:
    """Version of the encoder that shards of this build are made with."""
    return ENCODER


def make_shard(config: str, games: Sequence[Fact]) -> tuple[bytes, ShardCounts]:
    """Bytes of the shard of these games, the same on every machine, and what is in it; games that
    only measure are left out."""
    chosen = [
        game for game in games if isinstance(game, GameCompleted) and game.origin != "tournament"
    ]
    return build_shard(Config.parse(config), chosen)


async def exported_shards(log: Log) -> dict[str, list[ShardFact]]:
    """All shards of this build's encoder version, oldest first, by config."""
    found: dict[str, list[ShardFact]] = {}
    async for event, meta in read.facts(log, ShardExported):
        if event.encoder == encoder_version():
            found.setdefault(event.config, []).append(ShardFact(event, meta))
    return found


async def shard_bytes(process: Process, fact: ShardExported) -> bytes:
    """The shard's bytes, from the store if they are there and whole, else from the games, which a
    fact tells."""
    try:
        return await process.blobs.get("shards", fact.digest)
    except (BlobMissing, BlobCorrupt) as error:
        process.logger.warning("shard is made again", digest=fact.digest, reason=str(error))
        data = await remake(process, fact)
        recovered = ShardRecovered(
            config=fact.config,
            digest=fact.digest,
            index=fact.index,
            reason=f"{type(error).__name__}: {error}",
            node=process.node,
        )
        await process.log.append(
            [process.draft(recovered, cause=None, key=f"{process.instance}.{fact.digest}")]
        )
        return data


class RangeOfGames(NamedTuple):
    """The games of a range that a shard is made of, with their newest targets; `total` with the
    `retracted` ones, which are not."""

    games: list[GameCompleted]
    total: int
    retracted: int


async def games_in(
    log: Log,
    config: str,
    first_seq: int,
    last_seq: int,
    retractions: Sequence[GamesRetracted],
    targets_seq: int,
) -> RangeOfGames:
    """The games from `first_seq` to `last_seq` of `GAMES`, without those retracted, with the
    targets known at `targets_seq`."""
    found: list[GameCompleted] = []
    total = 0
    async for event, meta in read.facts(
        log, GameCompleted, scope=config, after=first_seq - 1, until=last_seq
    ):
        if event.origin != "tournament":
            total += 1
            if not retracted(retractions, event, meta.seq):
                found.append(event)
    newest: dict[str, bytes] = {}
    if targets_seq:
        async for reanalysed, _ in read.facts(
            log, GameReanalysed, scope=config, after=first_seq - 1, until=targets_seq
        ):
            newest[reanalysed.game] = reanalysed.targets
    games = [
        replace(game, targets=newest[game.game]) if game.game in newest else game for game in found
    ]
    return RangeOfGames(games, total, total - len(found))


async def retractions_until(log: Log, config: str, until_seq: int) -> list[GamesRetracted]:
    """Retractions of games of a config up to a sequence of `EVENTS`."""
    if not until_seq:
        return []
    retractions = read.facts(log, GamesRetracted, scope=config, until=until_seq)
    return [event async for event, _ in retractions]


async def remake(process: Process, fact: ShardExported) -> bytes:
    """The shard made from its range of games once more and stored. Raises BlobCorrupt if it is not
    the same."""
    retractions = await retractions_until(process.log, fact.config, fact.events_seq)
    games, _, _ = await games_in(
        process.log, fact.config, fact.first_seq, fact.last_seq, retractions, fact.targets_seq
    )
    data, _ = await asyncio.to_thread(make_shard, fact.config, games)
    digest = await process.blobs.put("shards", data)
    if digest != fact.digest:
        raise BlobCorrupt(
            f"shard {fact.index} of {fact.config} came back as {digest}, its fact says {fact.digest}"
        )
    return data
