"""The archiver moves old messages to a store; readers see one log; nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import math
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.games import recorded_game
from support.requested_games import write_requested
from support.system import System, running

from ringrift.consumers import archiver, exporter
from ringrift.consumers.archiving import moving
from ringrift.consumers.shards.building import rebuild
from ringrift.consumers.verification.stores import archive_problems
from ringrift.events import Settings
from ringrift.events.facts import (
    ArchiveFailed,
    ArchiveRecovered,
    BackupFinished,
    GameCompleted,
    SegmentArchived,
    SettingsChanged,
    ShardExported,
    StreamTrimmed,
    TickRecorded,
)
from ringrift.events.settings import ArchiveSettings, BackupSettings, ShardSettings
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import BlobMissing, StoreError
from ringrift.log.identity import NodeKey
from ringrift.log.object_store import ObjectStore
from ringrift.log.topology import EVENTS, GAMES
from ringrift.tools.memory_log import MemoryLog
from ringrift.trust import admission

HOUR = 3600.0
KEEP = 3.0


def settings(place: Path | str, **more: float) -> SettingsChanged:
    archive = ArchiveSettings(
        place=str(place), keep_hours=KEEP, events_keep_hours=KEEP, segment_bytes=5_000
    )
    found = Settings(shard=ShardSettings(games=2), archive=replace(archive, **more))
    return SettingsChanged(version=1, settings=found, why="test")


async def whole(system: System, stream: str) -> list[Entry]:
    """The log as another process reads it."""
    log = MemoryLog(system.broker)
    return [entry async for batch in log.read(stream) for entry in batch]


def kept(system: System, stream: str) -> list[int]:
    """Sequences that are still in the stream."""
    return list(system.broker.stream(stream).entries)


async def archived(system: System, hours: float = KEEP + 1) -> None:
    """Let the archiver work for some hours."""
    async with running(archiver.main(system.process("archiver"))):
        await asyncio.sleep(hours * HOUR)


async def test_old_games_leave_the_stream_and_readers_see_all(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    before = await whole(system, GAMES)
    await archived(system)
    assert kept(system, GAMES) == [12]  # the newest of the subject
    assert await whole(system, GAMES) == before
    segments = await system.facts(SegmentArchived)
    games = [item for item in segments if item.stream == GAMES]
    assert len(games) > 1
    assert sum(item.completed["hex8_2p"] for item in games) == 12
    assert [item.last_seq for item in await system.facts(StreamTrimmed) if item.stream == GAMES]


async def test_events_leave_but_for_the_newest_of_each_subject(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path), *(TickRecorded(minute=n) for n in range(300)))
    before = await whole(system, EVENTS)
    await archived(system)
    assert await whole(system, EVENTS) != before  # facts of the archiver are added
    assert (await whole(system, EVENTS))[: len(before)] == before
    ticks = [entry.seq for entry in before if "tick" in entry.subject]
    assert [seq for seq in kept(system, EVENTS) if seq in ticks] == [ticks[-1]]
    # settings are the newest of their subject, so that processes find them without the archive
    assert 1 in kept(system, EVENTS)


async def test_how_old_a_backup_may_be_follows_the_settings(system: System, tmp_path: Path) -> None:
    made = BackupFinished(
        place=str(tmp_path), name="b", size_bytes=1, new_bytes=1, backup_seconds=1.0
    )
    weekly = Settings(backup=BackupSettings(place=str(tmp_path), every_hours=168.0))
    await system.write(made, SettingsChanged(version=1, settings=weekly, why="test"))
    process = system.process("archiver")
    async with running(archiver.main(process)):
        await asyncio.sleep(HOUR)
        age = process.metrics.value("ringrift_backup_age_seconds") or 0.0
        assert 0.9 * HOUR < age < 1.1 * HOUR
        assert process.metrics.value("ringrift_backup_overdue_seconds") == 2 * 168 * HOUR
        await system.write(SettingsChanged(version=2, settings=Settings(), why="test"))
        await asyncio.sleep(HOUR)
        assert process.metrics.value("ringrift_backup_overdue_seconds") == math.inf


async def test_whose_facts_count_is_known_without_the_archive(
    system: System, tmp_path: Path
) -> None:
    log = MemoryLog(system.broker)
    log.signer = NodeKey.new()
    for name in ("one", "two", "three"):
        await admission.admit(log, name, NodeKey.new().key, ("worker",), "test")
    await admission.revoke(log, "one", "test")
    expected = await admission.standing(log)
    await system.write(settings(tmp_path), *(TickRecorded(minute=n) for n in range(300)))
    await archived(system)
    for file in (tmp_path / EVENTS).iterdir():
        file.unlink()
    assert await admission.standing(MemoryLog(system.broker)) == expected


async def test_positions_parts_and_followers_reach_into_the_archive(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path))
    games = await write_requested(system, *map(recorded_game, range(12)))
    await archived(system)
    log = MemoryLog(system.broker)
    assert (await read.fact_at(log, f"{GAMES}/5")).event == games[4]
    part = [meta.seq async for _, meta in read.facts(log, GameCompleted, after=3, until=6)]
    assert part == [4, 5, 6]
    following = read.follow(log, GameCompleted, after=9)
    assert [(await anext(following)).meta.seq for _ in range(3)] == [10, 11, 12]
    later = asyncio.ensure_future(anext(following))
    await system.write(recorded_game(77))
    assert (await later).meta.seq == 13
    assert (await log.get(GAMES, 2, under="ringrift.game.*.completed")).seq == 2


async def test_a_lost_shard_is_made_again_from_the_archive(system: System, tmp_path: Path) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(6)))
    process = system.process("exporter")
    async with running(exporter.main(process)):
        await asyncio.sleep(60.0)
    shards = await system.facts(ShardExported)
    data = [await process.blobs.get("shards", shard.digest) for shard in shards]
    await archived(system)
    for shard in shards:
        await process.blobs.delete("shards", shard.digest)
    assert [await rebuild(process, shard) for shard in shards] == data


async def test_a_reader_that_is_overtaken_continues_in_the_archive(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    slow, seen = MemoryLog(system.broker), list[int]()
    batches = slow.read(GAMES)
    seen += [entry.seq for entry in await anext(batches)][:0]
    following = read.follow(slow, GameCompleted)
    seen.append((await anext(following)).meta.seq)
    await archived(system)
    seen += [(await anext(following)).meta.seq for _ in range(11)]
    assert seen == list(range(1, 13))


class Faulty:
    """Replaces methods of the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = {name: getattr(ObjectStore, name) for name in ("put", "get")}
        self.monkeypatch = monkeypatch

    def refuse(self, name: str) -> None:
        async def fail(*_: object) -> None:
            raise StoreError("s3://bucket: 403 Forbidden")

        self.monkeypatch.setattr(ObjectStore, name, fail)

    def damage(self) -> None:
        real = self.real["get"]

        async def get(store: ObjectStore, name: str) -> bytes:
            data: bytes = await real(store, name)
            return data[:-1] + bytes([data[-1] ^ 1])

        self.monkeypatch.setattr(ObjectStore, "get", get)

    def mend(self) -> None:
        for name, method in self.real.items():
            self.monkeypatch.setattr(ObjectStore, name, method)


