"""Speed of a cluster of three servers on this machine, and how long it is unavailable when servers
or lease holders fail.

All servers share the cores and the disk of this machine and sync every message, as `nats.conf`
says: on three machines it is not slower."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from ringrift.cluster.local import LocalCluster
from ringrift.consumers.games.playing import IN_FLIGHT_MAX
from ringrift.events import Draft, draft
from ringrift.events.facts import GameCompleted, Seat
from ringrift.log.entry import Entry
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold, try_acquire
from ringrift.log.topology import EVENTS, GAMES
from ringrift.server.ensure import ensure
from ringrift.server.grow import wait_until_current
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.log import BenchEvents, append_each, fresh_log

LOAD_EVENTS = 20
"""Events of one batch of the load during the reactions, batch after batch."""
CURRENT_SECONDS_MAX = 60.0
STANDBY_SECONDS = 0.5
"""Time for the next holder to wait for the lease before it is released."""
TARGET_BYTES = 9500
"""Makes a game as large as one of hex8_2p with 64 simulations, 13 kB; random bytes, which do not
compress."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Events and games of one run."""

    each: int = 1000
    reactions: int = 100
    catch_up: int = 5000
    writers: int = 20
    games: int = 5000
    """Five seconds of a thousand games per second, from all writers together."""


async def benchmarks(scope: Scope, sizes: Sizes = Sizes()) -> Benchmarks:
    """A single server for comparison, then the cluster."""
    async with fresh_log() as log:
        run = partial(append_each, log, BenchEvents(), sizes.each)
        yield Benchmark("cluster/append/r1", "events/s", run)
    async with three_servers() as three:
        run = partial(append_each, three.log, three.events, sizes.each)
        yield Benchmark("cluster/append/r3", "events/s", run)
        units = {"p50": "ms", "p99": "ms"}
        yield Benchmark("cluster/reaction", units, partial(three.reactions, sizes.reactions))
        yield Benchmark("cluster/catch-up", "events/s", partial(three.catch_up, sizes.catch_up))
        units = {"games": "games/s", "lost": "games", "server-memory": "MB"}
        burst = partial(three.burst, sizes.writers, sizes.games)
        yield Benchmark("cluster/burst", units, burst)
        yield Benchmark("cluster/lease/released", "s", three.lease_released)
        yield Benchmark("cluster/lease/expired", "s", three.lease_expired)
        yield Benchmark("cluster/away/step-down", "s", three.step_down)
        yield Benchmark("cluster/away/leader-killed", "s", three.kill_leader)


