"""Keeps exported shards up to date: rebuilds lost ones, replaces stale ones, deletes the blobs of
retired ones.

A shard is stale when some of its games were retracted or reanalysed after it was built. It is built
again from the same range of games; the new fact supersedes the old one, whose blob is deleted.
Every shard, superseded ones included, can be rebuilt from its fact."""

from typing import NamedTuple

from msgspec.structs import replace

from ringrift.consumers.shards.building import games_in, rebuild, retractions_until, store_shard
from ringrift.events import EventMeta, Fact, Recorded
from ringrift.events.facts import GamesRetracted, ReanalysisFinished, ShardExported, ShardRetired
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS, GAMES, SHARD_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.runtime.process import Process

Change = GamesRetracted | ReanalysisFinished
READS = (ShardExported, ShardRetired, GamesRetracted, ReanalysisFinished)


class Stale(NamedTuple):
    """A shard and the newest event that made it stale. `reanalysed`: some of its games may have
    newer targets."""

    shard: Recorded[ShardExported]
    cause: EventMeta
    reanalysed: bool

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it: the shard's digest and the sequence of the event."""
        return self.shard.event.digest, self.cause.seq


class ShardsInForce:
    """The shards of this build's encoder that are in force, and the retracted and reanalysed
    games."""

    def __init__(self) -> None:
        self.shards: dict[tuple[str, int], Recorded[ShardExported]] = {}
        """by config and index"""
        self.obsolete: set[str] = set()
        """digests of superseded and retired shards"""
        self.changes: dict[str, list[Recorded[Change]]] = {}
        """retractions and reanalyses by config, in the order of the log"""
        self.unchanged: set[tuple[str, int]] = set()
        """keys of stale shards that were built again with the same bytes"""

    def take(self, event: Fact, meta: EventMeta) -> None:
        """Fold one event; events come in the order of the log."""
        match event:
            case ShardExported() if event.encoder == ENCODER:
                self.shards[event.config, event.index] = Recorded(event, meta)
                if event.supersedes:
                    self.obsolete.add(event.supersedes)
            case ShardRetired():
                kept = self.shards.get((event.config, event.index))
                # a retirement decided before the shard was replaced concerns the old blob only
                if kept is not None and kept.event.digest == event.digest:
                    del self.shards[event.config, event.index]
                self.obsolete.add(event.digest)
            case ReanalysisFinished(games=0):
                pass  # no game has new targets
            case GamesRetracted() | ReanalysisFinished():
                self.changes.setdefault(event.config, []).append(Recorded(event, meta))

    def by_digest(self) -> dict[str, ShardExported]:
        """Shards in force by digest."""
        return {fact.digest: fact for fact, _ in self.shards.values()}

    def stale(self) -> list[Stale]:
        """Stale shards, oldest first."""
        found = [item for fact in self.shards.values() if (item := self._stale(fact)) is not None]
        return [item for item in found if item.key not in self.unchanged]

    def _stale(self, fact: Recorded[ShardExported]) -> Stale | None:
        shard = fact.event
        known = self.changes.get(shard.config, [])
        changes = [change for change in known if _overlap(change.event, shard)]
        if not changes or changes[-1].meta.seq <= shard.events_seq:
            return None
        reanalysed = any(isinstance(event, ReanalysisFinished) for event, _ in changes)
        return Stale(fact, changes[-1].meta, reanalysed)


def _overlap(event: Change, shard: ShardExported) -> bool:
    return event.first_seq <= shard.last_seq and shard.first_seq <= event.last_seq


async def keep_current(process: Process) -> None:
    """Bring the shards up to date, then revise them as events arrive, until cancelled.
    Raises ConcurrencyError."""
    shards = ShardsInForce()
    tail = await process.log.tail(EVENTS)
    async for event, meta in read.facts(process.log, *READS, until=tail):
        shards.take(event, meta)
    await _restore(process, shards)
    await revise(process, shards)
    async for event, meta in read.follow(process.log, *READS, after=tail):
        shards.take(event, meta)
        if isinstance(event, ShardRetired):
            await _delete(process, shards, event.digest)
        else:
            await revise(process, shards)


async def _restore(process: Process, shards: ShardsInForce) -> None:
    """Rebuild the shards in force that have no blob, and delete the blobs of obsolete ones."""
    stored, in_force = set(await process.blobs.names(SHARD_BUCKET)), shards.by_digest()
    for digest, fact in in_force.items():
        if digest not in stored:
            await rebuild(process, fact)
    for digest in sorted(stored & shards.obsolete):
        await _delete(process, shards, digest)


async def _delete(process: Process, shards: ShardsInForce, digest: str) -> None:
    """Delete the blob of an obsolete shard, unless a shard in force has the same bytes."""
    if digest in shards.by_digest():
        return
    try:
        await process.blobs.delete(SHARD_BUCKET, digest)
        process.logger.info("shard deleted", digest=digest)
    except StreamError as error:  # the next start tries again
        process.logger.warning("shard not deleted", digest=digest, error=str(error))


async def revise(process: Process, shards: ShardsInForce) -> None:
    """Replace each stale shard. Raises ConcurrencyError if another exporter does so too."""
    for item in shards.stale():
        old = item.shard.event
        targets_seq = await process.log.tail(GAMES) if item.reanalysed else 0
        retractions = await retractions_until(process.log, old.config, item.cause.seq)
        games, total = await games_in(process.log, old, retractions, targets_seq)
        shard = await store_shard(process, old.config, games)
        # the change may not concern any of its games, or the new targets equal the old
        if shard.digest == old.digest:
            shards.unchanged.add(item.key)
            continue
        fact = replace(
            old,
            **shard._asdict(),
            supersedes=old.digest,
            retracted=total - len(games),
            events_seq=item.cause.seq,
            targets_seq=targets_seq,
            samples_added=max(0, shard.samples - old.samples) if old.imported else 0,
        )
        draft = process.draft(fact, cause=item.cause.position, key=f"{old.encoder}.{old.digest}")
        newest = await process.log.last(EVENTS, draft.subject)
        expect = Expect(draft.subject, newest.seq if newest else 0)
        (seq,) = await process.log.append([draft], expect)
        process.logger.info("shard replaced", config=old.config, index=old.index, seq=seq)
        shards.take(fact, draft.stored(EVENTS, seq))
        await _delete(process, shards, old.digest)
