"""The whole loop on a cluster of three, for half an hour, under faults of servers, disks, processes
and messages without a pause.

`ringrift up` runs every process on one node and `ringrift node run` a second coordinator on
another, so that leases change hands. Two plans that follow from a seed run side by side: one for
the servers, one for processes and messages. When both have ended, everything requested meanwhile
must be completed, and the history must keep every promise.

CHAOS_MINUTES (30) is the length, CHAOS_SEED (1) the seed of the plans.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest
from chaos import messages, servers
from chaos.disks import unavailable
from chaos.messages import MessageFaults
from chaos.servers import CALM_SECONDS, DISK_KINDS, KINDS, Servers, inject, recovered
from chaos.table import Row
from chaos.writers import Writer, watch_leader, writing
from simulator import checker
from simulator.checker import Sample
from support import small_loop
from support.waiting import eventually, insist

from ringrift.consumers.verification.whole import verify
from ringrift.events.facts import (
    GameCompleted,
    LeaseAcquired,
    ModelPromoted,
    StreamRecreated,
    TrainingFinished,
)
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import HEARTBEAT_SECONDS, Presence
from ringrift.log.topology import EVENTS
from ringrift.runtime.authorship import deciders
from ringrift.runtime.processes import PROCESSES

MINUTES = float(os.environ.get("CHAOS_MINUTES", "30"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
WRITERS = 2
WRITE_EVERY_SECONDS = 0.1
BETWEEN_SECONDS = (1.0, 10.0)
"""Between two faults of processes or messages."""
SETTLE_SECONDS_MAX = 900.0
DRAIN_SECONDS_MAX = 90.0
HELD = {
    name: [kind for decider in spec.deciders for kind in decider.writes]
    for name, spec in PROCESSES.items()
    if spec.leased
}
"""Facts that only the holder of a role may write, by role."""
SHOWN = (GameCompleted, TrainingFinished, ModelPromoted, LeaseAcquired, StreamRecreated)


async def command(data: Path, node: str, *words: str) -> asyncio.subprocess.Process:
    """One of our commands on a node of this name, with its output in a file."""
    with (data / f"{node}.log").open("ab") as output:
        environment = os.environ | {"RINGRIFT_NODE": node, "RINGRIFT_HEALTH_PORT": "0"}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringrift.cli.main",
            *words,
            "--data",
            str(data / node),
            stdout=output,
            stderr=output,
            env=environment,
        )


@contextlib.asynccontextmanager
async def loop(data: Path, url: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """The loop on one node and a second coordinator on another, drained when the block ends."""
    up = ["up", "--server", url, "--config", "hex8_2p", "--plain", *small_loop.options()]
    run = ["node", "run", "--roles", "coordinator", "--node", "second", "--server", url]
    running = [await command(data, "first", *up), await command(data, "second", *run)]
    try:
        yield running
    finally:
        for process in running:
            if process.returncode is None:
                process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await asyncio.gather(*(process.wait() for process in running))
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def inject_until(
    until: float,
    plan: random.Random,
    kinds: Mapping[str, int],
    pauses: tuple[float, float],
    one: Callable[[str], Awaitable[None]],
    done: Counter[str],
) -> None:
    """Inject faults of these kinds, one after the other, until a time; `done` counts them."""
    while time.monotonic() < until:
        await asyncio.sleep(plan.uniform(*pauses))
        (kind,) = plan.choices(list(kinds), list(kinds.values()))
        with contextlib.suppress(StreamError):
            await one(kind)
            done[kind] += 1
            print(f"{until - time.monotonic():5.0f} s left: {kind}", flush=True)


async def server_faults(made: Servers, until: float, done: Counter[str]) -> None:
    plan, kinds = random.Random(f"servers {SEED}"), KINDS | (DISK_KINDS if made.disks else {})

    async def one(kind: str) -> None:
        await inject(made, kind, plan)
        await recovered(made.log)

    await inject_until(until, plan, kinds, CALM_SECONDS, one, done)


async def message_faults(faults: MessageFaults, until: float, done: Counter[str]) -> None:
    plan = random.Random(f"consumers {SEED}")
    await inject_until(until, plan, messages.KINDS, BETWEEN_SECONDS, faults.inject, done)


async def sample_folds(log: JetStreamLog, samples: set[Sample]) -> None:
    """Collect the digests of folds in the heartbeats, until cancelled."""
    presence = Presence(log)
    while True:
        with contextlib.suppress(StreamError):
            for beat in await presence.all():
                samples |= {Sample(name, beat.seq, hash) for name, hash in beat.folds.items()}
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def settled(log: JetStreamLog, until: int) -> None:
    """Return when every ticket requested up to a sequence has its outcome. Raises TimeoutError."""

    async def all_done() -> bool:
        with contextlib.suppress(StreamError):
            return not checker.undone(await checker.history(log), until=until)
        return False

    await eventually(all_done, SETTLE_SECONDS_MAX, every_seconds=5.0)


def violations(
    found: checker.History, writers: Sequence[Writer], samples: set[Sample], until: int
) -> list[str]:
    """The violations in the history, but for lost and doubled events."""
    events = found["EVENTS"]
    wrong = [
        *checker.disordered([writer.acknowledged for writer in writers]),
        *checker.uncaused(found),
        *checker.overheld(events, HELD),
        *checker.undone(found, until=until),
    ]
    for name, decider in deciders().items():
        decided = max((sample.seq for sample in samples if sample.decider == name), default=0)
        wrong += checker.misdecided(events, decider, samples, until=decided)
    return wrong


@pytest.mark.slow
async def test_the_loop_survives_half_an_hour_of_faults(tmp_path: Path, rows: list[Row]) -> None:
    done, samples, leaderless = Counter[str](), set[Sample](), [0.0]
    until = time.monotonic() + 60 * MINUTES
    async with (
        servers.cluster(tmp_path, disks=not unavailable()) as made,
        loop(tmp_path, made.cluster.url) as running,
    ):
        # given the loop, clients that write, and observers
        url = made.cluster.url
        faulty = await JetStreamLog.open(url, name="faults")
        faults = MessageFaults(faulty, random.Random(f"mischief {SEED}"))
        async with asyncio.TaskGroup() as tasks:
            observing = [
                tasks.create_task(watch_leader(url, leaderless)),
                tasks.create_task(sample_folds(made.log, samples)),
            ]
            # when faults of servers, processes and messages happen all the time
            injecting = [server_faults(made, until, done), message_faults(faults, until, done)]
            async with writing(url, [Writer] * WRITERS, WRITE_EVERY_SECONDS) as writers:
                await asyncio.gather(*map(tasks.create_task, injecting))
            # then all work that was requested is completed
            last_seq = await insist(lambda: made.log.tail(EVENTS))
            await settled(made.log, last_seq)
            for task in observing:
                task.cancel()
        codes = [process.returncode for process in running]
        assert codes == [None, None], f"a command ended by itself: see {tmp_path}/*.log"
        for process in running:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in running))
        found, report = await checker.history(made.log), await verify(made.log)
        undead = await faults.without_dead_letter()
        await faulty.close()
    # and the history keeps every promise
    ledgers = [writer.acknowledged for writer in writers]
    lost = checker.lost(found, ledgers, at_seq=True)
    doubled = [*checker.doubled(found), *faults.stored_twice]
    others = violations(found, writers, samples, last_seq)
    failed = [item for item in report.problems if item.level == "fail"]
    others += [f"{item.kind} {item.name}: {item.text}" for item in failed]
    others += [f"no dead letter: {body[:80]!r}" for body in undead]
    row = Row(
        f"the loop, {MINUTES:g} min, seed {SEED}",
        done,
        acknowledged=sum(map(len, ledgers)),
        lost=len(lost),
        doubled=len(doubled),
        others=len(others),
        outage_seconds=max(writer.longest for writer in writers),
        leaderless_seconds=leaderless[0],
    )
    rows.append(row)
    kinds = Counter(type(event) for event, _ in (*found["EVENTS"], *found["GAMES"]))
    counts = ", ".join(f"{kinds[kind]:,} {kind.__name__}" for kind in SHOWN)
    print(f"\n{row.run}: {dict(done)}; {len(found['EVENTS']):,} events, {counts}")
    print(f"{len(samples):,} folds compared, {report.checked}")
    assert [*lost, *doubled, *others] == []
    assert samples
    assert kinds[TrainingFinished]
