"""Many workers on three servers: light clients that take tickets, append a game for each, and
acknowledge it, by the protocol of real workers. All of them share one process, which with a
thousand of them is the first to have no time left.

Start-up of a coordinator on a long log is measured by `replay`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from ringrift.log.errors import QueueFull
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.work import WorkItem
from ringrift.tools.bench.cluster import Three, bench_game, resident_mb, three_servers
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope

SUBJECT = "ringrift.work.selfplay.5.hex8_2p"
WAIT_SECONDS = 5.0
FULL_SECONDS = 0.02
OPENING_MAX = 20
"""connections that are opened at once"""
DELAY_UNITS = {"p50": "ms", "p99": "ms"}
RATE_UNITS = {"games": "games/s", "server-memory": "MB", "clients-memory": "MB"}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Clients, and what they do in one run."""

    clients: int = 200
    delays: int = 200
    """tickets, one after another, while all clients wait"""
    pause_seconds: float = 0.02
    games: int = 2_000
    """as fast as the servers take them, a ticket for each"""


async def benchmarks(scope: Scope, sizes: Sizes = Sizes()) -> Benchmarks:
    """Time from a ticket to its worker, then games per second and memory."""
    async with three_servers() as three, _clients(three, sizes.clients) as fleet:
        name = f"fleet/{sizes.clients}"
        delays = partial(fleet.delays, sizes.delays, sizes.pause_seconds)
        yield Benchmark(f"{name}/ticket", DELAY_UNITS, delays, runs_max=3)
        yield Benchmark(f"{name}/burst", RATE_UNITS, partial(fleet.burst, sizes.games), runs_max=3)


@asynccontextmanager
async def _clients(three: Three, number: int) -> AsyncIterator[_Fleet]:
    """Clients that work until the block ends."""
    fleet, slots = _Fleet(three), asyncio.Semaphore(OPENING_MAX)

    async def opened() -> JetStreamLog:
        async with slots:
            return await JetStreamLog.open(three.cluster.url, name="bench")

    logs = await asyncio.gather(*(opened() for _ in range(number)))
    fleet.workers = [asyncio.create_task(fleet.work(log)) for log in logs]
    try:
        yield fleet
    finally:
        for worker in fleet.workers:
            worker.cancel()
        await asyncio.gather(*fleet.workers, return_exceptions=True)
        await asyncio.gather(*(log.close() for log in logs))


@dataclass
class _Fleet:
    """The clients of one cluster, and what they have done."""

    three: Three
    put: dict[bytes, float] = field(default_factory=dict)
    """when each ticket that is not taken yet was published"""
    taken: list[float] = field(default_factory=list)
    """seconds from that to its worker"""
    published: int = 0
    done: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    workers: list[asyncio.Task[None]] = field(default_factory=list)

    async def until_idle(self) -> None:
        """Wait until every ticket is done. Raises what ended a worker."""
        idle = asyncio.create_task(self.idle.wait())
        await asyncio.wait({idle, *self.workers}, return_when=asyncio.FIRST_COMPLETED)
        if not idle.done():
            idle.cancel()
            await next(worker for worker in self.workers if worker.done())

    async def work(self, log: JetStreamLog) -> None:
        """Take tickets and append a game for each."""
        while True:
            item: WorkItem | None = await log.next_ticket("selfplay", wait_seconds=WAIT_SECONDS)
            if item is not None:
                self.taken.append(time.perf_counter() - self.put.pop(item.body, float("nan")))
                await log.append([bench_game(next(self.three.names))])
                await item.ack()
                self.done += 1
                if self.done == self.published:
                    self.idle.set()

    async def delays(self, tickets: int, pause_seconds: float) -> dict[str, float]:
        """Milliseconds from a ticket to its worker while all clients wait."""
        self.taken.clear()
        for _ in range(tickets):
            await self._publish()
            await asyncio.sleep(pause_seconds)
        await self.until_idle()
        seconds, last = sorted(self.taken), tickets - 1
        return {"p50": seconds[int(0.5 * last)] * 1000, "p99": seconds[int(0.99 * last)] * 1000}

    async def burst(self, games: int) -> dict[str, float]:
        """Games per second while the queue is never empty, and the memory of the largest server
        and of all clients together."""
        began, before = time.perf_counter(), self.done
        for _ in range(games):
            await self._publish()
        await self.until_idle()
        rate = (self.done - before) / (time.perf_counter() - began)
        servers = max(resident_mb(member.pid) for member in self.three.cluster.members)
        return {"games": rate, "server-memory": servers, "clients-memory": resident_mb(os.getpid())}

    async def _publish(self) -> None:
        body = b"%d" % self.published
        self.published += 1
        self.idle.clear()
        self.put[body] = time.perf_counter()
        while True:
            with suppress(QueueFull):
                await self.three.log.publish_ticket(SUBJECT, body, f"bench-{body.decode()}")
                return
            await asyncio.sleep(FULL_SECONDS)
