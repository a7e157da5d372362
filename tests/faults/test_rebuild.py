"""Everything but the streams may be lost: after kill -9 folds start from snapshots, and without
snapshots and shards both are rebuilt."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.games import play_game
from support.loop_facts import scored
from support.system import PLAN
from support.waiting import eventually

from ringrift.consumers import exporter
from ringrift.deciders.loop import evaluation, promotion, rating as elo, selfplay, training
from ringrift.events import Fact, Settings, draft
from ringrift.events.facts import (
    ConsumerStarted,
    PipelineResumed,
    RatingsUpdated,
    SettingsChanged,
    ShardExported,
)
from ringrift.events.settings import SelfplaySettings, ShardSettings
from ringrift.insight.rebuild import replayed_runs
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.snapshots import stored
from ringrift.log.topology import EVENTS, FOLD_BUCKET, SHARD_BUCKET
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.server.embedded import EmbeddedServer

DECIDERS = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
WAIT_SECONDS_MAX = 60.0
UNRELATED_EVENTS = 6_000
"""More than the events between two snapshots."""


async def write(log: JetStreamLog, *facts: Fact) -> None:
    for at in range(0, len(facts), 1000):
        tail, batch = await log.tail(EVENTS), facts[at : at + 1000]
        drafts = [
            draft(fact, cause=None, source="test", key=f"{tail}.{number}")
            for number, fact in enumerate(batch)
        ]
        await log.append(drafts)


async def until(log: JetStreamLog, kind: type[Fact], count: int) -> None:
    """Return when there are `count` events of a kind."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        found = 0
        async for _ in read.follow(log, kind):
            found += 1
            if found == count:
                return


async def rater(url: str, logs: Path) -> asyncio.subprocess.Process:
    """A rater whose structured logs are written to a file."""
    words = ("-m", "ringrift.consumers.rater", "--server", url, "--node", "test")
    with logs.open("wb") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, *words, stderr=file, env={**os.environ, "RINGRIFT_LOG": "json"}
        )


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def rater_beyond(log: JetStreamLog, seq: int) -> Heartbeat:
    """The heartbeat of the rater, once it has folded beyond `seq`."""

    async def beyond() -> list[Heartbeat]:
        beats = await Presence(log).all()
        return [beat for beat in beats if beat.consumer == "rater" and beat.seq > seq]

    return (await eventually(beyond, WAIT_SECONDS_MAX))[-1]


async def test_a_killed_rater_starts_from_its_snapshot_on_a_killed_server(
    server: EmbeddedServer, log: JetStreamLog, tmp_path: Path
) -> None:
    # given a rater that has written a snapshot
    blobs = Blobs(log)
    first = await rater(server.url, tmp_path / "first")
    await write(log, scored("random", 8, 2), scored("random", 6, 4))
    await until(log, RatingsUpdated, 2)
    unrelated = PipelineResumed(scope="all", why="unrelated")
    await write(log, *[unrelated] * UNRELATED_EVENTS)
    await eventually(lambda: stored(blobs, "elo"), WAIT_SECONDS_MAX)
    # when it and the server are killed and started again
    await kill(first)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await server.restart()
    second = await rater(server.url, tmp_path / "second")
    try:
        # then it continues from the snapshot, to the state that a replay gives
        await write(log, scored("random", 5, 5))
        await until(log, RatingsUpdated, 3)
        (snapshot, *_) = await stored(blobs, "elo")
        assert f'"deciders": {{"elo": {snapshot.seq}}}' in (tmp_path / "second").read_text()
        beat = await rater_beyond(log, snapshot.seq + 1)
        (run,) = await replayed_runs(log, [elo.DECIDER], beat.seq)
        assert beat.folds == {"elo": run.fold_hash}
    finally:
        await kill(second)


async def run_to_the_end(url: str) -> dict[str, str]:
    """Run all deciders and the exporter until they have folded the whole log; the digests of the
    states."""
    logs = [await JetStreamLog.open(url, name="test") for _ in range(2)]
    deciding, exporting = (Process("test", "test", log) for log in logs)
    tasks = [
        asyncio.create_task(act(deciding, DECIDERS, None)),
        asyncio.create_task(exporter.main(exporting)),
    ]
    await until(logs[0], ShardExported, 3)

    async def folded() -> bool:
        restored = len(await Blobs(logs[0]).names(SHARD_BUCKET)) == 3
        return restored and deciding.seq >= await logs[0].tail(EVENTS)

    await eventually(folded, WAIT_SECONDS_MAX)
    hashes = deciding.fold_hashes
    for process in (deciding, exporting):
        process.stop()
    await asyncio.gather(*tasks)
    for log in logs:
        await log.close()
    return hashes


async def test_shards_and_snapshots_are_rebuilt_from_the_streams(
    server: EmbeddedServer, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given states, shards and snapshots of a log
    monkeypatch.setattr("ringrift.runtime.folds.SNAPSHOT_EVENTS", 3)
    blobs = Blobs(log)
    settings = Settings(
        shard=ShardSettings(games=2),
        selfplay=SelfplaySettings(bootstrap_games=6, games_per_ticket=6),
    )
    changed = SettingsChanged(version=1, settings=settings, why="test")
    await write(log, changed, scored("random", 8, 2), scored("random", 6, 4))
    started = ConsumerStarted(node="test", consumer="selfplay", instance="test", version="1")
    await write(log, started, replace(PLAN, games=6, games_per_ticket=6))
    plan = await log.tail(EVENTS)
    cause, ticket = f"EVENTS/{plan}", f"selfplay-events-{plan}-0"
    games = [
        replace(play_game("hex8_2p", seed), game=f"{ticket}-{seed}", ticket=ticket, node="test")
        for seed in range(6)
    ]
    await log.append_each(
        [draft(game, cause=cause, source="test", key=game.seed) for game in games]
    )
    before = await run_to_the_end(server.url)
    shards, snapshots = await blobs.names(SHARD_BUCKET), await blobs.names(FOLD_BUCKET)
    assert len(shards) == 3
    assert any(name.startswith("fold.elo.") for name in snapshots)
    events = await log.tail(EVENTS)
    # when all shards and snapshots are deleted
    for bucket in (SHARD_BUCKET, FOLD_BUCKET):
        for name in await blobs.names(bucket):
            await blobs.delete(bucket, name)
        assert await blobs.names(bucket) == []
    # then the next run restores them, and decides and exports nothing again
    assert await run_to_the_end(server.url) == before
    assert await blobs.names(SHARD_BUCKET) == shards
    assert all([await blobs.get(SHARD_BUCKET, name) for name in shards])
    assert await log.tail(EVENTS) == events
