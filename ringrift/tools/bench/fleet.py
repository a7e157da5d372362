"""Many workers on three servers: light clients that take tickets, append a game for each, and
acknowledge it, by the protocol of real workers. They share a few processes, each with
`PROCESS_CLIENTS` of them, which on a small machine compete with the servers for its cores.

Start-up of a coordinator on a long log is measured by `replay`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from ringrift.log.errors import QueueFull
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.work import WorkItem
from ringrift.tools.bench.cluster import Three, bench_game, resident_mb, three_servers
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope

SUBJECT = "ringrift.work.selfplay.5.hex8_2p"
WAIT_SECONDS = 600.0
FULL_SECONDS = 0.02
OPENING_MAX = 20
"""connections that a process opens at once"""
PUBLISHING_MAX = 32
"""tickets that are published at once"""
PROCESS_CLIENTS = 250
GAMES_OF_PROCESS = 10_000_000
"""so that names of games of several processes differ"""
DELAY_UNITS = {"p50": "ms", "p99": "ms"}
IDLE_UNITS = {"servers": "% of a core", "clients": "% of a core"}
RATE_UNITS = {"games": "games/s", "server-memory": "MB", "clients-memory": "MB"}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Clients, and what they do in one run."""

    clients: int = 200
    idle_seconds: float = 10.0
    delays: int = 200
    """tickets, one after another, while all clients wait"""
    pause_seconds: float = 0.02
    games: int = 2_000
    """as fast as the servers take them, a ticket for each"""


async def benchmarks(scope: Scope, sizes: Sizes = Sizes()) -> Benchmarks:
    """What idle workers cost, time from a ticket to its worker, then games per second and
    memory."""
    async with three_servers() as three, _clients(three, sizes.clients) as fleet:
        name = f"fleet/{sizes.clients}"
        idle = partial(fleet.idle, sizes.idle_seconds)
        yield Benchmark(f"{name}/idle", IDLE_UNITS, idle, runs_max=1)
        delays = partial(fleet.delays, sizes.delays, sizes.pause_seconds)
        yield Benchmark(f"{name}/ticket", DELAY_UNITS, delays, runs_max=3)
        yield Benchmark(f"{name}/burst", RATE_UNITS, partial(fleet.burst, sizes.games), runs_max=3)


@asynccontextmanager
async def _clients(three: Three, number: int) -> AsyncIterator[_Fleet]:
    """Processes with clients that work until the block ends."""
    shares = [PROCESS_CLIENTS] * (number // PROCESS_CLIENTS)
    shares += [rest] if (rest := number % PROCESS_CLIENTS) else []
    fleet = _Fleet(three)
    async with contextlib.AsyncExitStack() as stack:
        for place, share in enumerate(shares):
            words = [three.cluster.url, str(share), str(place * GAMES_OF_PROCESS)]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __spec__.name, *words), stdin=PIPE, stdout=PIPE
            )
            stack.push_async_callback(_end, process)
            fleet.processes.append(process)
        for process in fleet.processes:
            assert process.stdout is not None
            assert await process.stdout.readline(), "a process of clients ended"
        reading = [asyncio.create_task(fleet.read(process)) for process in fleet.processes]
        yield fleet
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _end(process: Process) -> None:
    """Let a process of clients end; killed if it does not."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


@dataclass
class _Fleet:
    """The clients of one cluster, and what they have done."""

    three: Three
    processes: list[Process] = field(default_factory=list)
    put: dict[bytes, float] = field(default_factory=dict)
    """when each ticket that is not taken yet was published"""
    taken: list[float] = field(default_factory=list)
    """seconds from that to its worker"""
    published: int = 0
    done: int = 0
    all_done: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, process: Process) -> None:
        """Note what a process of clients has done."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            ticket, taken = line.split()
            self.taken.append(float(taken) - self.put.pop(ticket, float("nan")))
            self.done += 1
            if self.done == self.published:
                self.all_done.set()

    async def idle(self, seconds: float) -> dict[str, float]:
        """Processor time of the servers and of all clients while no ticket is there."""
        servers = [member.pid for member in self.three.cluster.members]
        clients = [process.pid for process in self.processes]
        before = _cpu_seconds(servers), _cpu_seconds(clients)
        await asyncio.sleep(seconds)
        after = _cpu_seconds(servers), _cpu_seconds(clients)
        used = [100.0 * (now - then) / seconds for now, then in zip(after, before, strict=True)]
        return {"servers": used[0], "clients": used[1]}

    async def delays(self, tickets: int, pause_seconds: float) -> dict[str, float]:
        """Milliseconds from a ticket to its worker while all clients wait."""
        self.taken.clear()
        for _ in range(tickets):
            await self._publish()
            await asyncio.sleep(pause_seconds)
        await self.all_done.wait()
        seconds, last = sorted(self.taken), tickets - 1
        return {"p50": seconds[int(0.5 * last)] * 1000, "p99": seconds[int(0.99 * last)] * 1000}

    async def burst(self, games: int) -> dict[str, float]:
        """Games per second while the queue is never empty, and the memory of the largest server
        and of all clients together."""
        began, before, slots = time.perf_counter(), self.done, asyncio.Semaphore(PUBLISHING_MAX)

        async def publish() -> None:
            async with slots:
                await self._publish()

        await asyncio.gather(*(publish() for _ in range(games)))
        await self.all_done.wait()
        rate = (self.done - before) / (time.perf_counter() - began)
        servers = max(resident_mb(member.pid) for member in self.three.cluster.members)
        clients = sum(resident_mb(process.pid) for process in self.processes)
        return {"games": rate, "server-memory": servers, "clients-memory": clients}

    async def _publish(self) -> None:
        body = b"%d" % self.published
        self.published += 1
        self.all_done.clear()
        self.put[body] = time.monotonic()
        while True:
            with suppress(QueueFull):
                await self.three.log.publish_ticket(SUBJECT, body, f"bench-{body.decode()}")
                return
            await asyncio.sleep(FULL_SECONDS)


def _cpu_seconds(pids: list[int]) -> float:
    """Processor time of processes; 0 where the kernel does not report it."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            ticks += sum(map(int, _stat(pid)[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third one on; the second may hold spaces."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


async def _work(log: JetStreamLog, games: Iterator[int]) -> None:
    """Take tickets, append a game for each, and report it."""
    while True:
        item: WorkItem | None = await log.next_ticket("selfplay", wait_seconds=WAIT_SECONDS)
        if item is not None:
            taken = time.monotonic()
            await log.append([bench_game(next(games))])
            await item.ack()
            print(item.body.decode(), taken, flush=True)


async def main(url: str, clients: int, first_game: int) -> None:
    """Work with as many clients until the standard input is closed."""
    slots, games = asyncio.Semaphore(OPENING_MAX), count(first_game)

    async def opened() -> JetStreamLog:
        async with slots:
            return await JetStreamLog.open(url, name="bench")

    logs = await asyncio.gather(*(opened() for _ in range(clients)))
    async with asyncio.TaskGroup() as tasks:
        for log in logs:
            tasks.create_task(_work(log, games))
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
