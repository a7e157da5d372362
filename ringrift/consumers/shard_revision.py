"""Keeps the shards that there are as they should be: what is lost comes back, what was retracted or
reanalysed is replaced.

A shard with games that are retracted, or that have newer targets, is made again from the same range
of games; its fact supersedes the old one's, whose blob is deleted. A retired shard's blob is
deleted too. All of them can be made again from their facts."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ringrift.consumers.shards import ShardFact, encoder_version, games_in, make_shard, remake
from ringrift.events import EventMeta, Fact
from ringrift.events.facts import GamesRetracted, ReanalysisFinished, ShardExported, ShardRetired
from ringrift.learning.summary import summarise
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS, GAMES, SHARD_BUCKET
from ringrift.runtime.process import Process

READ = (ShardExported, ShardRetired, GamesRetracted, ReanalysisFinished)


class Stale(NamedTuple):
    """A shard that is not as it should be, and the newest event that made it so.

    `reanalysed`: some of its games may have newer targets."""

    shard: ShardFact
    cause: EventMeta
    reanalysed: bool


class Ledger:
    """The shards in force by config and index, and what was retracted and reanalysed."""

    def __init__(self) -> None:
        self.shards: dict[str, dict[int, ShardFact]] = {}
        self.gone: set[str] = set()
        """shards that are superseded or retired, by digest"""
        self.retractions: dict[str, list[tuple[GamesRetracted, EventMeta]]] = {}
        self.reanalyses: dict[str, list[tuple[ReanalysisFinished, EventMeta]]] = {}
        self._fresh: set[tuple[str, int]] = set()

    def take(self, event: Fact, meta: EventMeta) -> None:
        """Take in one event, in the order of the log."""
        match event:
            case ShardExported() if event.encoder == encoder_version():
                self.shards.setdefault(event.config, {})[event.index] = ShardFact(event, meta)
                if event.supersedes:
                    self.gone.add(event.supersedes)
            case ShardRetired():
                kept = self.shards.get(event.config, {})
                if event.index in kept and kept[event.index].event.digest == event.digest:
                    del kept[event.index]
                self.gone.add(event.digest)
            case GamesRetracted():
                self.retractions.setdefault(event.config, []).append((event, meta))
            case ReanalysisFinished() if event.games:
                self.reanalyses.setdefault(event.config, []).append((event, meta))

    def live(self) -> dict[str, ShardExported]:
        """Shards in force by digest."""
        return {
            fact.event.digest: fact.event
            for facts in self.shards.values()
            for fact in facts.values()
        }

    def stale(self) -> list[Stale]:
        """Shards with games that were retracted or reanalysed after they were made, oldest
        first."""
        found = []
        for config, facts in self.shards.items():
            for fact in facts.values():
                item = self._stale(config, fact)
                if item and (fact.event.digest, item.cause.seq) not in self._fresh:
                    found.append(item)
        return found

    def settle(self, item: Stale) -> None:
        """Note that making it again gives the same shard."""
        self._fresh.add((item.shard.event.digest, item.cause.seq))

    def retracted_by(self, item: Stale) -> list[GamesRetracted]:
        """The retractions that it is to heed."""
        known = self.retractions.get(item.shard.event.config, [])
        return [event for event, meta in known if meta.seq <= item.cause.seq]

    def _stale(self, config: str, fact: ShardFact) -> Stale | None:
        shard = fact.event
        retractions = [
            meta for event, meta in self.retractions.get(config, []) if _meets(event, shard)
        ]
        reanalyses = [
            meta for event, meta in self.reanalyses.get(config, []) if _meets(event, shard)
        ]
        newest = max((*retractions, *reanalyses), key=lambda meta: meta.seq, default=None)
        return (
            None
            if newest is None or newest.seq <= shard.events_seq
            else Stale(fact, newest, bool(reanalyses))
        )


def _meets(event: GamesRetracted | ReanalysisFinished, shard: ShardExported) -> bool:
    return event.first_seq <= shard.last_seq and shard.first_seq <= event.last_seq


async def keep(process: Process) -> None:
    """Bring the shards in order, then revise them as facts come, until told to stop. Raises
    ConcurrencyError."""
    ledger, tail = Ledger(), await process.log.tail(EVENTS)
    async for event, meta in read.facts(process.log, *READ, until=tail):
        ledger.take(event, meta)
    await _restore(process, ledger)
    await revise(process, ledger)
    async for event, meta in process.until_stopped(read.follow(process.log, *READ, after=tail)):
        ledger.take(event, meta)
        if isinstance(event, ShardRetired):
            await _delete(process, ledger, event.digest)
        else:
            await revise(process, ledger)


async def _restore(process: Process, ledger: Ledger) -> None:
    """Make every shard in force again that is not in the object store; delete those that are
    gone."""
    present, live = set(await process.blobs.names(SHARD_BUCKET)), ledger.live()
    for digest, fact in live.items():
        if digest not in present:
            await remake(process, fact)
    for digest in sorted(present & ledger.gone):
        await _delete(process, ledger, digest)


async def _delete(process: Process, ledger: Ledger, digest: str) -> None:
    """Delete the blob of a shard that is gone; one of the same bytes may be in force."""
    if digest in ledger.live():
        return
    try:
        await process.blobs.delete(SHARD_BUCKET, digest)
        process.logger.info("shard deleted", digest=digest)
    except StreamError as error:  # tried again at the next start: it only takes room
        process.logger.warning("shard not deleted", digest=digest, error=str(error))


async def revise(process: Process, ledger: Ledger) -> None:
    """Put another shard in the place of each that is stale. Raises ConcurrencyError when another
    exporter does so too."""
    for item in ledger.stale():
        old = item.shard.event
        targets_seq = await process.log.tail(GAMES) if item.reanalysed else 0
        games, total, left_out = await games_in(
            process.log,
            old.config,
            old.first_seq,
            old.last_seq,
            ledger.retracted_by(item),
            targets_seq,
        )
        data, counts = await asyncio.to_thread(make_shard, old.config, games)
        digest = await process.blobs.put(SHARD_BUCKET, data)
        if digest == old.digest:
            ledger.settle(item)
            continue
        summary = await asyncio.to_thread(summarise, games, {game for game, _ in counts.rejected})
        fact = ShardExported(
            config=old.config,
            encoder=old.encoder,
            index=old.index,
            first_seq=old.first_seq,
            last_seq=old.last_seq,
            games=total,
            samples=counts.samples,
            rejected=len(counts.rejected),
            digest=digest,
            size_bytes=len(data),
            summary=summary,
            supersedes=old.digest,
            retracted=left_out,
            events_seq=item.cause.seq,
            targets_seq=targets_seq,
        )
        draft = process.draft(fact, cause=item.cause.position, key=f"{old.encoder}.{old.digest}")
        newest = await process.log.last(EVENTS, draft.subject)
        (seq,) = await process.log.append(
            [draft], Expect(draft.subject, newest.seq if newest else 0)
        )
        process.logger.info(
            "shard replaced",
            config=fact.config,
            index=fact.index,
            retracted=left_out,
            id=draft.id,
            seq=seq,
        )
        ledger.take(
            fact,
            EventMeta(EVENTS, seq, draft.subject, draft.id, draft.source, draft.time, draft.cause),
        )
        await _delete(process, ledger, old.digest)
