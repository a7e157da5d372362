"""A store that is slow, full, or away for hours: nothing is lost, nothing is there
twice, and what waits is visible."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.games import recorded_game
from support.object_stores import Faults, faulty_s3
from support.requested_games import write_requested
from support.system import System, running

from ringrift.consumers import archiver
from ringrift.events import Settings
from ringrift.events.facts import (
    ArchiveFailed,
    ArchiveRecovered,
    NodePressureChanged,
    SegmentArchived,
    SettingsChanged,
    Tier,
)
from ringrift.events.settings import ArchiveSettings
from ringrift.log import archive, object_store
from ringrift.log.entry import Entry
from ringrift.log.object_store import ObjectStore
from ringrift.log.presence import Heartbeat
from ringrift.log.topology import GAMES
from ringrift.runtime.process import Process
from ringrift.tools.memory_log import MemoryLog

__all__ = ["faulty_s3"]
HOUR = 3600.0
KEEP = 3.0
COUNT = 12


async def begin(system: System, place: str) -> list[Entry]:
    """Set the place, write the games, and let them grow old."""
    chosen = ArchiveSettings(place=place, keep_hours=KEEP, segment_bytes=5_000)
    changed = SettingsChanged(version=1, settings=Settings(archive=chosen), why="test")
    await system.write(changed)
    await write_requested(system, *map(recorded_game, range(COUNT)))
    before = await whole(system)
    await asyncio.sleep((KEEP + 0.1) * HOUR)
    return before


async def whole(system: System) -> list[Entry]:
    """The games as another process reads them."""
    return [entry async for batch in MemoryLog(system.broker).read(GAMES) for entry in batch]


async def check_all_is_archived_once(system: System, before: list[Entry]) -> None:
    found = [item for item in await system.facts(SegmentArchived) if item.stream == GAMES]
    assert (found[0].first_seq, found[-1].last_seq) == (1, COUNT)
    assert all(a.last_seq + 1 == b.first_seq for a, b in itertools.pairwise(found))
    assert list(system.broker.stream(GAMES).entries) == [COUNT], "the newest of its subject"
    assert await whole(system) == before


def check_what_waits(process: Process) -> None:
    assert process.metrics.value("ringrift_archive_failing") == 1
    assert process.metrics.value("ringrift_archive_pending", GAMES) == COUNT
    assert (process.metrics.value("ringrift_archive_overdue_seconds", GAMES) or 0) > 0


@pytest.mark.parametrize(
    "fault",
    [{"PUT": "507 Insufficient Storage"}, dict.fromkeys(("GET", "PUT"), "503 Slow Down")],
    ids=["full", "away"],
)
async def test_a_store_that_fails_for_hours_costs_nothing(
    system: System,
    faulty_s3: tuple[str, Faults],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: dict[str, str],
) -> None:
    monkeypatch.setenv(archive.CACHE, str(tmp_path))
    monkeypatch.setattr(object_store, "RETRIES_MAX", 0)
    place, faults = faulty_s3
    before = await begin(system, f"{place}/archive")
    faults.status = fault
    process = system.process("archiver")
    async with running(archiver.main(process)):
        await asyncio.sleep(3 * HOUR)
        (failed,) = await system.facts(ArchiveFailed)
        assert fault["PUT"][:3] in failed.error
        check_what_waits(process)
        assert await whole(system) == before
        faults.mend()
        await asyncio.sleep(HOUR / 2)
    assert len(await system.facts(ArchiveRecovered)) == 1
    await check_all_is_archived_once(system, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Use up all room but a page or two, for directories."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for _ in range(1000):
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - 8192)
    return filler


async def test_a_directory_on_a_full_disk_costs_nothing(system: System, small_disk: Path) -> None:
    filler = fill(small_disk)
    before = await begin(system, str(small_disk / "archive"))
    process = system.process("archiver")
    async with running(archiver.main(process)):
        await asyncio.sleep(HOUR / 2)
        (failed,) = await system.facts(ArchiveFailed)
        assert "No space left" in failed.error
        check_what_waits(process)
        filler.unlink()
        await asyncio.sleep(HOUR / 2)
    await check_all_is_archived_once(system, before)


def slow(monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
    """Let a method of the store take this long, in virtual time."""
    real: Callable[..., Awaitable[Any]] = getattr(ObjectStore, name)

    async def call(*given: Any) -> Any:
        await asyncio.sleep(seconds)
        return await real(*given)

    monkeypatch.setattr(ObjectStore, name, call)


async def test_a_slow_store_only_delays(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await begin(system, str(tmp_path))
    for name in ("put", "get"):
        slow(monkeypatch, name, 900.0)
    process = system.process("archiver")
    async with running(archiver.main(process)):
        await asyncio.sleep(0.9 * HOUR)
        pending = process.metrics.value("ringrift_archive_pending", GAMES)
        await asyncio.sleep(8 * HOUR)
    assert await system.facts(ArchiveFailed) == []
    assert pending is None, "the first round takes longer"
    monkeypatch.undo()
    await check_all_is_archived_once(system, before)


@pytest.mark.parametrize(("fetching", "working"), [(10.0, 4.0), (4.0, 10.0)])
async def test_reading_overlaps_fetching_and_working(
    system: System,
    faulty_s3: tuple[str, Faults],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fetching: float,
    working: float,
) -> None:
    """Segments take about as long as the slower of both, not as long as both together."""
    monkeypatch.setenv(archive.CACHE, str(tmp_path))
    await begin(system, f"{faulty_s3[0]}/archive")
    async with running(archiver.main(system.process("archiver"))):
        await asyncio.sleep(300.0)
    segments = [item for item in await system.facts(SegmentArchived) if item.stream == GAMES]
    slow(monkeypatch, "get", fetching)
    log, began = MemoryLog(system.broker), system.loop.time()
    async for _ in log.read(GAMES, until_seq=segments[-1].last_seq):
        await asyncio.sleep(working)
    seconds, count = system.loop.time() - began, len(segments)
    assert count >= 3
    assert seconds <= count * max(fetching, working) + min(fetching, working) + 0.1


@pytest.mark.parametrize(
    ("consumer", "tier", "left"),
    [
        ("planner", "normal", range(COUNT, COUNT + 1)),
        ("planner", "caution", range(COUNT // 3, COUNT)),
        ("planner", "warning", range(1, 3)),
        ("selfplay", "warning", range(COUNT, COUNT + 1)),
    ],
)
async def test_games_leave_earlier_while_the_disk_of_a_coordinator_fills_up(
    system: System, tmp_path: Path, consumer: str, tier: Tier, left: range
) -> None:
    await write_requested(system, *map(recorded_game, range(COUNT)))
    size = (await system.log.call(f"STREAM.INFO.{GAMES}"))["state"]["bytes"]
    chosen = ArchiveSettings(place=str(tmp_path), segment_bytes=1_000, keep_bytes=size)
    full = NodePressureChanged(
        node="n", resource="disk", consumer="", tier=tier, previous="normal", used=0.9
    )
    changed = SettingsChanged(version=1, settings=Settings(archive=chosen), why="test")
    await system.write(changed, full)
    await asyncio.sleep(KEEP * HOUR)
    beat = Heartbeat(
        consumer=consumer, node="n", instance="i", pid=1, doing="", seq=0, errors=0, folds={}
    )
    await system.writer.presence.beat(beat)
    async with running(archiver.main(system.process("archiver"))):
        await asyncio.sleep(120.0)
    assert len(system.broker.stream(GAMES).entries) in left
