"""Cuts the games of every config into shards, in the order of `GAMES`: each game in exactly one
shard per encoder version.

Games of origin `tournament` are left out: measuring the strength of a network must not change what
the next one learns.

What is retracted when a shard is cut is not in it. When games of an older one are retracted, or
reanalysed, another takes its place (`ringrift.consumers.shard_revision`).

Where it stands is in its own facts: the next shard begins after the last one's `last_seq`. Two
exporters may run; the expected sequence on the shard subject lets one of them write each shard."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from ringrift.consumers.shard_revision import keep
from ringrift.consumers.shards import (
    encoder_version,
    exported_shards,
    make_shard,
    retractions_until,
)
from ringrift.deciders.loop.retraction import retracted
from ringrift.events import Recorded
from ringrift.events.facts import GameCompleted, ShardExported
from ringrift.learning.summary import summarise
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.runtime.decide import decoded
from ringrift.runtime.process import Process, run

STREAM = "GAMES"


async def main(process: Process) -> None:
    """Cut shards as games come, and keep those that there are as they should be."""
    await asyncio.gather(*(_again_and_again(process, work) for work in (_export, keep)))


async def _again_and_again(process: Process, work: Callable[[Process], Awaitable[None]]) -> None:
    while not process.stopping:
        try:
            await work(process)
        except ConcurrencyError as error:
            process.logger.warning("another writer of shards was faster", error=str(error))


async def _export(process: Process) -> None:
    done = await exported_shards(process.log)
    last = {
        config: max((item.event for item in events), key=lambda event: event.last_seq)
        for config, events in done.items()
    }
    newest = {config: events[-1].meta.seq for config, events in done.items()}
    start = min((event.last_seq for event in last.values()), default=0) + 1
    waiting: dict[str, list[Recorded]] = defaultdict(list)
    size = await _size(process)
    process.doing = "exporting"
    async for entry in process.until_stopped(process.log.follow(STREAM, start_seq=start)):
        game = await decoded(process, STREAM, entry)
        process.folded(entry.seq, {})
        if (
            game is None
            or not isinstance(game.event, GameCompleted)
            or game.event.origin == "tournament"
        ):
            continue
        config = game.event.config
        previous = last.get(config)
        if previous is not None and entry.seq <= previous.last_seq:
            continue
        waiting[config].append(game)
        if len(waiting[config]) >= size:
            last[config], newest[config] = await _cut(
                process, waiting.pop(config), previous, newest.get(config, 0)
            )
            size = await _size(process)


async def _size(process: Process) -> int:
    """Games of one shard, as the settings in force say."""
    settings, _ = await process.settings()
    return settings.shard.games


async def _cut(
    process: Process, games: list[Recorded], previous: ShardExported | None, newest: int
) -> tuple[ShardExported, int]:
    """Write one shard and its fact; the fact and its sequence."""
    first = games[0].event
    assert isinstance(first, GameCompleted)
    tail = await process.log.tail("EVENTS")
    retractions = await retractions_until(process.log, first.config, tail)
    played = [
        game.event
        for game in games
        if isinstance(game.event, GameCompleted)
        and not retracted(retractions, game.event, game.meta.seq)
    ]
    data, counts = await asyncio.to_thread(make_shard, first.config, played)
    summary = await asyncio.to_thread(summarise, played, {game for game, _ in counts.rejected})
    fact = ShardExported(
        config=first.config,
        encoder=encoder_version(),
        index=previous.index + 1 if previous else 0,
        first_seq=games[0].meta.seq,
        last_seq=games[-1].meta.seq,
        games=len(games),
        samples=counts.samples,
        rejected=len(counts.rejected),
        digest=await process.blobs.put("shards", data),
        size_bytes=len(data),
        summary=summary,
        retracted=len(games) - len(played),
        events_seq=tail if retractions else 0,
    )
    for game, reason in counts.rejected:
        process.logger.error("game left out", game=game, reason=reason)
    cause = games[-1].meta.position
    item = process.draft(fact, cause=cause, key=encoder_version())
    (seq,) = await process.log.append([item], Expect(item.subject, newest))
    process.logger.info(
        "shard",
        config=fact.config,
        index=fact.index,
        samples=fact.samples,
        id=item.id,
        seq=seq,
        cause=cause,
    )
    return fact, seq


if __name__ == "__main__":
    run("exporter", main)