@contextlib.asynccontextmanager
async def three_servers() -> AsyncIterator[Three]:
    """Three servers with all streams, current and without other load."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        data = Path(folder)
        cluster = LocalCluster.create(data, 3, users=False, tls=False)
        try:
            cluster.start()
            await cluster.wait_until_healthy()
            log = await JetStreamLog.open(cluster.url, name="bench")
            await ensure(log, replicas=3)
            await wait_until_current(log, EVENTS, 3, CURRENT_SECONDS_MAX)
            yield Three(data, cluster, log)
            await log.close()
        finally:
            cluster.stop()


@dataclass
class Three:
    """Three servers with all streams, and what is measured on them. Each method is one run."""

    data: Path
    cluster: LocalCluster
    log: JetStreamLog
    events: BenchEvents = field(default_factory=BenchEvents)
    names: Iterator[int] = field(default_factory=count)
    """Numbers that make names of games and roles unique."""

    async def reactions(self, times: int) -> dict[str, float]:
        """Milliseconds from the call of append until a follower has the event, while another
        client writes batches without a pause."""
        followed = self.log.follow(EVENTS, start_seq=await self.log.tail(EVENTS) + 1)
        loading = asyncio.create_task(self._load())
        try:
            seconds = sorted([await self._reaction(followed) for _ in range(times)])
            await followed.aclose()
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
        last = times - 1
        return {"p50": seconds[int(0.5 * last)] * 1000, "p99": seconds[int(0.99 * last)] * 1000}

    async def _load(self) -> None:
        while True:
            await self.log.append(self.events.take(LOAD_EVENTS))

    async def _reaction(self, followed: AsyncIterator[Entry]) -> float:
        (item,) = self.events.take(1)
        began = time.perf_counter()
        appended = asyncio.ensure_future(self.log.append([item]))
        while (await anext(followed)).id != item.id:
            pass
        seconds = time.perf_counter() - began
        await appended
        return seconds

    async def catch_up(self, size: int) -> float:
        """Events per second to a follower that was down while they were written."""
        start = await self.log.tail(EVENTS) + 1
        await self.log.append_each(self.events.take(size))
        end = await self.log.tail(EVENTS)
        began = time.perf_counter()
        followed = self.log.follow(EVENTS, start_seq=start)
        async with contextlib.aclosing(followed):
            async for entry in followed:
                if entry.seq >= end:
                    break
        return (end - start + 1) / (time.perf_counter() - began)

    async def burst(self, writers: int, games: int) -> dict[str, float]:
        """Games from many writers at once: games accepted per second, games missing afterwards,
        and the memory of the largest server."""
        logs = [await JetStreamLog.open(self.cluster.url, name="bench") for _ in range(writers)]
        try:
            before, each = await self.log.tail(GAMES), games // writers
            drafts = [[bench_game(next(self.names)) for _ in range(each)] for _ in logs]
            began = time.perf_counter()
            await asyncio.gather(*map(_write_games, logs, drafts))
            seconds = time.perf_counter() - began
            stored = await self.log.tail(GAMES) - before
        finally:
            for log in logs:
                await log.close()
        written = each * writers
        memory = max(resident_mb(member.pid) for member in self.cluster.members)
        return {"games": written / seconds, "lost": written - stored, "server-memory": memory}

    async def lease_released(self) -> float:
        """Seconds from the release of a lease until the next process holds it."""
        role = f"bench-{next(self.names)}"
        holding = hold(self.log, role, "first", "bench")
        await holding.__aenter__()
        other = await JetStreamLog.open(self.cluster.url, name="bench")
        waiting = asyncio.create_task(_hold_once(other, role))
        await asyncio.sleep(STANDBY_SECONDS)
        began = time.perf_counter()
        await holding.__aexit__(None, None, None)
        await waiting
        seconds = time.perf_counter() - began
        await other.close()
        return seconds

    async def lease_expired(self) -> float:
        """Seconds from the death of a lease holder until the next process holds the lease."""
        role = f"bench-{next(self.names)}"
        await try_acquire(self.log, role, "first", "bench")  # and never renewed
        other = await JetStreamLog.open(self.cluster.url, name="bench")
        began = time.perf_counter()
        await _hold_once(other, role)
        seconds = time.perf_counter() - began
        await other.close()
        return seconds

    async def step_down(self) -> float:
        """Seconds from the request that the leader step down to the next acknowledged event."""
        await wait_until_current(self.log, EVENTS, 3, CURRENT_SECONDS_MAX)
        began = time.perf_counter()
        await self.log.call(f"STREAM.LEADER.STEPDOWN.{EVENTS}")
        await self.log.append(self.events.take(1))
        return time.perf_counter() - began

    async def kill_leader(self) -> float:
        """Seconds from kill -9 of the leader of EVENTS to the next acknowledged event."""
        await wait_until_current(self.log, EVENTS, 3, CURRENT_SECONDS_MAX)
        info = await self.log.call(f"STREAM.INFO.{EVENTS}")
        leader = str(info["cluster"]["leader"])
        began = time.perf_counter()
        self.cluster.kill(leader)
        await self.log.append(self.events.take(1))
        seconds = time.perf_counter() - began
        self.cluster.start_member(leader)
        return seconds


async def _hold_once(log: JetStreamLog, role: str) -> None:
    async with hold(log, role, "second", "bench"):
        return


async def _write_games(log: JetStreamLog, drafts: list[Draft]) -> None:
    """Write each game by itself, several in flight, as a worker does."""
    slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def append(item: Draft) -> None:
        async with slots:
            await log.append([item])

    await asyncio.gather(*map(append, drafts))


def bench_game(number: int, target_bytes: int = TARGET_BYTES) -> Draft:
    """A game without moves, by default of the usual size."""
    fact = GameCompleted(
        game=f"bench-{number}",
        config="hex8_2p",
        origin="selfplay",
        ticket="bench",
        seats=(Seat(participant="bench", harness="random"),) * 2,
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="bench",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=os.urandom(target_bytes),
        rules_version=1,
        play_seconds=0.0,
        node="bench",
        settings_version=0,
    )
    return draft(fact, cause=None, source="bench@node", key=number)


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 where the kernel does not report it."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0
