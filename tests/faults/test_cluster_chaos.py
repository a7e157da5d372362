"""Servers of a cluster are killed, frozen, cut off and restarted by a plan that follows from a seed, while writers keep ledgers.

Afterwards the whole history is read: nothing acknowledged is missing, nothing is there twice, the order of every subject is kept.
One server at a time is harmed, as a cluster of three promises. `make chaos` prints the table; CHAOS_SEEDS and CHAOS_ROUNDS
make it longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from ringrift.events import decode, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.ops import local_cluster
from ringrift.ops.local_cluster import LocalCluster
from ringrift.streams.ensure import ensure
from ringrift.streams.errors import StreamError
from ringrift.streams.grow import wait_until_current
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.topology import EVENTS

WRITERS = 3
HARM_SECONDS = (1.0, 8.0)
CALM_SECONDS = (0.5, 2.0)
READY_SECONDS_MAX = 60.0
SEEDS_LONG = int(os.environ.get("CHAOS_SEEDS", "10"))
ROUNDS_LONG = int(os.environ.get("CHAOS_ROUNDS", "20"))


class Writer:
    """Appends one event after the other to a subject of its own; `acknowledged` is what it was told is stored."""

    def __init__(self, log: JetStreamLog, name: str) -> None:
        self._log, self._name = log, name
        self.acknowledged: list[tuple[int, str]] = []
        self.longest = 0.0

    async def write(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            fact = ConsumerStarted(node=self._name, consumer="chaos", instance=str(number), version="1")
            item = draft(fact, cause=None, source="chaos", key=f"{self._name}-{number}")
            began = time.monotonic()
            while True:
                with contextlib.suppress(StreamError):  # the same id again, until it is known to be stored
                    (seq,) = await self._log.append([item])
                    break
            self.longest = max(self.longest, time.monotonic() - began)
            self.acknowledged.append((seq, item.id))
            number += 1


async def harm(data: Path, cluster: LocalCluster, plan: random.Random, done: Counter[str]) -> None:
    """One server loses something for a while and gets it back."""
    member = plan.choice(cluster.members)
    how = plan.choice(("kill", "freeze", "cut"))
    done[how] += 1
    if how == "kill":
        local_cluster.kill(data, cluster, member.name)
    elif how == "freeze":
        os.kill(member.pid, signal.SIGSTOP)
    else:
        local_cluster.cut(data, cluster, [member.name])
    try:
        await asyncio.sleep(plan.uniform(*HARM_SECONDS))
    finally:
        if how == "kill":
            local_cluster.start_member(data, cluster, member.name)
        elif how == "freeze":
            os.kill(member.pid, signal.SIGCONT)
        else:
            local_cluster.cut(data, cluster, [])


async def recovered(log: JetStreamLog) -> None:
    """All three replicas are current, so that the next harm is again the only one."""
    await wait_until_current(log.ask, EVENTS, 3, READY_SECONDS_MAX)


async def history(log: JetStreamLog) -> list[tuple[int, str, str]]:
    """Sequence, id and subject of all that is stored."""
    found = []
    async for batch in log.read(EVENTS):
        for entry in batch:
            found.append((entry.seq, decode(entry.body, stream=EVENTS, seq=entry.seq).meta.id, entry.subject))
    return found


def check(stored: list[tuple[int, str, str]], writers: list[Writer]) -> tuple[int, int]:
    """Lost and doubled. The order of a writer's own subject is that of its acknowledgements."""
    at = {seq: id for seq, id, _ in stored}
    lost = sum(at.get(seq) != id for writer in writers for seq, id in writer.acknowledged)
    doubled = sum(count - 1 for count in Counter(id for _, id, _ in stored).values())
    for writer in writers:
        seqs = [seq for seq, _ in writer.acknowledged]
        assert seqs == sorted(set(seqs))
    return lost, doubled


async def chaos(data: Path, seed: int, rounds: int) -> None:
    plan, done = random.Random(seed), Counter[str]()
    cluster = local_cluster.create(data, 3, users=False, tls=False)
    try:
        local_cluster.start(data, cluster)
        await local_cluster.wait_until_healthy(data, cluster)
        log = await JetStreamLog.open(cluster.url, name="chaos")
        await ensure(log.ask, replicas=3)
        await recovered(log)
        stop = asyncio.Event()
        writers = [Writer(await JetStreamLog.open(cluster.url, name=f"w{number}"), f"w{number}") for number in range(WRITERS)]
        writing = [asyncio.create_task(writer.write(stop)) for writer in writers]
        for _ in range(rounds):
            await asyncio.sleep(plan.uniform(*CALM_SECONDS))
            await harm(data, cluster, plan, done)
            await recovered(log)
        stop.set()
        await asyncio.gather(*writing)
        lost, doubled = check(await history(log), writers)
        acknowledged = sum(len(writer.acknowledged) for writer in writers)
        longest = max(writer.longest for writer in writers)
        print(f"\nseed {seed}: kills {done['kill']}, freezes {done['freeze']}, cuts {done['cut']}, acknowledged {acknowledged}, "
              f"lost {lost}, doubled {doubled}, longest outage of a writer {longest:.1f} s")  # fmt: skip
        assert (lost, doubled) == (0, 0)
        assert acknowledged > rounds
        for each in (log, *(writer._log for writer in writers)):
            await each.close()
    finally:
        local_cluster.stop(data, cluster)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "rounds"), [(1, 3), *((seed, ROUNDS_LONG) for seed in range(2, SEEDS_LONG + 2))])
async def test_a_cluster_of_three_survives_the_plan(tmp_path: Path, seed: int, rounds: int) -> None:
    await chaos(tmp_path, seed, rounds)
