"""The archiver with its own rights on a real server, and a real S3 server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.games import recorded_game
from support.object_stores import s3
from support.secured import secured

from ringrift.consumers import archiver
from ringrift.consumers.archiving import moving
from ringrift.events import Settings, draft
from ringrift.events.facts import (
    ArchiveFailed,
    BackupFinished,
    BlobFetched,
    GameCompleted,
    ModelRegistered,
    SettingsChanged,
    StreamTrimmed,
)
from ringrift.events.settings import ArchiveSettings, BackupSettings
from ringrift.log import archive, read
from ringrift.log.blobs import Blobs
from ringrift.log.topology import EVENTS, GAMES, MODEL_BUCKET
from ringrift.runtime.process import Clock, Process
from ringrift.server.backup import save
from ringrift.server.grow import live

__all__ = ["s3"]
LATER_SECONDS = 10 * 3600.0
NETWORK = b"network" * 1000


@pytest.mark.real_time
async def test_games_events_and_networks_leave_a_server_and_are_read(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(archiver, "ROUND_SECONDS", 0.2)
    monkeypatch.setenv(archive.CACHE, str(tmp_path / "cache"))
    settings = Settings(
        archive=ArchiveSettings(
            place=f"{s3}/archive",
            keep_hours=2.0,
            events_keep_hours=2.0,
            segment_bytes=20_000,
            models_keep_hours=2.0,
        ),
        backup=BackupSettings(place=f"{s3}/backups"),
    )
    async with secured(tmp_path / "cluster") as place:
        operator, own = await place.log("operator"), await place.log("archiver")
        changed = SettingsChanged(version=1, settings=settings, why="test")
        model = await Blobs(operator).put(MODEL_BUCKET, NETWORK)
        registered = ModelRegistered(
            config="hex8_2p",
            model=model,
            generation=1,
            architecture="v2-micro",
            encoder="e",
            parameters=1,
            parents=(),
            ticket="t",
        )
        for fact in (changed, registered):
            await operator.append([draft(fact, cause=None, source="test", key=1)])
        games = [recorded_game(number) for number in range(30)]
        await operator.append(
            [draft(game, cause=None, source="test", key=n) for n, game in enumerate(games)]
        )
        whole = {}
        for stream in (GAMES, EVENTS):
            whole[stream] = [item async for part in operator.read(stream) for item in part]
        clock = Clock(wall=lambda: time.time() + LATER_SECONDS)
        process = Process("archiver", "node", own, clock)
        working = asyncio.create_task(archiver.main(process))
        trimmed = dict.fromkeys((GAMES, EVENTS), 0)
        backed_up = False
        async with asyncio.timeout(60):
            async for event, _ in read.follow(operator, StreamTrimmed, BackupFinished):
                if isinstance(event, StreamTrimmed):
                    trimmed[event.stream] = event.last_seq
                backed_up = backed_up or isinstance(event, BackupFinished)
                if trimmed[GAMES] >= 30 and trimmed[EVENTS] >= 3 and backed_up:
                    break
            follow = operator.follow(EVENTS, filters=["ringrift.archive.*.model-archived"])
            await anext(follow)
        process.stop()
        await working
        assert (await operator.call(f"STREAM.INFO.{GAMES}"))["state"]["messages"] == 1
        assert not await Blobs(operator).has(MODEL_BUCKET, model)
        await save(await live(own), f"{s3}/backups")  # reads what is new with its own rights
        reader = await place.log("viewer")
        for stream, before in whole.items():
            found = [item async for part in reader.read(stream) for item in part]
            assert found[: len(before)] == before
        again = [event async for event, _ in read.facts(reader, GameCompleted)]
        assert again == games
        assert (await read.fact_at(reader, f"{GAMES}/7")).event == games[6]
        assert [item async for item in read.facts(reader, ArchiveFailed)] == []
        # the network returns from the archive, and from the cache once it was fetched
        worker = Process("selfplay", "the-worker", await place.log("worker"))
        assert await worker.blobs.get(MODEL_BUCKET, model) == NETWORK
        ((fact, _),) = [item async for item in read.facts(reader, BlobFetched)]
        assert [item.source for item in fact.attempts] == ["cache", "bucket", "archive"]
        assert await worker.blobs.get(MODEL_BUCKET, model) == NETWORK
        assert len([item async for item in read.facts(reader, BlobFetched)]) == 1
        for log in (operator, own, reader, worker.log):
            await log.close()
