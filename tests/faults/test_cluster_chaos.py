"""Real servers under faults: three servers, processes of the simulator on them, clients that write.
The history must keep every promise, and processes that make a mistake must be found.

CHAOS_SEEDS (10) and CHAOS_ROUNDS (20) are the numbers of plans and of faults in each.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from chaos import servers
from chaos.disks import unavailable
from chaos.processes import SETTLE_SECONDS_MAX, Worker, keep_running, loop, others_broken, settled
from chaos.servers import CALM_SECONDS, DISK_KINDS, KINDS, inject, recovered
from chaos.table import Row
from chaos.writers import HastyWriter, Writer, watch_leader, writing
from simulator import checker
from simulator.broken import forgotten
from simulator.checker import Sample
from simulator.workload import MAINS
from support.waiting import eventually

from ringrift.deciders.loop import selfplay
from ringrift.events import Draft, Fact
from ringrift.events.facts import SelfplayPlanned
from ringrift.events.unknown import PROGRAM
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime import decide as deciding
from ringrift.runtime.process import cancel

SEEDS_LONG = int(os.environ.get("CHAOS_SEEDS", "10"))
ROUNDS_LONG = int(os.environ.get("CHAOS_ROUNDS", "20"))


class ForgetfulWorker(Worker):
    """Wrong on purpose: a planner derives the ids of its decisions from its own name as well."""

    def draft(
        self, fact: Fact, *, cause: str | None, key: str | int = 0, program: str = PROGRAM
    ) -> Draft:
        own = f"{key}.{self.node}" if self.name == "planner" else key
        return super().draft(fact, cause=cause, key=own, program=program)


async def survive(data: Path, seed: int, kinds: list[str], rows: list[Row]) -> None:
    """Run the processes under faults of these kinds, and check the history."""
    plan, samples, leaderless = random.Random(seed), list[Sample](), [0.0]
    async with (
        servers.cluster(data, disks=bool(set(kinds) & DISK_KINDS.keys())) as made,
        loop(made.cluster.url, samples),
    ):
        watching = asyncio.create_task(watch_leader(made.cluster.url, leaderless))
        async with writing(made.cluster.url) as writers:
            for kind in kinds:
                await asyncio.sleep(plan.uniform(*CALM_SECONDS))
                await inject(made, kind, plan)
                await recovered(made.log)
        found = await settled(made.log)
        await cancel(watching)
    ledgers = [writer.acknowledged for writer in writers]
    lost, doubled = checker.lost(found, ledgers, at_seq=True), checker.doubled(found)
    others = others_broken(found, ledgers, samples)
    row = Row(
        f"seed {seed}",
        Counter(kinds),
        acknowledged=sum(map(len, ledgers)),
        lost=len(lost),
        doubled=len(doubled),
        others=len(others),
        outage_seconds=max(writer.longest for writer in writers),
        leaderless_seconds=leaderless[0],
    )
    rows.append(row)
    compared = f"{row.acknowledged:,} acknowledged, {len(samples):,} folds compared"
    print(f"\n{row.run}: {', '.join(kinds)}; {compared}")
    assert [*lost, *doubled, *others] == []
    assert row.acknowledged > len(kinds)
    assert samples


def kinds_of(seed: int, rounds: int) -> list[str]:
    """The faults of a plan, one after the other; with disks where this machine provides them."""
    kinds = KINDS if unavailable() else KINDS | DISK_KINDS
    return random.Random(f"kinds {seed}").choices(list(kinds), list(kinds.values()), k=rounds)


@pytest.mark.slow  # an election alone takes 4 to 9 s, a round half a minute
@pytest.mark.parametrize("seed", range(2, SEEDS_LONG + 2))
async def test_a_cluster_of_three_survives_a_long_plan(
    tmp_path: Path, seed: int, rows: list[Row]
) -> None:
    await survive(tmp_path, seed, kinds_of(seed, ROUNDS_LONG), rows)


async def test_a_cluster_of_three_survives_a_short_plan(tmp_path: Path, rows: list[Row]) -> None:
    await survive(tmp_path, 1, ["kill", "all"], rows)


async def test_a_writer_that_does_not_wait_is_found(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as made:
        async with writing(made.cluster.url, (Writer, HastyWriter)) as writers:
            await asyncio.sleep(1.0)
            await inject(made, "all", random.Random(1))
            await recovered(made.log)
        found = await checker.history(made.log)
    right, hasty = (
        [*checker.lost(found, [writer.acknowledged], at_seq=False), *checker.doubled(found)]
        for writer in writers
    )
    assert right == []
    assert hasty


@pytest.mark.slow  # starts three servers
async def test_a_planner_that_forgets_its_decisions_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "own_decisions", forgotten)

    def planned(found: checker.History) -> int:
        return sum(isinstance(event, SelfplayPlanned) for event, _ in found["EVENTS"])

    async def plan_more(url: str, log: JetStreamLog, names: tuple[str, ...]) -> None:
        """Run these processes until there are more plans than before."""
        before = planned(await checker.history(log))

        async def more() -> bool:
            return planned(await checker.history(log)) > before

        running = [
            asyncio.create_task(keep_running(url, name, *MAINS[name], [], ForgetfulWorker))
            for name in names
        ]
        try:
            await eventually(more, SETTLE_SECONDS_MAX, every_seconds=0.5)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async with servers.cluster(tmp_path) as made:
        url = made.cluster.url
        await plan_more(url, made.log, ("operator", "planner-a"))
        await plan_more(url, made.log, ("planner-b",))
        found = await checker.history(made.log)
    assert checker.misdecided(found["EVENTS"], selfplay.DECIDER, [], until=0)