@pytest.mark.parametrize("how", ["put", "get", "damage"])
async def test_a_store_that_fails_stops_nothing_and_loses_nothing(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    before, store = await whole(system, GAMES), Faulty(monkeypatch)
    store.damage() if how == "damage" else store.refuse(how)
    process = system.process("archiver")
    async with running(archiver.main(process)):
        await asyncio.sleep((KEEP + 1) * HOUR)
        assert kept(system, GAMES) == list(range(1, 13))
        (failed,) = await system.facts(ArchiveFailed)
        assert "digest" in failed.error if how == "damage" else "403" in failed.error
        assert process.metrics.value("ringrift_archive_failing") == 1
        assert process.doing == f"cannot archive: {failed.error}"
        assert process.metrics.value("ringrift_archive_pending", GAMES) == 12
        assert (process.metrics.value("ringrift_archive_overdue_seconds", GAMES) or 0) > 0
        store.mend()
        await asyncio.sleep(HOUR)
    assert len(await system.facts(ArchiveRecovered)) == 1
    assert kept(system, GAMES) == [12]
    assert await whole(system, GAMES) == before


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
async def test_a_copy_that_is_lost_before_the_second_reading_is_stored_again(
    system: System, tmp_path: Path, damage: str
) -> None:
    await system.write(settings(tmp_path, segment_bytes=1_000))
    await write_requested(system, *map(recorded_game, range(3)))
    await archived(system, 1.0)
    before = await whole(system, GAMES)
    assert len(kept(system, GAMES)) == 3
    copy = next((tmp_path / GAMES).iterdir())
    data = copy.read_bytes()
    copy.write_bytes(data[:-9] if damage == "cut" else b"X" + data[1:])
    if damage == "gone":
        copy.unlink()
    log = MemoryLog(system.broker)
    (problem,) = [item async for item in archive_problems(log)]
    assert (problem.level, problem.name) == ("warn", str(copy))
    assert "the archiver stores it again" in problem.text
    await archived(system)
    assert copy.read_bytes() == data
    assert kept(system, GAMES) == [3]
    assert await whole(system, GAMES) == before
    assert await system.facts(ArchiveFailed) == []
    assert [item async for item in archive_problems(log)] == []
    copy.unlink()  # now it is the only one
    (problem,) = [item async for item in archive_problems(MemoryLog(system.broker))]
    assert problem.level == "fail"


async def test_a_lost_copy_stops_the_purge_if_its_messages_are_others(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path, segment_bytes=1_000))
    await write_requested(system, *map(recorded_game, range(3)))
    await archived(system, 1.0)
    next((tmp_path / GAMES).iterdir()).unlink()
    first = min(kept(system, GAMES))
    del system.broker.stream(GAMES).entries[first]
    await archived(system)
    assert len(kept(system, GAMES)) == 2
    (failed,) = await system.facts(ArchiveFailed)
    assert "no such object" in failed.error


