"""Servers of a cluster are killed, frozen, cut off and restarted by a plan that follows from a seed, while consumers work.

Afterwards the whole history is read and checked as the simulator's is: nothing acknowledged is missing, nothing is there twice, the
order of every subject is kept, one holder an epoch, every decision follows from its cause, every fold is that of the log, every
ticket has one outcome. One server at a time is harmed, as a cluster of three promises, and now and then all are killed at once.
`make chaos` prints the table; CHAOS_SEEDS and CHAOS_ROUNDS make it longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from simulator import checker
from simulator.checker import Acknowledged, Sample
from simulator.world import DECIDERS, HELD, MAINS, MODELS, VERDICTS

from ringrift.consumers.process import Process
from ringrift.events import Draft, Recorded, UndecodableEvent, decode, draft, encode
from ringrift.events.facts import ConsumerStarted
from ringrift.ops import local_cluster
from ringrift.ops.local_cluster import LocalCluster
from ringrift.streams import api
from ringrift.streams.blobs import ObjectBlobs
from ringrift.streams.ensure import ensure
from ringrift.streams.errors import StreamError
from ringrift.streams.grow import wait_until_current
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.presence import Presence
from ringrift.streams.topology import EVENTS

WRITERS = 3
HARM_SECONDS = (1.0, 8.0)
CALM_SECONDS = (0.5, 2.0)
READY_SECONDS_MAX = 60.0
SETTLE_SECONDS_MAX = 180.0
LOOK_SECONDS = 0.1
SEEDS_LONG = int(os.environ.get("CHAOS_SEEDS", "10"))
ROUNDS_LONG = int(os.environ.get("CHAOS_ROUNDS", "20"))


class Writer:
    """Appends one event after the other to a subject of its own; `acknowledged` is what it was told is stored."""

    def __init__(self, log: JetStreamLog, name: str) -> None:
        self._log, self._name = log, name
        self.acknowledged: list[Acknowledged] = []
        self.longest = 0.0

    async def write(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            fact = ConsumerStarted(node=self._name, consumer="chaos", instance=str(number), version="1")
            item = draft(fact, cause=None, source="chaos", key=f"{self._name}-{number}")
            began = time.monotonic()
            seq = await self.send(item)
            self.longest = max(self.longest, time.monotonic() - began)
            self.acknowledged.append(Acknowledged(item, seq, 2 * number, 2 * number + 1))
            number += 1

    async def send(self, item: Draft) -> int:
        """Until it is acknowledged: the same id again, whatever comes in between."""
        while True:
            with contextlib.suppress(StreamError):
                return (await self._log.append([item]))[0]


class HastyWriter(Writer):
    """Made wrong on purpose: takes what it has sent for stored."""

    async def send(self, item: Draft) -> int:
        with contextlib.suppress(nats.errors.Error):
            await self._log.client.publish(item.subject, encode(item), headers={"Nats-Msg-Id": item.id})
        await asyncio.sleep(0.001)
        return 0


class Worker(Process):
    """A real process that notes its folds."""

    def __init__(self, name: str, node: str, log: JetStreamLog, samples: list[Sample]) -> None:
        super().__init__(name, node, log, ObjectBlobs(log), Presence(log))
        self._samples = samples

    def folded(self, seq: int, folds: Any) -> None:
        super().folded(seq, folds)
        self._samples += [Sample(name, seq, fold.fold_hash) for name, fold in folds.items()]


async def keep_running(
    url: str, name: str, consumer: str, main: Callable[[Process], Awaitable[None]], samples: list[Sample]
) -> None:
    """One consumer, started again when the log was away for too long, as its supervisor would."""
    life = 0
    while True:
        life += 1
        with contextlib.suppress(StreamError):
            log = await JetStreamLog.open(url, name=name)
            try:
                await main(Worker(consumer, f"{name}-{life}", log, samples))
            finally:
                await log.close()
        await asyncio.sleep(0.5)


async def watch_leader(url: str, longest: list[float]) -> None:
    """How long nobody could say who leads EVENTS, at most."""
    log = await JetStreamLog.open(url, name="watch")
    led = time.monotonic()
    try:
        while True:
            with contextlib.suppress(StreamError, TimeoutError, OSError, nats.errors.Error):
                info = await api.call(log.ask, f"STREAM.INFO.{EVENTS}", timeout=LOOK_SECONDS * 5)
                if info["cluster"].get("leader"):
                    led = time.monotonic()
            longest[0] = max(longest[0], time.monotonic() - led)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await log.close()


async def harm(data: Path, cluster: LocalCluster, how: str, plan: random.Random) -> None:
    """One server loses something for a while and gets it back; `all` of them are killed together."""
    member = plan.choice(cluster.members)
    names = [one.name for one in cluster.members] if how == "all" else [member.name]
    if how in ("kill", "all"):
        for name in names:
            local_cluster.kill(data, cluster, name)
    elif how == "freeze":
        os.kill(member.pid, signal.SIGSTOP)
    else:
        local_cluster.cut(data, cluster, names)
    try:
        await asyncio.sleep(plan.uniform(*HARM_SECONDS))
    finally:
        if how in ("kill", "all"):
            for name in names:
                local_cluster.start_member(data, cluster, name)
        elif how == "freeze":
            os.kill(member.pid, signal.SIGCONT)
        else:
            local_cluster.cut(data, cluster, [])


async def recovered(log: JetStreamLog) -> None:
    """All three replicas are current, so that the next harm is again the only one."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            with contextlib.suppress(StreamError, TimeoutError):
                await wait_until_current(log.ask, EVENTS, 3, READY_SECONDS_MAX)
                return


