"""Kill -9 of any consumer and of the server, again and again, while the loop runs: it ends as if
nothing had happened.

The plan of kills follows from a seed. A producer beside the loop keeps a ledger of what was
acknowledged to it."""

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

from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating as elo
from ringrift.events import Recorded, decode, draft
from ringrift.events.facts import (
    GameCompleted,
    ModelPromoted,
    ModelRegistered,
    PipelineResumed,
    PromotionRejected,
    RatingsUpdated,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.server.embedded import read_address

SETTINGS = {
    "selfplay.games": 16,
    "selfplay.bootstrap_games": 24,
    "selfplay.games_per_ticket": 8,
    "selfplay.simulations": 4,
    "selfplay.considered": 4,
    "shard.games": 8,
    "training.min_samples": 100,
    "training.epochs": 1.0,
    "training.batch": 64,
    "training.checkpoint_steps": 5,
    "evaluation.simulations": 4,
    "evaluation.starts_per_ticket": 4,
    "evaluation.baseline_starts": 4,
    "promotion.starts_max": 8,
}
FINISH_SECONDS_MAX = 400.0
KILL_EVERY_SECONDS = (1.0, 4.0)
KILLS = 14


async def started(data: Path) -> asyncio.subprocess.Process:
    words = [
        sys.executable,
        "-m",
        "ringrift.cli.main",
        "up",
        "--data",
        str(data),
        "--config",
        "hex8_2p",
        "--generations",
        "2",
    ]
    words.append("--plain")
    for name, value in SETTINGS.items():
        words += ["--set", f"{name}={value}"]
    return await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def connected(data: Path) -> JetStreamLog:
    while True:
        address = read_address(data)
        if address is not None:
            with contextlib.suppress(StreamError):
                return await JetStreamLog.open(address.url, name="test")
        await asyncio.sleep(0.1)


async def produce(log: JetStreamLog, ledger: list[str]) -> None:
    """Facts nobody reacts to, one after another; the ledger holds those that were acknowledged."""
    for number in range(1_000_000):
        item = draft(
            PipelineResumed(scope="square19_4p", why=f"ledger {number}"),
            cause=None,
            source="test",
            key=number,
        )
        with contextlib.suppress(StreamError):
            await log.append([item])
            ledger.append(item.id)
        await asyncio.sleep(0.05)


async def kill(log: JetStreamLog, data: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(*KILL_EVERY_SECONDS))
        victims = [read_address(data).pid] if chance.random() < 0.25 else []
        with contextlib.suppress(StreamError, TimeoutError):
            victims = victims or [
                beat.pid
                for beat in sorted(await Presence(log).all(), key=lambda beat: beat.consumer)
            ]
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)


async def history(log: JetStreamLog, stream: str) -> list[Recorded]:
    return [
        decode(entry.body, stream=stream, seq=entry.seq)
        async for batch in log.read(stream)
        for entry in batch
    ]


def check(events: list[Recorded], games: list[Recorded], ledger: list[str]) -> None:
    """The promises: nothing acknowledged lost, nothing twice, each game in one shard, one verdict a
    network."""
    ids = Counter(meta.id for _, meta in (*events, *games))
    assert not [name for name, count in ids.items() if count > 1]
    assert not set(ledger) - ids.keys()
    of = defaultdict(list)
    for event, meta in events:
        of[type(event)].append((event, meta))
    played = Counter(event.ticket for event, _ in games if isinstance(event, GameCompleted))
    for event, _ in of[SelfplayFinished]:
        assert played[event.ticket] == event.games
    assert sum(event.games for event, _ in of[SelfplayPlanned]) == sum(
        event.games for event, _ in of[SelfplayFinished]
    )
    after = 0
    for event, _ in of[ShardExported]:
        assert event.first_seq > after
        assert sum(after < meta.seq <= event.last_seq for _, meta in games) == event.games
        after = event.last_seq
    verdicts = Counter(
        event.model for kind in (ModelPromoted, PromotionRejected) for event, _ in of.get(kind, [])
    )
    assert verdicts == Counter(event.model for event, _ in of[ModelRegistered])
    assert len(of[TrainingRequested]) == len(of[TrainingFinished]) == 2
    rated, rating = of[RatingsUpdated][-1]
    state = elo.DECIDER.initial()
    for event, meta in events:
        if meta.seq <= int(
            (rating.cause or "").removeprefix("EVENTS/")
        ):  # one that was killed last is behind
            state = elo.DECIDER.evolve(state, event, Context.of(meta))
    assert elo.table(state, "hex8_2p") == rated


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
    assert b"starts again" in output
    await audit(tmp_path, ledger)


async def audit(data: Path, ledger: list[str]) -> None:
    """Start the server alone on the data and read the whole history."""
    from ringrift.server.embedded import EmbeddedServer

    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="audit")
        check(await history(log, "EVENTS"), await history(log, "GAMES"), ledger)
        await log.close()
    finally:
        await server.stop()
