"""Shards: a pure function of a range of `GAMES`, the retractions and the encoder, so that lost ones
can be rebuilt."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ringrift.deciders.loop.retraction import GameHead, retracted
from ringrift.events import Fact, Recorded, facts as f
from ringrift.learning.shards import GameRejected, ShardCounts, build_shard, check_game
from ringrift.learning.summary import summarise
from ringrift.log import read
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.topology import SHARD_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.rules import Config
from ringrift.runtime.process import Process


def make_shard(config: str, games: Sequence[Fact]) -> tuple[bytes, ShardCounts]:
    """The bytes of the shard of these games, equal on every machine, and counts of its content."""
    return build_shard(
        Config.parse(config), [game for game in games if isinstance(game, f.GameCompleted)]
    )


def is_learned_from(
    game: f.GameCompleted, *, people: bool = False, tournaments: bool = False
) -> bool:
    """Whether a game may be in a shard. Those of `tournaments`, which only measure strength, and of
    `people` are admitted by a setting."""
    admitted = {"human": people, "tournament": tournaments}
    return game.origin not in f.UNLEARNED or admitted[game.origin]


class StoredShard(NamedTuple):
    """A shard in the object store, with the fields of its fact that describe its content."""

    digest: str
    size_bytes: int
    samples: int
    summary: f.ShardSummary | None


async def store_shard(
    process: Process, config: str, games: Sequence[f.GameCompleted]
) -> StoredShard:
    """Build the shard of these games and store it."""
    data, counts = await asyncio.to_thread(make_shard, config, games)
    for name, reason in counts.rejected:
        process.logger.error("game left out", game=name, reason=reason)
    rejected = {name for name, _ in counts.rejected}
    summary = await asyncio.to_thread(summarise, games, rejected)
    digest = await process.blobs.put(SHARD_BUCKET, data)
    return StoredShard(digest, len(data), counts.samples, summary)


async def games_in(
    log: Log, shard: f.ShardExported, retractions: Sequence[f.GamesRetracted], targets_seq: int
) -> tuple[list[f.GameCompleted], int]:
    """The games of the shard's range of `GAMES`, with the targets known at `targets_seq`, and how
    many there were before retractions, without refused ones."""
    config, first, last, total = shard.config, shard.first_seq, shard.last_seq, 0
    refused = {seq for seqs in shard.refused.values() for seq in seqs}
    kept: dict[int, f.GameCompleted] = {}
    completed = read.facts(log, f.GameCompleted, scope=config, after=first - 1, until=last)
    named = {*shard.people, *shard.tournaments}
    async for game, meta in completed:
        learned = game.origin not in f.UNLEARNED or meta.seq in named
        if learned and meta.seq not in refused:
            total += 1
            if not retracted(retractions, game, meta.seq):
                kept[meta.seq] = game
    # games keep their first targets in `GAMES`; newer ones are facts behind them
    if targets_seq:
        requests = read.facts(log, f.ReanalysisRequested, scope=config)
        asked = {meta.position: request async for request, meta in requests}
        again = read.facts(log, f.GameReanalysed, scope=config, after=first - 1, until=targets_seq)
        async for event, meta in again:
            request, old = asked.get(meta.cause or ""), kept.get(event.game_seq)
            if request is None or old is None or _is_doubted(retractions, event, meta.seq):
                continue
            if request.first_seq <= event.game_seq <= request.last_seq:
                kept[event.game_seq] = _with_targets(old, event.targets)
    return list(kept.values()), total


def _is_doubted(retractions: Sequence[f.GamesRetracted], event: f.GameReanalysed, seq: int) -> bool:
    """Whether new targets are by a node whose games of that time are retracted."""
    head = GameHead(event.game, event.config, "reanalysis", event.ticket, event.node, ())
    return retracted([one for one in retractions if one.node], head, seq)


def _with_targets(game: f.GameCompleted, targets: bytes) -> f.GameCompleted:
    """The game with newer targets, unless they do not fit it."""
    try:
        check_game(newer := replace(game, targets=targets))
    except GameRejected:
        return game
    return newer


async def retractions_until(log: Log, config: str, until: int) -> list[f.GamesRetracted]:
    """Retractions of games of a config up to a sequence of `EVENTS`."""
    if not until:
        return []
    recorded = read.facts(log, f.GamesRetracted, scope=config, until=until)
    return [event async for event, _ in recorded]


async def rebuild(process: Process, fact: f.ShardExported) -> bytes:
    """Build a shard again from its range of games and store it. Raises BlobCorrupt if its bytes
    differ."""
    retractions = await retractions_until(process.log, fact.config, fact.events_seq)
    games, _ = await games_in(process.log, fact, retractions, fact.targets_seq)
    data, _ = await asyncio.to_thread(make_shard, fact.config, games)
    digest = await process.blobs.put(SHARD_BUCKET, data)
    if digest != fact.digest:
        which = f"shard {fact.index} of {fact.config}"
        raise BlobCorrupt(f"{which} was rebuilt as {digest}, but its fact says {fact.digest}")
    return data


async def exported_shards(log: Log) -> dict[str, list[Recorded[f.ShardExported]]]:
    """All shards of this build's encoder by config, oldest first."""
    found: dict[str, list[Recorded[f.ShardExported]]] = {}
    async for event, meta in read.facts(log, f.ShardExported):
        if event.encoder == ENCODER:
            found.setdefault(event.config, []).append(Recorded(event, meta))
    return found


async def shard_bytes(process: Process, fact: f.ShardExported) -> bytes:
    """The shard's bytes, rebuilt from its games if its blob is missing or corrupt; rebuilding is
    recorded."""
    try:
        return await process.blobs.get(SHARD_BUCKET, fact.digest)
    except (BlobMissing, BlobCorrupt) as error:
        reason = f"{type(error).__name__}: {error}"
    process.logger.warning("shard is rebuilt", digest=fact.digest, reason=reason)
    data = await rebuild(process, fact)
    recovered = f.ShardRecovered(
        config=fact.config, digest=fact.digest, index=fact.index, reason=reason, node=process.node
    )
    await process.append(recovered, key=f"{process.instance}.{fact.digest}")
    return data
