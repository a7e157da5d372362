"""The whole loop on a cluster of three, for half an hour, while servers, disks, consumers and
messages are harmed without a pause.

`ringrift up` runs every consumer on one node and `ringrift node run` a second coordinator on
another, so that leases change hands. Two plans that follow from a seed run beside each other: one
for the servers, one for consumers and messages. When both have ended, all that was asked for
meanwhile must come to its end, and the history must be what it must always be.

CHAOS_MINUTES (30) says for how long, CHAOS_SEED (1) by which plan.
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
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from chaos import messages, servers
from chaos.disks import why_none
from chaos.messages import Mischief, insist
from chaos.servers import CALM_SECONDS, DISK_KINDS, KINDS, Servers, harm, recovered
from chaos.table import Row
from chaos.writers import Writer, watch_leader, writing
from simulator import checker
from simulator.checker import Sample, history
from test_kills import SETTINGS

from ringrift.consumers import monitor as monitor
from ringrift.deciders.loop import evaluation, promotion, retention, selfplay, training
from ringrift.events import Recorded
from ringrift.events.facts import (
    GameCompleted,
    LeaseAcquired,
    ModelPromoted,
    StreamRecreated,
    TrainingFinished,
)
from ringrift.insight.verify import verify
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import HEARTBEAT_SECONDS, Presence
from ringrift.log.topology import EVENTS
from ringrift.runtime.processes import PROCESSES, deciders

MINUTES = float(os.environ.get("CHAOS_MINUTES", "30"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
WRITERS = 2
WRITE_EVERY_SECONDS = 0.1
BETWEEN_SECONDS = (1.0, 10.0)
"""from one harm to consumers or messages to the next"""
SETTLE_SECONDS_MAX = 900.0
DRAIN_SECONDS_MAX = 90.0
HELD = {
    "planner": (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, retention.DECIDER),
    "promoter": (promotion.DECIDER,),
    "feedback": PROCESSES["feedback"].deciders,
    "monitor": PROCESSES["monitor"].deciders,
}
"""roles and what only their holder decides"""


async def _command(data: Path, node: str, *words: str) -> asyncio.subprocess.Process:
    """One of our commands as a node of that name, its output in a file."""
    with (data / f"{node}.log").open("ab") as said:
        environment = os.environ | {"RINGRIFT_NODE": node, "RINGRIFT_HEALTH_PORT": "0"}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringrift.cli.main",
            *words,
            "--data",
            str(data / node),
            stdout=said,
            stderr=said,
            env=environment,
        )


@contextlib.asynccontextmanager
async def _loop(data: Path, url: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """The loop on one node and a second coordinator on another, drained when the block ends."""
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    running = [
        await _command(
            data, "first", "up", "--server", url, "--config", "hex8_2p", "--plain", *settings
        ),
        await _command(
            data,
            "second",
            "node",
            "run",
            "--roles",
            "coordinator",
            "--node",
            "second",
            "--server",
            url,
        ),
    ]
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


async def _harm_servers(made: Servers, until: float, done: Counter[str]) -> None:
    plan, kinds = random.Random(f"servers {SEED}"), KINDS | (DISK_KINDS if made.disks else {})
    while time.monotonic() < until:
        await asyncio.sleep(plan.uniform(*CALM_SECONDS))
        (how,) = plan.choices(list(kinds), list(kinds.values()))
        await harm(made, how, plan)
        await recovered(made.log)
        done[how] += 1
        print(f"{until - time.monotonic():5.0f} s left: {how}", flush=True)


async def _harm_consumers(mischief: Mischief, until: float, done: Counter[str]) -> None:
    plan = random.Random(f"consumers {SEED}")
    while time.monotonic() < until:
        await asyncio.sleep(plan.uniform(*BETWEEN_SECONDS))
        (how,) = plan.choices(list(messages.KINDS), list(messages.KINDS.values()))
        with contextlib.suppress(StreamError):
            await mischief.do(how)
            done[how] += 1
            print(f"{until - time.monotonic():5.0f} s left: {how}", flush=True)


async def _look_at_folds(log: JetStreamLog, samples: set[Sample]) -> None:
    """What consumers say of their folds, for ever."""
    presence = Presence(log)
    while True:
        with contextlib.suppress(StreamError):
            samples |= {
                Sample(name, beat.seq, hash)
                for beat in await presence.all()
                for name, hash in beat.folds.items()
            }
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _settled(log: JetStreamLog, until_seq: int) -> None:
    """Returns when every ticket asked for up to a sequence has its outcome. Raises TimeoutError."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            with contextlib.suppress(StreamError):
                if not checker.undone(await history(log), until=until_seq):
                    return
            await asyncio.sleep(5.0)


