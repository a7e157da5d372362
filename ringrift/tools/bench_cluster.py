"""How a cluster of three on this machine bears load and loss: what it takes, how soon it reacts,
how long it is away.

All servers share this machine's cores and disk, and sync every message as `nats.conf` says: on
three machines it is not slower."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ringrift.cluster import local as local_cluster
from ringrift.cluster.local import LocalCluster
from ringrift.events import Draft, draft
from ringrift.events.facts import GameCompleted
from ringrift.log import api
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold, try_acquire
from ringrift.log.protocol import Entry
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.work import IN_FLIGHT_MAX
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.server.grow import wait_until_current
from ringrift.tools.bench_log import BenchEvents
from ringrift.tools.measured import Measured, measured

EACH_EVENTS = 1000
REACTIONS = 100
LOAD_EVENTS = 20
"""events of one batch of the load beside the reactions, one batch after the other"""
CATCH_UP_EVENTS = 5000
CURRENT_SECONDS_MAX = 60.0
BURST_WRITERS = 20
BURST_GAMES = 5000
"""five seconds of a thousand games a second, from all writers together"""
TARGET_BYTES = 9500
"""makes a game as large as one of hex8_2p with 64 simulations, 13 kB; random, so that nothing
compresses it"""


async def bench_cluster(*, runs: int) -> list[Measured]:
    """All measurements. Raises StreamError, CommandError if the servers cannot run."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        async with _one(Path(folder) / "one") as log:
            results = [
                measured("cluster/append/r1", "events/s", [await _append(log) for _ in range(runs)])
            ]
        async with _three(Path(folder) / "three") as (cluster, log):
            results.append(
                measured("cluster/append/r3", "events/s", [await _append(log) for _ in range(runs)])
            )
            results += await _reactions(log, runs)
            results.append(
                measured(
                    "cluster/catch-up", "events/s", [await _catch_up(log) for _ in range(runs)]
                )
            )
            results += await _bursts(Path(folder) / "three", cluster, runs)
            results += await _leases(cluster, log, runs)
            results.append(
                measured(
                    "cluster/away/step-down", "s", [await _step_down(log) for _ in range(runs)]
                )
            )
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
    """From the call of append to the event in a follower's hands, while another writes batches
    without a pause."""
    followed = log.follow(EVENTS, start_seq=await log.tail(EVENTS) + 1)
    loading = asyncio.create_task(_load(log))
    try:
        times = [
            sorted([await _reaction(log, followed) for _ in range(REACTIONS)]) for _ in range(runs)
        ]
        await followed.aclose()
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    return [
        measured(
            f"cluster/reaction/{name}",
            "ms",
            [run[int(share * (REACTIONS - 1))] * 1000 for run in times],
        )
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


async def _bursts(data: Path, cluster: LocalCluster, runs: int) -> list[Measured]:
    """Games from many writers at once: how many a second are accepted, how many are missing
    afterwards, and the memory that the largest server has then, after all runs so far."""
    logs = [await JetStreamLog.open(cluster.url, name="bench") for _ in range(BURST_WRITERS)]
    try:
        found = [await _burst(data, cluster, logs, run) for run in range(runs)]
    finally:
        for log in logs:
            await log.close()
    units = {"games": "games/s", "lost": "games", "server-memory": "MB"}
    return [
        measured(f"cluster/burst/{name}", unit, [run[number] for run in found])
        for number, (name, unit) in enumerate(units.items())
    ]


async def _burst(
    data: Path, cluster: LocalCluster, logs: list[JetStreamLog], run: int
) -> tuple[float, float, float]:
    each, before = BURST_GAMES // len(logs), await logs[0].tail(GAMES)
    drafts = [
        [_game(f"bench-{run}-{writer}-{number}") for number in range(each)]
        for writer in range(len(logs))
    ]
    began = time.perf_counter()
    await asyncio.gather(
        *(_write_games(log, items) for log, items in zip(logs, drafts, strict=True))
    )
    seconds = time.perf_counter() - began
    lost = each * len(logs) - (await logs[0].tail(GAMES) - before)
    memory = max(_resident_mb(member.pid) for member in cluster.members)
    return each * len(logs) / seconds, float(lost), memory


async def _write_games(log: JetStreamLog, drafts: list[Draft]) -> None:
    """As a worker does: each game by itself, so many in flight."""
    slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def append(item: Draft) -> None:
        async with slots:
            await log.append([item])

    await asyncio.gather(*map(append, drafts))


def _game(name: str) -> Draft:
    fact = GameCompleted(
        game=name,
        config="hex8_2p",
        origin="selfplay",
        ticket="bench",
        seats=(),
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="bench",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=os.urandom(TARGET_BYTES),
        rules_version=1,
        play_seconds=0.0,
        node="bench",
        settings_version=0,
    )
    return draft(fact, cause=None, source="bench@node", key=name)


def _resident_mb(pid: int) -> float:
    """Memory of a process that lies in RAM; 0 where the kernel does not tell."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


async def _leases(cluster: LocalCluster, log: JetStreamLog, runs: int) -> list[Measured]:
    """From the end of one holder to the next: it releases the lease, or it dies and the lease
    expires."""
    released = [await _take_over(cluster, log, f"bench-a{run}", dies=False) for run in range(runs)]
    expired = [await _take_over(cluster, log, f"bench-b{run}", dies=True) for run in range(runs)]
    return [
        measured("cluster/lease/released", "s", released),
        measured("cluster/lease/expired", "s", expired),
    ]


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
