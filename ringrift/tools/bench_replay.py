"""How long a restart takes: a long log folded from its first event, and from a snapshot with the
rest that may follow one."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from ringrift.deciders.loop.evaluation import HEURISTIC, RANDOM, network_seat
from ringrift.events import Draft, Fact, Settings, event_id
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    Ranking,
    Rating,
    RatingsUpdated,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    ShardRetired,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.insight.replay import replayed_runs
from ringrift.log import read
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import BATCH_EVENTS_MAX
from ringrift.log.topology import EVENTS
from ringrift.runtime import folds
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.runtime.processes import deciders
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.tools.measured import Measured, measured

CONFIGS = tuple(
    f"{board}_{seats}p"
    for board in ("square8", "square19", "hex8", "hexagonal")
    for seats in (2, 3, 4)
)
TICKETS = 12
"""tickets and shards of one generation"""
WINDOW = 8
KEPT_GENERATIONS = 3
"""whose shards are in reach: 36 of 4,800 samples are two windows"""
KINDS = {
    SelfplayFinished: "selfplay",
    TrainingFinished: "training",
    ModelRegistered: "training",
    EvaluationScored: "evaluation",
}
START = datetime(2026, 1, 1, tzinfo=UTC)


async def bench_replay(events_wanted: int, *, runs: int) -> list[Measured]:
    """Seconds to fold all deciders over a log of so many events. Raises ServerError if the embedded
    server cannot run."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as data:
        server = await EmbeddedServer.start(Path(data))
        log = await JetStreamLog.open(server.url, name="bench")
        try:
            await ensure(log.ask)
            await _write(log, events_wanted)
            return await _measured(log, events_wanted, runs)
        finally:
            await log.close()
            await server.stop()


async def _measured(log: JetStreamLog, count: int, runs: int) -> list[Measured]:
    blobs, known = ObjectBlobs(log), list(deciders().values())
    for run in await replayed_runs(log, known, max(0, count - folds.SNAPSHOT_EVENTS)):
        await folds.save(blobs, run.decider, run.folded(max(0, count - folds.SNAPSHOT_EVENTS)))
    whole, rest = [], []
    for _ in range(runs):
        began = time.perf_counter()
        expected = {run.decider.name: run.fold_hash for run in await replayed_runs(log, known)}
        whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = await _from_snapshots(log, blobs)
        rest.append(time.perf_counter() - began)
        assert found == expected, "a fold from its snapshot is another than from the start"
    return [
        measured(f"replay/{count}/from the start", "s", whole),
        measured(f"replay/{count}/from snapshots", "s", rest),
        measured(f"replay/{count}/rate", "events/s", [count / seconds for seconds in whole]),
    ]


async def _from_snapshots(log: JetStreamLog, blobs: ObjectBlobs) -> dict[str, str]:
    """What a runner does when it starts."""
    runs = []
    for decider in deciders().values():
        start = await folds.newest(blobs, log, decider)
        runs.append(DeciderRun(decider, await own_decisions(log, decider, start.seq), start))
        runs[-1].decided_to = await log.tail(EVENTS)
    async for event, meta in read.facts(log, after=min(run.start_seq for run in runs)):
        for run in runs:
            run.take(event, meta)
    return {run.decider.name: run.fold_hash for run in runs}


async def _write(log: JetStreamLog, count: int) -> None:
    batch: list[Draft] = []
    for seq, (fact, cause) in zip(range(1, count + 1), _history(), strict=False):
        where = f"{EVENTS}/{cause}" if cause else None
        batch.append(
            Draft(
                event=fact,
                id=event_id(type(fact), where, seq),
                cause=where,
                source="bench@node",
                time=START,
            )
        )
        if len(batch) == BATCH_EVENTS_MAX:
            await log.append(batch)
            batch = []
    await log.append(batch)


def _history() -> Iterator[tuple[Fact, int]]:
    """A made-up loop over all configs, for ever: each fact with the sequence of its cause, 0 for
    none."""
    yield SettingsChanged(version=1, settings=Settings(configs=CONFIGS), why="bench"), 0
    seq, generation = 1, 0
    networks: dict[str, str | None] = dict.fromkeys(CONFIGS)
    while True:
        for config in CONFIGS:
            for fact, back in _generation(config, generation, networks):
                seq += 1
                yield _of_ticket(fact, seq - back, back), seq - back if back else 0
        generation += 1