def _violations(
    found: Mapping[str, Sequence[Recorded]],
    writers: Sequence[Writer],
    samples: set[Sample],
    until: int,
) -> list[str]:
    """All that the history must not be, but for what is lost or doubled."""
    events = found["EVENTS"]
    wrong = [
        *checker.disordered([writer.acknowledged for writer in writers]),
        *checker.uncaused(found),
    ]
    wrong += checker.overheld(
        events, {role: [kind for one in of for kind in one.writes] for role, of in HELD.items()}
    )
    wrong += checker.undone(found, until=until)
    for name, decider in deciders().items():
        decided = max((sample.seq for sample in samples if sample.decider == name), default=0)
        wrong += checker.misdecided(events, decider, samples, until=decided)
    return wrong


@pytest.mark.slow
async def test_the_loop_lives_through_half_an_hour_of_faults(
    tmp_path: Path, rows: list[Row]
) -> None:
    done, samples, leaderless = Counter[str](), set[Sample](), [0.0]
    until = time.monotonic() + 60 * MINUTES
    async with (
        servers.cluster(tmp_path, disks=not why_none()) as made,
        _loop(tmp_path, made.cluster.url) as running,
    ):
        url = made.cluster.url
        mischief = Mischief(
            await JetStreamLog.open(url, name="mischief"), random.Random(f"mischief {SEED}")
        )
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(watch_leader(url, leaderless)),
                tasks.create_task(_look_at_folds(made.log, samples)),
            ]
            harming = [_harm_servers(made, until, done), _harm_consumers(mischief, until, done)]
            async with writing(url, [Writer] * WRITERS, WRITE_EVERY_SECONDS) as writers:
                await asyncio.gather(*(tasks.create_task(one) for one in harming))
            harmed_to = await insist(lambda: made.log.tail(EVENTS))
            await _settled(made.log, harmed_to)
            for task in beside:
                task.cancel()
        assert [process.returncode for process in running] == [None, None], (
            f"ended by itself: see {tmp_path}/*.log"
        )
        for process in running:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in running))
        found, report, unburied = (
            await history(made.log),
            await verify(made.log),
            await mischief.unburied(),
        )
        await mischief.log.close()
    lost = checker.lost(found, [writer.acknowledged for writer in writers], at_seq=True)
    doubled = [*checker.doubled(found), *mischief.stored_twice]
    others = _violations(found, writers, samples, harmed_to)
    others += [
        f"{item.kind} {item.name}: {item.text}" for item in report.problems if item.level == "fail"
    ]
    others += [f"no dead letter: {body[:80]!r}" for body in unburied]
    acknowledged, outage = (
        sum(len(writer.acknowledged) for writer in writers),
        max(writer.longest for writer in writers),
    )
    name = f"the loop, {MINUTES:g} min, seed {SEED}"
    rows.append(
        Row(name, done, acknowledged, len(lost), len(doubled), len(others), outage, leaderless[0])
    )
    kinds = Counter(type(event).__name__ for event, _ in (*found["EVENTS"], *found["GAMES"]))
    shown = (GameCompleted, TrainingFinished, ModelPromoted, LeaseAcquired, StreamRecreated)
    made_facts = [f"{kinds[fact.__name__]:,} {fact.__name__}" for fact in shown]
    print(
        f"\n{name}: {dict(done)}; {len(found['EVENTS']):,} events, {', '.join(made_facts)}; {len(samples):,} folds compared, "
        f"{report.checked}"
    )
    assert [*lost, *doubled, *others] == []
    assert samples
    assert kinds[TrainingFinished.__name__]