async def history(log: JetStreamLog) -> dict[str, list[Recorded]]:
    """All that is stored, by stream."""
    found: dict[str, list[Recorded]] = {}
    for stream in ("EVENTS", "GAMES"):
        found[stream] = []
        async for batch in log.read(stream):
            for entry in batch:
                with contextlib.suppress(UndecodableEvent):
                    found[stream].append(decode(entry.body, stream=stream, seq=entry.seq))
    return found


async def settled(log: JetStreamLog) -> dict[str, list[Recorded]]:
    """The history once every network has its verdict, every ticket its outcome and the queue is empty."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            found = await history(log)
            verdicts = sum(isinstance(event, VERDICTS) for event, _ in found["EVENTS"])
            if verdicts == len(MODELS) and not checker.undone(found) and not await log.queued():
                return found
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def three(data: Path) -> AsyncIterator[tuple[LocalCluster, JetStreamLog]]:
    """A cluster with all streams on three replicas, and a connection."""
    cluster = local_cluster.create(data, 3, users=False, tls=False)
    try:
        local_cluster.start(data, cluster)
        await local_cluster.wait_until_healthy(data, cluster)
        log = await JetStreamLog.open(cluster.url, name="chaos")
        await ensure(log.ask, replicas=3)
        await recovered(log)
        yield cluster, log
        await log.close()
    finally:
        local_cluster.stop(data, cluster)


async def chaos(data: Path, seed: int, kinds: list[str]) -> None:
    plan, samples, leaderless = random.Random(seed), list[Sample](), [0.0]
    async with three(data) as (cluster, log), asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()
        writers = [Writer(await JetStreamLog.open(cluster.url, name=f"w{number}"), f"w{number}") for number in range(WRITERS)]
        writing = [tasks.create_task(writer.write(stop)) for writer in writers]
        beside = [tasks.create_task(watch_leader(cluster.url, leaderless))]
        beside += [tasks.create_task(keep_running(cluster.url, name, *main, samples)) for name, main in MAINS.items()]
        for how in kinds:
            await asyncio.sleep(plan.uniform(*CALM_SECONDS))
            await harm(data, cluster, how, plan)
            await recovered(log)
        stop.set()
        await asyncio.wait(writing)
        found = await settled(log)
        for task in beside:
            task.cancel()
        for writer in writers:
            await writer._log.close()
    ledgers, until = [writer.acknowledged for writer in writers], max(meta.seq for _, meta in found["EVENTS"])
    lost, doubled = checker.lost(found, ledgers, at_seq=True), checker.doubled(found)
    others = [*checker.disordered(ledgers), *checker.uncaused(found), *checker.overheld(found["EVENTS"], HELD)]
    for decider in DECIDERS:
        others += checker.misdecided(found["EVENTS"], decider, samples, until=until)
    done, acknowledged = Counter(kinds), sum(len(ledger) for ledger in ledgers)
    print(f"\nseed {seed}: kills {done['kill']}, of all at once {done['all']}, freezes {done['freeze']}, cuts {done['cut']}, "
          f"acknowledged {acknowledged}, lost {len(lost)}, doubled {len(doubled)}, other violations {len(others)}, folds checked "
          f"{len(samples)}, longest outage of a writer {max(writer.longest for writer in writers):.1f} s, longest without a leader "
          f"{leaderless[0]:.1f} s")  # fmt: skip
    assert [*lost, *doubled, *others] == []
    assert acknowledged > len(kinds)
    assert samples


def kinds_of(seed: int, rounds: int) -> list[str]:
    """What befalls the cluster, one after the other."""
    return random.Random(f"kinds {seed}").choices(("kill", "freeze", "cut", "all"), (3, 3, 3, 1), k=rounds)


@pytest.mark.slow  # starts three servers, and an election alone takes 4 to 9 s: a round is half a minute
@pytest.mark.parametrize("seed", range(2, SEEDS_LONG + 2))
async def test_a_cluster_of_three_survives_the_plan(tmp_path: Path, seed: int) -> None:
    await chaos(tmp_path, seed, kinds_of(seed, ROUNDS_LONG))


async def test_a_cluster_of_three_survives_a_short_plan(tmp_path: Path) -> None:
    await chaos(tmp_path, 1, ["kill", "all"])


async def test_a_writer_that_does_not_wait_is_found_out(tmp_path: Path) -> None:
    async with three(tmp_path) as (cluster, log):
        stop = asyncio.Event()
        kinds = {"right": Writer, "hasty": HastyWriter}
        writers = [kind(await JetStreamLog.open(cluster.url, name=name), name) for name, kind in kinds.items()]
        writing = [asyncio.create_task(writer.write(stop)) for writer in writers]
        await asyncio.sleep(1.0)
        await harm(tmp_path, cluster, "all", random.Random(1))
        await recovered(log)
        stop.set()
        await asyncio.gather(*writing)
        found = await history(log)
        for writer in writers:
            await writer._log.close()
    right, hasty = ([*checker.lost(found, [writer.acknowledged], at_seq=False), *checker.doubled(found)] for writer in writers)
    assert right == []
    assert hasty
