"""Time of a restart: a long log folded from its first event, and from a snapshot with the events
that may follow one."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ringrift.deciders.kit import Decider
from ringrift.events import Draft, event_id
from ringrift.insight.rebuild import replayed_runs
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import BATCH_EVENTS_MAX
from ringrift.log.topology import EVENTS
from ringrift.runtime import folds
from ringrift.runtime.authorship import deciders, runners
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.history import history
from ringrift.tools.bench.log import fresh_log

START = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = {"from the start": "s", "from snapshots": "s", "rate": "events/s"}


async def benchmarks(scope: Scope) -> Benchmarks:
    """Seconds to fold all deciders over a log of `scope.events` events, and its events per
    second."""
    async with fresh_log() as log:
        await write_history(log, scope.events)
        known, blobs = list(deciders().values()), Blobs(log)
        start = max(0, scope.events - folds.SNAPSHOT_EVENTS)
        for run in await replayed_runs(log, known, start):
            (author,) = runners(run.decider.name)
            await folds.save(blobs, run.decider, run.folded(start), author)
        restart = partial(_restart, log, blobs, known, scope.events)
        yield Benchmark(f"replay/{scope.events}", UNITS, restart)


async def write_history(log: JetStreamLog, count: int) -> None:
    """Append the first `count` events of the made-up history."""
    batch: list[Draft] = []
    for seq, (fact, cause_seq) in zip(range(1, count + 1), history(), strict=False):
        cause = f"{EVENTS}/{cause_seq}" if cause_seq else None
        id = event_id(type(fact), cause, seq)
        batch.append(Draft(event=fact, id=id, cause=cause, source="bench@node", time=START))
        if len(batch) == BATCH_EVENTS_MAX:
            await log.append(batch)
            batch = []
    if batch:
        await log.append(batch)


async def _restart(
    log: JetStreamLog, blobs: Blobs, known: Sequence[Decider[Any]], count: int
) -> dict[str, float]:
    """Fold in both ways, and check that the states are equal."""
    began = time.perf_counter()
    expected = {run.decider.name: run.fold_hash for run in await replayed_runs(log, known)}
    whole = time.perf_counter() - began
    began = time.perf_counter()
    found = await _from_snapshots(log, blobs, known)
    rest = time.perf_counter() - began
    assert found == expected, "a fold from a snapshot differs from one from the start"
    return {"from the start": whole, "from snapshots": rest, "rate": count / whole}


async def _from_snapshots(
    log: JetStreamLog, blobs: Blobs, known: Sequence[Decider[Any]]
) -> dict[str, str]:
    """Digests of the states after what a runner does when it starts."""
    runs = []
    for decider in known:
        start = await folds.newest(blobs, log, decider)
        run = DeciderRun(decider, await own_decisions(log, decider, start.seq), start)
        run.decided_to = await log.tail(EVENTS)
        runs.append(run)
    async for event, meta in read.facts(log, after=min(run.start_seq for run in runs)):
        for run in runs:
            run.take(event, meta)
    return {run.decider.name: run.fold_hash for run in runs}
