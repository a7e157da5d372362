"""Servers of a cluster are killed, frozen, cut off and restarted by a plan that follows from a
seed, while consumers work.

Afterwards the whole history is read and checked as the simulator's is: nothing acknowledged is
missing, nothing is there twice, the order of every subject is kept, one holder an epoch, every
decision follows from its cause, every fold is that of the log, every ticket has one outcome. One
server at a time is harmed, as a cluster of three promises, and now and then all at once. `make
chaos` prints the table; CHAOS_SEEDS and CHAOS_ROUNDS make it longer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from chaos import servers
from chaos.disks import why_none
from chaos.servers import CALM_SECONDS, DISK_KINDS, KINDS, harm, recovered
from chaos.table import Row
from chaos.writers import HastyWriter, Writer, watch_leader, writing
from simulator import checker
from simulator.broken import forgotten
from simulator.checker import Sample, history
from simulator.workload import DECIDERS, HELD, MAINS, MODELS, VERDICTS

from ringrift.deciders.loop import selfplay
from ringrift.events import Draft, Fact, Recorded
from ringrift.events.facts import SelfplayPlanned
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.runtime import decide as deciding
from ringrift.runtime.process import Process

SETTLE_SECONDS_MAX = 180.0
SEEDS_LONG = int(os.environ.get("CHAOS_SEEDS", "10"))
ROUNDS_LONG = int(os.environ.get("CHAOS_ROUNDS", "20"))


class Worker(Process):
    """A real process that notes its folds."""

    def __init__(self, name: str, node: str, log: JetStreamLog, samples: list[Sample]) -> None:
        super().__init__(name, node, log, ObjectBlobs(log), Presence(log))
        self._samples = samples

    def folded(self, seq: int, folds: Any) -> None:
        super().folded(seq, folds)
        self._samples += [Sample(name, seq, fold.fold_hash) for name, fold in folds.items()]


class ForgetfulWorker(Worker):
    """Made wrong on purpose: a planner names a decision after itself instead of its cause."""

    def draft(self, fact: Fact, *, cause: str | None, key: str | int = 0) -> Draft:
        return super().draft(
            fact, cause=cause, key=f"{key}.{self.node}" if self.name == "planner" else key
        )


async def keep_running(
    url: str,
    name: str,
    consumer: str,
    main: Callable[[Process], Awaitable[None]],
    samples: list[Sample],
    kind: type[Worker] = Worker,
) -> None:
    """One consumer, started again when the log was away for too long, as its supervisor would."""
    life = 0
    while True:
        life += 1
        with contextlib.suppress(StreamError):
            log = await JetStreamLog.open(url, name=name)
            try:
                await main(kind(consumer, f"{name}-{life}", log, samples))
            finally:
                await log.close()
        await asyncio.sleep(0.5)


async def settled(log: JetStreamLog) -> dict[str, list[Recorded]]:
    """The history once every network has its verdict, every ticket its outcome and the queue is
    empty."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            found = await history(log)
            verdicts = sum(isinstance(event, VERDICTS) for event, _ in found["EVENTS"])
            if verdicts == len(MODELS) and not checker.undone(found) and not await log.queued():
                return found
            await asyncio.sleep(1.0)


async def chaos(data: Path, seed: int, kinds: list[str], rows: list[Row]) -> None:
    plan, samples, leaderless = random.Random(seed), list[Sample](), [0.0]
    async with (
        servers.cluster(data, disks=bool(set(kinds) & DISK_KINDS.keys())) as made,
        asyncio.TaskGroup() as tasks,
    ):
        url = made.cluster.url
        beside = [tasks.create_task(watch_leader(url, leaderless))]
        beside += [
            tasks.create_task(keep_running(url, name, *main, samples))
            for name, main in MAINS.items()
        ]
        async with writing(url) as writers:
            for how in kinds:
                await asyncio.sleep(plan.uniform(*CALM_SECONDS))
                await harm(made, how, plan)
                await recovered(made.log)
        found = await settled(made.log)
        for task in beside:
            task.cancel()
    ledgers, until = (
        [writer.acknowledged for writer in writers],
        max(meta.seq for _, meta in found["EVENTS"]),
    )
    lost, doubled = checker.lost(found, ledgers, at_seq=True), checker.doubled(found)
    others = [
        *checker.disordered(ledgers),
        *checker.uncaused(found),
        *checker.overheld(found["EVENTS"], HELD),
    ]
    for decider in DECIDERS:
        others += checker.misdecided(found["EVENTS"], decider, samples, until=until)
    acknowledged, outage = (
        sum(len(ledger) for ledger in ledgers),
        max(writer.longest for writer in writers),
    )
    rows.append(
        Row(
            f"seed {seed}",
            Counter(kinds),
            acknowledged,
            len(lost),
            len(doubled),
            len(others),
            outage,
            leaderless[0],
        )
    )
    print(
        f"\nseed {seed}: {', '.join(kinds)}; {acknowledged:,} acknowledged, {len(samples):,} folds compared"
    )
    assert [*lost, *doubled, *others] == []
    assert acknowledged > len(kinds)
    assert samples


def kinds_of(seed: int, rounds: int) -> list[str]:
    """What befalls the cluster, one after the other; with disks of their own also what takes
    one."""
    kinds = KINDS if why_none() else KINDS | DISK_KINDS
    return random.Random(f"kinds {seed}").choices(list(kinds), list(kinds.values()), k=rounds)


@pytest.mark.slow  # starts three servers, and an election alone takes 4 to 9 s: a round is half a minute
@pytest.mark.parametrize("seed", range(2, SEEDS_LONG + 2))
async def test_a_cluster_of_three_survives_the_plan(
    tmp_path: Path, seed: int, rows: list[Row]
) -> None:
    await chaos(tmp_path, seed, kinds_of(seed, ROUNDS_LONG), rows)


async def test_a_cluster_of_three_survives_a_short_plan(tmp_path: Path, rows: list[Row]) -> None:
    await chaos(tmp_path, 1, ["kill", "all"], rows)


async def test_a_writer_that_does_not_wait_is_found_out(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as made:
        async with writing(made.cluster.url, (Writer, HastyWriter)) as writers:
            await asyncio.sleep(1.0)
            await harm(made, "all", random.Random(1))
            await recovered(made.log)
        found = await history(made.log)
    right, hasty = (
        [*checker.lost(found, [writer.acknowledged], at_seq=False), *checker.doubled(found)]
        for writer in writers
    )
    assert right == []
    assert hasty


@pytest.mark.slow  # starts three servers
async def test_a_planner_that_forgets_what_it_has_decided_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "own_decisions", forgotten)

    async def more_planned(names: tuple[str, ...], before: int) -> int:
        url = made.cluster.url
        tasks = [
            asyncio.create_task(keep_running(url, name, *MAINS[name], [], ForgetfulWorker))
            for name in names
        ]
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                while (count := planned(await history(made.log))) <= before:  # noqa: ASYNC110  read from the log
                    await asyncio.sleep(0.5)
                return count
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def planned(found: dict[str, list[Recorded]]) -> int:
        return sum(isinstance(event, SelfplayPlanned) for event, _ in found["EVENTS"])

    async with servers.cluster(tmp_path) as made:
        count = await more_planned(("operator", "planner-a"), 0)
        await more_planned(("planner-b",), count)
        found = await history(made.log)
    assert checker.misdecided(found["EVENTS"], selfplay.DECIDER, [], until=0)
