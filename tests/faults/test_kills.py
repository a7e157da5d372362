"""Kill -9 of any process and of the server, again and again, while the loop runs: it completes as
if nothing had happened.

The plan of kills follows from a seed. A client keeps a ledger of its acknowledged writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from simulator import checker
from support import small_loop
from support.waiting import eventually

from ringrift.events import Fact, draft
from ringrift.events.facts import (
    ModelPromoted,
    ModelRegistered,
    PipelineResumed,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.insight.rebuild import rebuild_elo
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.server.address import read_address
from ringrift.server.embedded import EmbeddedServer

START_SECONDS_MAX = 60.0
FINISH_SECONDS_MAX = 400.0
KILL_EVERY_SECONDS = (1.0, 4.0)
KILLS = 14
SERVER_SHARE = 0.25
"""Share of the kills that hit the server."""
WRITE_EVERY_SECONDS = 0.05


async def started(data: Path) -> asyncio.subprocess.Process:
    """`ringrift up` for two generations."""
    words = ["up", "--data", str(data), "--config", "hex8_2p", "--generations", "2", "--plain"]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ringrift.cli.main",
        *words,
        *small_loop.options(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def connected(data: Path) -> JetStreamLog:
    async def connect() -> JetStreamLog | None:
        address = read_address(data)
        if address is not None:
            with contextlib.suppress(StreamError):
                return await JetStreamLog.open(address.url, name="test")
        return None

    log = await eventually(connect, START_SECONDS_MAX)
    assert log is not None
    return log


async def produce(log: JetStreamLog, ledger: list[str]) -> None:
    """Append facts that no process reacts to; `ledger` holds those that were acknowledged."""
    for number in range(1_000_000):
        fact = PipelineResumed(scope="square19_4p", why=f"ledger {number}")
        item = draft(fact, cause=None, source="test", key=number)
        with contextlib.suppress(StreamError):
            await log.append([item])
            ledger.append(item.id)
        await asyncio.sleep(WRITE_EVERY_SECONDS)


async def kill(log: JetStreamLog, data: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(*KILL_EVERY_SECONDS))
        pids: list[int] = []
        if chance.random() < SERVER_SHARE and (address := read_address(data)):
            pids = [address.pid]
        else:
            with contextlib.suppress(StreamError, TimeoutError):
                beats = sorted(await Presence(log).all(), key=lambda beat: beat.consumer)
                pids = [beat.pid for beat in beats]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]
)
async def test_the_loop_survives_kills(tmp_path: Path, seed: int) -> None:
    loop = await started(tmp_path)
    log = await connected(tmp_path)
    ledger: list[str] = []
    producing = asyncio.create_task(produce(log, ledger))
    killing = asyncio.create_task(kill(log, tmp_path, seed))
    try:
        async with asyncio.timeout(FINISH_SECONDS_MAX):
            output, _ = await loop.communicate()
        assert loop.returncode == 0, output.decode()
    finally:
        for task in (killing, producing):
            task.cancel()
        await asyncio.gather(killing, producing, return_exceptions=True)
        if loop.returncode is None:
            loop.terminate()
            await loop.wait()
        await log.close()
    assert b"restarting it" in output
    await audit(tmp_path, ledger)


async def audit(data: Path, ledger: list[str]) -> None:
    """Start the server alone on the data and check the complete history."""
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="audit")
        check(await checker.history(log), ledger)
        (rebuilt,) = await rebuild_elo(log)
        assert rebuilt.identical
        await log.close()
    finally:
        await server.stop()


def check(history: checker.History, ledger: list[str]) -> None:
    """Nothing acknowledged is lost, nothing is stored twice, every game is in one shard, and every
    network has one verdict."""
    stored = {meta.id for events in history.values() for _, meta in events}
    assert not set(ledger) - stored
    assert checker.doubled(history) == []
    assert checker.undone(history) == []
    of: dict[type[Fact], list[Fact]] = defaultdict(list)
    for event, _ in history["EVENTS"]:
        of[type(event)].append(event)
    finished = sum(event.games for event in of[SelfplayFinished])
    assert sum(event.games for event in of[SelfplayPlanned]) == finished
    after = 0
    for shard in of[ShardExported]:
        assert shard.first_seq > after
        inside = [meta for _, meta in history["GAMES"] if after < meta.seq <= shard.last_seq]
        assert len(inside) == shard.games
        after = shard.last_seq
    verdicts = Counter(event.model for event in (*of[ModelPromoted], *of[PromotionRejected]))
    assert verdicts == Counter(event.model for event in of[ModelRegistered])
    assert len(of[TrainingRequested]) == len(of[TrainingFinished]) == 2
