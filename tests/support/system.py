"""Processes on an in-memory log and virtual time, and what tests write to it and wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from ringrift.events import Fact, Recorded, type_of
from ringrift.events.facts import SelfplayFinished, SelfplayPlanned
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import Ticket, encode_ticket, subject_of, tickets_of
from ringrift.log import read
from ringrift.runtime.process import Clock, Process
from ringrift.tools.memory_broker import MemoryStream
from ringrift.tools.memory_log import MemoryBroker, MemoryLog
from support.virtual_time import VirtualLoop

F = TypeVar("F", bound=Fact)
WAIT_SECONDS_MAX = 600.0
"""virtual"""
POLL_SECONDS = 0.01
"""virtual"""
PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=0,
    games=3,
    games_per_ticket=1,
    simulations=4,
    model=None,
    seed=1,
    settings_version=0,
)


class System:
    """One broker and the processes on it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "see support.virtual_time"
        self.loop = loop
        self.clock = Clock(loop.time, loop.wall)
        self.broker = MemoryBroker(loop.wall)
        self.writer = self.process("test")
        self.log = self.writer.log

    def process(self, name: str = "selfplay", node: str = "test") -> Process:
        """A process with a connection of its own."""
        return Process(name, node, MemoryLog(self.broker), self.clock)

    @property
    def queue(self) -> MemoryStream:
        """The stream of tickets."""
        return self.broker.stream("WORK")

    async def write(self, *facts: Fact) -> int:
        """Append facts that have no cause; the sequence of the last one."""
        seq = 0
        for fact in facts:
            key = await self.log.tail(type_of(type(fact)).stream)
            item = self.writer.draft(fact, cause=None, key=key)
            (seq,) = await self.log.append([item])
        return seq

    async def request(self, plan: SelfplayPlanned = PLAN) -> list[Ticket]:
        """Append a request and put its tickets on the queue."""
        tickets = tickets_of(plan, f"EVENTS/{await self.write(plan)}")
        for ticket in tickets:
            await self.put(ticket)
        return list(tickets)

    async def put(self, ticket: Ticket, id: str = "") -> None:
        """Put a ticket on the queue, once per `id`, by default its name."""
        id = id or ticket.ticket
        await self.log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)

    async def open_breaker(self, process: Process, target: str) -> None:
        """Open a breaker as this process sees it."""
        for _ in range(OperationSettings().breaker_failures_max):
            await process.breakers.failed(target, "no luck")

    async def recorded(self, kind: type[F]) -> list[Recorded[F]]:
        """The events of a kind in the log."""
        return [item async for item in read.facts(self.log, kind)]

    async def facts(self, kind: type[F]) -> list[F]:
        """The facts of a kind in the log."""
        return [event for event, _ in await self.recorded(kind)]

    async def first(self, kind: type[F], *, caused_by: int | None = None) -> Recorded[F]:
        """The first event of a kind, once it is in the log; of those caused by `EVENTS/<caused_by>`
        if it is given."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            async for item in read.follow(self.log, kind):
                if caused_by is None or item.meta.cause == f"EVENTS/{caused_by}":
                    return item
        raise AssertionError

    async def count(self, kind: type[Fact], count: int) -> None:
        """Wait until the log holds `count` events of a kind."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            async for _ in read.follow(self.log, kind):
                count -= 1
                if not count:
                    return


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition on the state of other tasks is true."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():  # noqa: ASYNC110  states of other tasks have no event
            await asyncio.sleep(POLL_SECONDS)


@contextlib.asynccontextmanager
async def running(*jobs: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run jobs in the background of the block."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def selfplay_finished(ticket: str) -> SelfplayFinished:
    """The outcome of a self-play ticket."""
    return SelfplayFinished(
        config="hex8_2p", generation=0, ticket=ticket, games=1, plies=1, play_seconds=1.0, node="n"
    )
