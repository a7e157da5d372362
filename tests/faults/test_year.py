"""One log lives through a year in fast motion, on a real server and with real files: the stream
stays bounded, and everything computed at the end equals that of a log that was never archived.

`YEAR_GAMES=1000000 pytest -m slow -s tests/faults/test_year.py` needs some 20 minutes."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.waiting import eventually
from support.year import MIRRORS, WEEKS, Archiver, Whole, hurry, memory, short_games, write_week

from ringrift.consumers import archiver, exporter
from ringrift.consumers.archiving import moving
from ringrift.consumers.shards.building import exported_shards, rebuild
from ringrift.consumers.verification.parity import Verdicts
from ringrift.consumers.verification.whole import verify
from ringrift.deciders.loop.rating import DECIDER
from ringrift.events import Settings, draft
from ringrift.events.facts import ArchiveFailed, GameCompleted, SettingsChanged, ShardExported
from ringrift.events.settings import ArchiveSettings, ShardSettings
from ringrift.log import archive, read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import GAMES
from ringrift.runtime.decide import replayed
from ringrift.runtime.process import Process
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

GAMES_COUNT = int(os.environ.get("YEAR_GAMES", "50000"))
SHARD_EVERY_WEEKS = 17
SHARD_GAMES_MAX = 500
WEEK_HOURS = 168.0
BY_HAND = {"SelfplayPlanned is a decision without a cause"}
WAIT_SECONDS_MAX, POLL_SECONDS = 300.0, 0.02
HURRIED = (
    *((archive, name) for name in ("CHECK_SECONDS", "GRACE_SECONDS")),
    *((moving, "GRACE_SECONDS"), (archiver, "ROUND_SECONDS")),
)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weeks take seconds, in this process and in that of the archiver."""
    for module, name in HURRIED:
        monkeypatch.setattr(module, name, getattr(module, name))
    hurry()
    monkeypatch.setenv(archive.CACHE, str(tmp_path / "cache"))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("games", [1_040, pytest.param(GAMES_COUNT, marks=pytest.mark.slow)])
async def test_a_year_of_an_archived_log_equals_one_that_never_archived(
    tmp_path: Path, games: int
) -> None:
    week = games // WEEKS
    total = week * WEEKS
    figures: dict[str, float] = {}
    async with contextlib.AsyncExitStack() as leaving:
        server = await EmbeddedServer.start(tmp_path / "data")
        leaving.push_async_callback(server.stop)
        logs = [await kind.open(server.url, name="test") for kind in (JetStreamLog, Whole)]
        for each in logs:
            leaving.push_async_callback(each.close)
        log, whole = logs
        await ensure(log)
        for stream, name in MIRRORS.items():
            await log.call(f"STREAM.CREATE.{name}", {"name": name, "mirror": {"name": stream}})
        settings = settings_for(total, tmp_path / "archive")
        await log.append([draft(settings, cause=None, source="ringrift")])
        with timed(figures, "the year, s"):
            await year(log, server.url, week, figures)
        figures["server, MB"] = memory(server.pid)
        assert [item async for item in read.facts(log, ArchiveFailed)] == []
        everything = await state_of(whole, GAMES)
        assert everything["messages"] == total
        figures["never archived, MB"] = everything["bytes"] / 1e6
        with timed(figures, "everything read, s"):
            archived = await summary(log)
        assert archived == await summary(whole)
        assert archived["problems"] == set(), "the plans are written by hand"
        assert archived["games"] == total
        assert len(archived["shards"]) > 3
    data = tmp_path / "data"
    figures |= await started(data, "never archived")
    figures |= await started(data, "archived", without=tuple(MIRRORS.values()))
    print(f"\n{total} games: ", {name: round(value, 2) for name, value in figures.items()})