def _of_ticket(fact: Fact, request: int, back: int) -> Fact:
    """The fact with the name of its ticket, if it is of one: that of the request it answers, as
    workers write it."""
    kind = KINDS.get(type(fact))
    if kind is None:
        return fact
    return replace(
        fact, ticket=f"{kind}-events-{request}" + (f"-{back - 1}" if kind == "selfplay" else "")
    )


def _generation(
    config: str, generation: int, networks: dict[str, str | None]
) -> Iterator[tuple[Fact, int]]:
    """One generation of a config: each fact with how many events before it its cause lies, 0 for
    none."""
    current, model = networks[config], _digest("model", config, generation)
    yield (
        SelfplayPlanned(
            config=config,
            generation=generation,
            games=64 * TICKETS,
            games_per_ticket=64,
            simulations=32,
            model=current,
            seed=1,
            settings_version=1,
        ),
        1,
    )
    for number in range(TICKETS):
        finished = SelfplayFinished(
            config=config,
            generation=generation,
            ticket="t",
            games=64,
            plies=9000,
            play_seconds=9.0,
            node="node1",
        )
        yield finished, number + 1
    yield TickRecorded(minute=generation), 0
    if generation >= KEPT_GENERATIONS:
        for number in range(TICKETS):
            index = (generation - KEPT_GENERATIONS) * TICKETS + number
            digest = _digest("shard", config, generation - KEPT_GENERATIONS, number)
            yield (
                ShardRetired(
                    config=config, digest=digest, index=index, why="bench", settings_version=1
                ),
                number + 1,
            )
    shards = tuple(_digest("shard", config, generation, number) for number in range(TICKETS))
    for number, digest in enumerate(shards):
        index = generation * TICKETS + number
        yield (
            ShardExported(
                config=config,
                encoder="e1",
                index=index,
                first_seq=index * 64 + 1,
                last_seq=index * 64 + 64,
                games=64,
                samples=4800,
                rejected=0,
                digest=digest,
                size_bytes=300_000,
            ),
            0,
        )
    yield (
        TrainingRequested(
            config=config,
            generation=generation + 1,
            architecture="v2-micro",
            parent=current,
            shards=shards[-WINDOW:],
            samples=38_400,
            seed=1,
            reason="bench",
            settings_version=1,
        ),
        1,
    )
    yield (
        TrainingFinished(
            config=config,
            generation=generation + 1,
            ticket="t",
            model=model,
            steps=300,
            samples=38_400,
            loss=2.5,
            policy_loss=1.5,
            value_loss=1.0,
            validation_loss=2.6,
            train_seconds=60.0,
            node="node1",
        ),
        1,
    )
    yield (
        ModelRegistered(
            config=config,
            model=model,
            generation=generation + 1,
            architecture="v2-micro",
            encoder="e1",
            parameters=127_396,
            parents=(current,) if current else (),
            ticket="t",
        ),
        2,
    )
    yield from _evaluations(config, generation + 1, model)
    promoted = ModelPromoted(
        config=config,
        generation=generation + 1,
        model=model,
        previous=current,
        evidence=None,
        why="bench",
        settings_version=1,
    )
    yield promoted, 2
    networks[config] = model


def _evaluations(config: str, generation: int, model: str) -> Iterator[tuple[Fact, int]]:
    candidate = network_seat(model, 32)
    opponents: tuple[Seat, Seat] = (RANDOM, HEURISTIC)
    for number, opponent in enumerate(opponents):
        yield (
            EvaluationRequested(
                config=config,
                generation=generation,
                candidate=candidate,
                opponent=opponent,
                purpose="random" if opponent is RANDOM else "heuristic",
                round=0,
                pairs=48,
                seed=1,
                settings_version=1,
            ),
            number + 1,
        )
    names = [candidate.participant, *(opponent.participant for opponent in opponents)]
    for number, opponent in enumerate(opponents):
        pair = (candidate.participant, opponent.participant)
        yield (
            EvaluationScored(
                config=config,
                generation=generation,
                ticket="t",
                candidate=pair[0],
                candidate_model=model,
                opponent=pair[1],
                purpose="random" if opponent is RANDOM else "heuristic",
                round=0,
                games=96,
                wins=80,
                starts=((0.5, 16), (1.0, 32)),
                play_seconds=30.0,
                node="node1",
                rankings=(
                    Ranking(order=pair, ranks=(1, 2), count=80),
                    Ranking(order=pair[::-1], ranks=(1, 2), count=16),
                ),
            ),
            2 + number,
        )
        table = tuple(Rating(participant=name, elo=0.0, se=1.0, games=96) for name in names)
        yield RatingsUpdated(config=config, ratings=table, games=96), 1


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
