"""How a cluster of three on this machine bears load and loss: what it takes, how soon it reacts, how long it is away.

All servers share this machine's cores and disk, and sync every message as `nats.conf` says: on three machines it is not slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ringrift.ops import local_cluster
from ringrift.ops.local_cluster import LocalCluster
from ringrift.ops.measured import Measured, measured
from ringrift.streams import api
from ringrift.streams.bench import BenchEvents
from ringrift.streams.ensure import ensure
from ringrift.streams.grow import wait_until_current
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.leases import hold, try_acquire
from ringrift.streams.log import Entry
from ringrift.streams.server import EmbeddedServer
from ringrift.streams.topology import EVENTS

EACH_EVENTS = 1000
REACTIONS = 100
LOAD_EVENTS = 20
"""events of one batch of the load beside the reactions, one batch after the other"""
CATCH_UP_EVENTS = 5000
CURRENT_SECONDS_MAX = 60.0


async def bench_cluster(*, runs: int) -> list[Measured]:
    """All measurements. Raises StreamError, CommandError if the servers cannot run."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        async with _one(Path(folder) / "one") as log:
            results = [measured("cluster/append/r1", "events/s", [await _append(log) for _ in range(runs)])]
        async with _three(Path(folder) / "three") as (cluster, log):
            results.append(measured("cluster/append/r3", "events/s", [await _append(log) for _ in range(runs)]))
            results += await _reactions(log, runs)
            results.append(measured("cluster/catch-up", "events/s", [await _catch_up(log) for _ in range(runs)]))
            results += await _leases(cluster, log, runs)
            results.append(measured("cluster/away/step-down", "s", [await _step_down(log) for _ in range(runs)]))
            killed = [await _kill_leader(Path(folder) / "three", cluster, log) for _ in range(runs)]
            results.append(measured("cluster/away/leader-killed", "s", killed))
    return results


@contextlib.asynccontextmanager
async def _one(data: Path) -> AsyncIterator[JetStreamLog]:
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="bench")
        await ensure(log.ask)
        yield log
        await log.close()
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def _three(data: Path) -> AsyncIterator[tuple[LocalCluster, JetStreamLog]]:
    cluster = local_cluster.create(data, 3, users=False, tls=False)
    try:
        local_cluster.start(data, cluster)
        await local_cluster.wait_until_healthy(data, cluster)
        log = await JetStreamLog.open(cluster.url, name="bench")
        await ensure(log.ask, replicas=3)
        await wait_until_current(log.ask, EVENTS, 3, CURRENT_SECONDS_MAX)
        yield cluster, log
        await log.close()
    finally:
        local_cluster.stop(data, cluster)


_events = BenchEvents()


async def _append(log: JetStreamLog) -> float:
    """Many in flight, each by itself, as games are written."""
    drafts = _events.take(EACH_EVENTS)
    began = time.perf_counter()
    await log.append_each(drafts)
    return EACH_EVENTS / (time.perf_counter() - began)


async def _reactions(log: JetStreamLog, runs: int) -> list[Measured]:
    """From the call of append to the event in a follower's hands, while another writes batches without a pause."""
    followed = log.follow(EVENTS, start_seq=await log.tail(EVENTS) + 1)
    loading = asyncio.create_task(_load(log))
    try:
        times = [sorted([await _reaction(log, followed) for _ in range(REACTIONS)]) for _ in range(runs)]
        await followed.aclose()
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return [
        measured(f"cluster/reaction/{name}", "ms", [run[int(share * (REACTIONS - 1))] * 1000 for run in times])
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _load(log: JetStreamLog) -> None:
    while True:
        await log.append(_events.take(LOAD_EVENTS))


async def _reaction(log: JetStreamLog, followed: AsyncIterator[Entry]) -> float:
    (item,) = _events.take(1)
    began = time.perf_counter()
    appended = asyncio.ensure_future(log.append([item]))
    while (await anext(followed)).id != item.id:
        pass
    seconds = time.perf_counter() - began
    await appended
    return seconds


async def _catch_up(log: JetStreamLog) -> float:
    """A follower that was down while events came."""
    start = await log.tail(EVENTS) + 1
    for _ in range(CATCH_UP_EVENTS // EACH_EVENTS):
        await log.append(_events.take(EACH_EVENTS))
    end = await log.tail(EVENTS)
    began = time.perf_counter()
    followed = log.follow(EVENTS, start_seq=start)
    async with contextlib.aclosing(followed):
        async for entry in followed:
            if entry.seq >= end:
                break
    return (end - start + 1) / (time.perf_counter() - began)


async def _leases(cluster: LocalCluster, log: JetStreamLog, runs: int) -> list[Measured]:
    """From the end of one holder to the next: it releases the lease, or it dies and the lease expires."""
    released = [await _take_over(cluster, log, f"bench-a{run}", dies=False) for run in range(runs)]
    expired = [await _take_over(cluster, log, f"bench-b{run}", dies=True) for run in range(runs)]
    return [measured("cluster/lease/released", "s", released), measured("cluster/lease/expired", "s", expired)]


async def _take_over(cluster: LocalCluster, log: JetStreamLog, role: str, *, dies: bool) -> float:
    other = await JetStreamLog.open(cluster.url, name="bench")
    holding = hold(log, role, "first", "bench")
    if dies:
        await try_acquire(log, role, "first", "bench")  # and never renewed
    else:
        await holding.__aenter__()
    began = time.perf_counter()
    waiting = asyncio.create_task(_hold_once(other, role))
    if not dies:
        await asyncio.sleep(0.5)  # until the other stands by
        began = time.perf_counter()
        await holding.__aexit__(None, None, None)
    await waiting
    seconds = time.perf_counter() - began
    await other.close()
    return seconds


async def _hold_once(log: JetStreamLog, role: str) -> None:
    async with hold(log, role, "second", "bench"):
        return


async def _step_down(log: JetStreamLog) -> float:
    """From asking the leader to go to the next acknowledged event."""
    await wait_until_current(log.ask, EVENTS, 3, CURRENT_SECONDS_MAX)
    began = time.perf_counter()
    await api.call(log.ask, f"STREAM.LEADER.STEPDOWN.{EVENTS}")
    await log.append(_events.take(1))
    return time.perf_counter() - began


async def _kill_leader(data: Path, cluster: LocalCluster, log: JetStreamLog) -> float:
    """From kill -9 of the server that leads EVENTS to the next acknowledged event."""
    await wait_until_current(log.ask, EVENTS, 3, CURRENT_SECONDS_MAX)
    info = await api.call(log.ask, f"STREAM.INFO.{EVENTS}")
    leader = str(info["cluster"]["leader"])
    began = time.perf_counter()
    local_cluster.kill(data, cluster, leader)
    await log.append(_events.take(1))
    seconds = time.perf_counter() - began
    local_cluster.start_member(data, cluster, leader)
    return seconds