def settings_for(games: int, place: Path) -> SettingsChanged:
    """Settings with two segments or more every week."""
    size = min(64_000_000, max(10_000, games * 1_000 // WEEKS // 2))
    found = Settings(
        shard=ShardSettings(windows_kept=1e6),
        archive=ArchiveSettings(
            place=str(place),
            keep_hours=WEEK_HOURS,
            events_keep_hours=WEEK_HOURS,
            segment_bytes=size,
        ),
    )
    return SettingsChanged(version=1, settings=found, why="test")


async def year(log: JetStreamLog, url: str, week: int, figures: dict[str, float]) -> None:
    """Write a year week by week, and a few shards, while the archiver works."""
    ends, largest, games = [0, 0], 0, short_games()
    archiving, cutter = Archiver(url), Process("exporter", "n", log)
    cut: tuple[ShardExported | None, int] = None, 0
    with archiving.running():
        for number in range(WEEKS):
            began = time.time()
            ends.append(await write_week(log, games, number, week))
            if number % SHARD_EVERY_WEEKS == 0:
                last = min(ends[-1], ends[-2] + SHARD_GAMES_MAX)
                stored = read.facts(log, GameCompleted, after=ends[-2], until=last)
                chosen = [exporter.Judged(*item, None) async for item in stored]
                cut = await exporter._cut(cutter, chosen, *cut, Verdicts())
            await eventually(lambda: mirrored(log), WAIT_SECONDS_MAX, POLL_SECONDS)
            archiving.wall.value = began + WEEK_HOURS * 3600.0
            await eventually(lambda: left(log, ends[-3]), WAIT_SECONDS_MAX, POLL_SECONDS)
            state = await state_of(log, GAMES)
            assert state["messages"] <= 2 * week + 1, "two weeks, and the newest"
            largest = max(largest, state["bytes"])
        archiving.wall.value = time.time() + WEEK_HOURS * 3600.0
        await eventually(lambda: left(log, ends[-1]), WAIT_SECONDS_MAX)
        figures |= {"archiver, MB": archiving.memory, "stream, MB": largest / 1e6}


async def state_of(log: JetStreamLog, stream: str) -> dict[str, Any]:
    """What the server says about a stream."""
    found: dict[str, Any] = (await log.call(f"STREAM.INFO.{stream}"))["state"]
    return found


async def mirrored(log: JetStreamLog) -> bool:
    """Whether the mirrors have everything that may leave the streams now."""
    tails = [[await log.tail(name) for name in pair] for pair in MIRRORS.items()]
    return all(tail <= copied for tail, copied in tails)


async def left(log: JetStreamLog, seq: int) -> bool:
    """Whether the games up to a sequence have left the stream, but for the newest one."""
    state = await state_of(log, GAMES)
    return bool(state["messages"] <= state["last_seq"] - seq + 1)


async def summary(log: JetStreamLog) -> dict[str, Any]:
    """Ratings, what `verify` says, and every shard made again."""
    process = Process("exporter", "n", log)
    shards = (await exported_shards(log))["hex8_2p"]
    events = [item async for item in read.facts(log)]
    report = await verify(log)
    return {
        "elo": replayed(DECIDER, events).fold_hash,
        "games": report.checked["game"],
        "checked": report.checked,
        "problems": {item.text for item in report.problems if item.level == "fail"} - BY_HAND,
        "shards": [await rebuild(process, item.event) for item in shards],
    }


@contextlib.contextmanager
def timed(figures: dict[str, float], name: str):
    """Note how long the block takes."""
    began = time.perf_counter()
    yield
    figures[name] = time.perf_counter() - began


async def started(data: Path, name: str, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Delete streams, and start the server: seconds until it is ready, and its memory."""
    if without:
        server = await EmbeddedServer.start(data)
        log = await JetStreamLog.open(server.url, name="test")
        for stream in without:
            await log.call(f"STREAM.DELETE.{stream}")
        await log.close()
        await server.stop()
    began = time.perf_counter()
    server = await EmbeddedServer.start(data)
    seconds, found = time.perf_counter() - began, memory(server.pid)
    await server.stop()
    return {f"start {name}, s": seconds, f"server after start {name}, MB": found}