async def test_an_archiver_killed_anywhere_loses_and_repeats_nothing(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    before = await whole(system, GAMES)
    steps = 0

    class Killed(BaseException):
        pass

    def dying(life: int) -> MemoryLog:
        log, left = MemoryLog(system.broker), life

        def step(real):
            async def call(*args, **more):
                nonlocal left, steps
                left -= 1
                steps += 1
                if left < 0:
                    raise Killed
                return await real(*args, **more)

            return call

        for name in ("_append", "purge"):
            setattr(log, name, step(getattr(log, name)))
        return log

    for life in range(40):
        process = system.process("archiver")
        process.log = dying(life)
        running_ = asyncio.ensure_future(archiver.main(process))
        await asyncio.sleep((KEEP + 1) * HOUR if life == 0 else 1200.0)
        if not running_.done():
            process.stop()
        await asyncio.gather(running_, return_exceptions=True)
        assert await whole(system, GAMES) == before
    assert kept(system, GAMES) == [12]
    ranges = [
        (item.first_seq, item.last_seq)
        for item in await system.facts(SegmentArchived)
        if item.stream == GAMES
    ]
    assert (ranges[0][0], ranges[-1][1]) == (1, 12)
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(ranges))


async def test_a_gap_is_not_archived_until_it_is_accepted(system: System, tmp_path: Path) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    del system.broker.stream(GAMES).entries[5]
    await archived(system)
    assert 4 in kept(system, GAMES)
    (failed,) = await system.facts(ArchiveFailed)
    assert "GAMES/5..5: messages are missing" in failed.error


async def test_without_the_archive_only_those_who_need_it_fail(
    system: System, tmp_path: Path
) -> None:
    await system.write(settings(tmp_path))
    await write_requested(system, *map(recorded_game, range(12)))
    await archived(system)
    for file in (tmp_path / GAMES).iterdir():
        file.unlink()
    log = MemoryLog(system.broker)
    with pytest.raises(BlobMissing, match="no such object"):
        await read.fact_at(log, f"{GAMES}/5")
    await system.write(recorded_game(77))
    assert [meta.seq async for _, meta in read.facts(log, GameCompleted, after=12)] == [13]
    assert moving.keep_seconds(GAMES, ArchiveSettings()) == 168 * HOUR
