"""Everything but the streams may be lost: folds start from snapshots after kill -9, and come back
with shards without them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringrift.consumers import exporter
from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, Settings, decode, draft
from ringrift.events.facts import (
    EvaluationScored,
    GameCompleted,
    PipelineResumed,
    Ranking,
    RatingsUpdated,
    Seat,
    SettingsChanged,
    ShardExported,
)
from ringrift.events.settings import SelfplaySettings, ShardSettings
from ringrift.insight.replay import replayed_runs
from ringrift.learning.targets import Decision, encode
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.log.snapshots import stored
from ringrift.log.topology import EVENTS, SHARD_BUCKET, SNAPSHOT_BUCKET
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

DECIDERS = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, promotion.DECIDER, elo.DECIDER)
WAIT_SECONDS_MAX = 60.0
NOISE = 6_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = await EmbeddedServer.start(tmp_path)
    yield server
    if server.running:
        await server.stop()


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    yield log
    await log.close()


def scored(wins: int) -> EvaluationScored:
    names = ("bbbbbbbbbbbb:gumbel:s32", "baseline:random:s0")
    rankings = (
        Ranking(order=names, ranks=(1, 2), count=wins),
        Ranking(order=names[::-1], ranks=(1, 2), count=20 - wins),
    )
    return EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket=f"t{wins}",
        candidate=names[0],
        candidate_model=None,
        opponent=names[1],
        purpose="random",
        round=0,
        games=20,
        wins=wins,
        scores=((0.5, 10),),
        rankings=rankings,
        play_seconds=1.0,
        node="n",
    )


def random_game(seed: int) -> GameCompleted:
    rng, position = np.random.default_rng(seed), Position.start(Config.parse("hex8_2p"))
    moves, decisions = list[str](), list[Decision]()
    while not position.over:
        codes = position.legal_codes()
        chosen = int(rng.integers(len(codes)))
        if len(codes) > 1:
            decisions.append(
                Decision(
                    position.ply,
                    np.zeros(2, np.float32),
                    np.array([chosen]),
                    np.ones(1, np.float32),
                )
            )
        moves.append(position.token(int(codes[chosen])))
        position.play_code(int(codes[chosen]))
    return GameCompleted(
        game=f"game-{seed}",
        config="hex8_2p",
        origin="selfplay",
        ticket="t",
        pie=False,
        seed=seed,
        moves=" ".join(moves),
        seats=(Seat(participant="test:gumbel:s8", harness="gumbel", simulations=8),) * 2,
        plies=position.ply,
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=encode(2, decisions),
        rules_version=RULES_VERSION,
        play_seconds=0.0,
        node="n",
        settings_version=1,
    )


async def write(log: JetStreamLog, *facts: Fact) -> None:
    for at in range(0, len(facts), 1000):
        batch = facts[at : at + 1000]
        tail = await log.tail(EVENTS)
        await log.append(
            [
                draft(fact, cause=None, source="test", key=f"{tail}.{i}")
                for i, fact in enumerate(batch)
            ]
        )


async def until(log: JetStreamLog, kind: type[Fact], count: int) -> None:
    """Until there are `count` events of a kind."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        found = 0
        async for entry in log.follow(EVENTS):
            found += isinstance(decode(entry.body, stream=EVENTS, seq=entry.seq).event, kind)
            if found == count:
                return


async def rater(url: str, said: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "RINGRIFT_LOG": "json"}
    with said.open("wb") as errors:
        words = (
            sys.executable,
            "-m",
            "ringrift.consumers.rater",
            "--server",
            url,
            "--node",
            "test",
        )
        return await asyncio.create_subprocess_exec(*words, stderr=errors, env=environment)


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_a_killed_rater_starts_from_its_snapshot_on_a_killed_server(
    server: EmbeddedServer, log: JetStreamLog, tmp_path: Path
) -> None:
    blobs = ObjectBlobs(log)
    first = await rater(server.url, tmp_path / "first")
    await write(log, scored(15), scored(12))
    await until(log, RatingsUpdated, 2)
    await write(log, *(PipelineResumed(scope="all", why="noise") for _ in range(NOISE)))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await stored(blobs, "elo"):  # noqa: ASYNC110  a bucket has no event to wait for
            await asyncio.sleep(0.1)
    await kill(first)
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    await server.restart()
    second = await rater(server.url, tmp_path / "second")
    try:
        await write(log, scored(9))
        await until(log, RatingsUpdated, 3)
        (snapshot, *_) = await stored(blobs, "elo")
        assert f'"deciders": {{"elo": {snapshot.seq}}}' in (tmp_path / "second").read_text()
        (beat,) = await beats(log, snapshot.seq + 1)
        (run,) = await replayed_runs(log, [elo.DECIDER], beat.seq)
        assert beat.folds == {"elo": run.fold_hash}
    finally:
        await kill(second)


async def beats(log: JetStreamLog, seq: int) -> list[Any]:
    """Heartbeats of the rater, once it has folded beyond `seq`."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            found = [
                beat
                for beat in await Presence(log).all()
                if beat.consumer == "rater" and beat.seq > seq
            ]
            if found:
                return found[-1:]
            await asyncio.sleep(0.1)


async def run_to_the_end(url: str) -> dict[str, str]:
    """All deciders and the exporter until they have folded the whole log; the digests of the
    states."""
    logs = [await JetStreamLog.open(url, name="test") for _ in range(2)]
    deciding, exporting = (Process("test", "test", log) for log in logs)
    tasks = [
        asyncio.create_task(act(deciding, DECIDERS, None)),
        asyncio.create_task(exporter.main(exporting)),
    ]
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await until(logs[0], ShardExported, 3)
        while exporting.doing != "exporting" or deciding.seq < await logs[0].tail(EVENTS):  # noqa: ASYNC110  a fold has no event
            await asyncio.sleep(0.05)
    hashes = {name: fold.fold_hash for name, fold in deciding._folds.items()}
    for process in (deciding, exporting):
        process.stop()
    await asyncio.gather(*tasks)
    for item in logs:
        await item.close()
    return hashes


async def test_shards_and_snapshots_come_back_from_the_streams(
    server: EmbeddedServer, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringrift.runtime.folds.SNAPSHOT_EVENTS", 3)
    blobs = ObjectBlobs(log)
    settings = Settings(
        shard=ShardSettings(games=2),
        selfplay=SelfplaySettings(bootstrap_games=6, games_per_ticket=6),
    )
    await write(
        log, SettingsChanged(version=1, settings=settings, why="test"), scored(15), scored(12)
    )
    await log.append_each(
        [draft(random_game(seed), cause=None, source="test", key=seed) for seed in range(6)]
    )
    before = await run_to_the_end(server.url)
    shards, taken = await blobs.names(SHARD_BUCKET), await blobs.names(SNAPSHOT_BUCKET)
    assert len(shards) == 3
    assert any(name.startswith("fold.elo.") for name in taken)
    events = await log.tail(EVENTS)
    for bucket in (SHARD_BUCKET, SNAPSHOT_BUCKET):
        for name in await blobs.names(bucket):
            await blobs.delete(bucket, name)
        assert await blobs.names(bucket) == []
    assert await run_to_the_end(server.url) == before
    assert await blobs.names(SHARD_BUCKET) == shards
    assert [len(await blobs.get(SHARD_BUCKET, name)) > 0 for name in shards] == [True] * 3
    assert await log.tail(EVENTS) == events  # nothing was decided or exported again
