"""One log lives through a year in fast motion, with real files: the stream stays bounded, and
everything computed at the end equals that of a log that was never archived."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from support.games import recorded_game
from support.requested_games import write_requested
from support.system import System, running

from ringrift.consumers import archiver, exporter
from ringrift.consumers.shards.building import exported_shards, rebuild
from ringrift.consumers.verification.whole import verify
from ringrift.deciders.loop.rating import DECIDER
from ringrift.events import Settings
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings import ArchiveSettings, ShardSettings
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.decide import replayed
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

DAY = 24 * 3600.0
WEEKS = 52
GAMES_COUNT = int(os.environ.get("YEAR_GAMES", "104"))


async def summary(system: System, log: Log) -> dict[str, object]:
    """Ratings, what `verify` says, and every shard made again."""
    process = system.process("exporter")
    process.log = log
    process.blobs._log = log
    events = [item async for item in read.facts(log)]
    shards = [item.event for found in (await exported_shards(log)).values() for item in found]
    report = await verify(log)
    return {
        "elo": replayed(DECIDER, events).fold_hash,
        "checked": {kind: report.checked[kind] for kind in ("game", "shard", "message")},
        "problems": report.problems,
        "shards": [await rebuild(process, shard) for shard in shards],
    }


@pytest.mark.parametrize("count", [GAMES_COUNT])
async def test_a_year_of_an_archived_log_equals_one_that_never_archived(
    system: System, tmp_path: Path, count: int
) -> None:
    settings = Settings(
        shard=ShardSettings(games=max(2, count // 26)),
        archive=ArchiveSettings(place=str(tmp_path), keep_hours=168.0, events_keep_hours=720.0),
    )
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    everything: dict[str, dict[int, object]] = {GAMES: {}, EVENTS: {}}
    sizes: list[int] = []
    for week in range(WEEKS):
        part = range(week * count // WEEKS, (week + 1) * count // WEEKS)
        await write_requested(system, *map(recorded_game, part))
        async with (
            running(exporter.main(system.process("exporter"))),
            running(archiver.main(system.process("archiver"))),
        ):
            await asyncio.sleep(300.0)
        for stream, known in everything.items():
            known |= system.broker.stream(stream).entries
        sizes.append(len(system.broker.stream(GAMES).entries))
        await asyncio.sleep(7 * DAY)
    assert max(sizes[4:]) <= 3 * count / WEEKS + 2, "two weeks of games and the newest"
    control = MemoryBroker(system.loop.wall)
    for stream, known in everything.items():
        copied = control.stream(stream)
        copied.entries.update(sorted(known.items()))
        copied.last_seq = max(known)
    for name in ("KV_marks", "OBJ_shards"):
        copied = control.stream(name)
        copied.entries.update(system.broker.stream(name).entries)
        copied.last_seq = system.broker.stream(name).last_seq
    archived = await summary(system, MemoryLog(system.broker))
    plain = await summary(system, MemoryLog(control))
    assert archived["shards"]
    assert archived["elo"] == plain["elo"]
    assert archived["shards"] == plain["shards"]
    assert archived["checked"] == plain["checked"]
    assert archived["problems"] == plain["problems"]
