"""The in-memory log as one host sees it: slow, with lost acknowledgements, and dead with the
process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from ringrift.events import Draft
from ringrift.log.entry import Entry
from ringrift.log.errors import LogUnavailable
from ringrift.log.protocol import Expect
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

from .checker import Acknowledged
from .plan import Fault

ANSWER_SECONDS = 5.0
AWAY_SECONDS = 30.0
LATENCY_SECONDS = (0.0005, 0.01)
BEHIND_SECONDS_MAX = 1.0


class Network:
    """The network between one host and the server, over all lives of the host."""

    def __init__(
        self,
        chance: random.Random,
        faults: Sequence[Fault],
        crash: Callable[[], None],
        sent: set[str],
    ) -> None:
        self.chance = chance
        self.calls = self.ticks = 0
        self.faults = {fault.call: fault for fault in faults}
        self.crash = crash
        self.frozen_until = 0.0
        self.acknowledged: list[Acknowledged] = []
        self.sent = sent
        """Ids that any host has tried to write."""

    def tick(self) -> int:
        """The number of a beginning or end of a call."""
        self.ticks += 1
        return self.ticks

    def next_fault(self) -> Fault | None:
        """The fault of the next call, if it has one."""
        self.calls += 1
        return self.faults.pop(self.calls, None)

    async def latency(self) -> None:
        """Wait for a moment, or until a frozen process is resumed."""
        await asyncio.sleep(self.chance.uniform(*LATENCY_SECONDS))
        while (left := self.frozen_until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110  it may be frozen again
            await asyncio.sleep(left)


class FaultyLog(MemoryLog):
    """The connection of one life of a host. Once `dead`, no call gets through, as after kill -9."""

    def __init__(self, broker: MemoryBroker, network: Network) -> None:
        super().__init__(broker)
        self.network = network
        self.dead = False

    async def _call(self, effect: Callable[[], Awaitable[Any]]) -> Any:
        fault, restarts = self.network.next_fault(), self.broker.restarts
        kind = fault.kind if fault else ""
        await self._way()
        if kind == "crash before":
            self.network.crash()
            self._alive()
        if kind == "log away" or self.broker.restarts != restarts:
            await asyncio.sleep(AWAY_SECONDS if kind else 0.0)
            raise LogUnavailable("the server is away")
        result = await effect()
        if kind == "crash after":
            self.network.crash()
        elif kind == "ack lost":
            await asyncio.sleep(ANSWER_SECONDS)
            self._alive()
            result = await effect()
        elif kind == "stored but log away":
            await asyncio.sleep(AWAY_SECONDS)
            raise LogUnavailable("stored, but not acknowledged")
        elif fault and kind == "slow":
            await asyncio.sleep(fault.amount)
        if fault or self.network.chance.random() < 0.3:
            await self._way()
        return result

    async def _way(self) -> None:
        await self.network.latency()
        self._alive()

    def _alive(self) -> None:
        if self.dead:
            raise LogUnavailable("this process is dead")

    async def append(
        self, drafts: Sequence[Draft], expect: Expect | None = None, *, republish: bool = False
    ) -> list[int]:
        began = self.network.tick()
        again = self.network.sent & {item.id for item in drafts}
        self.network.sent |= {item.id for item in drafts}
        seqs: list[int] = await self._call(
            lambda: MemoryLog.append(self, drafts, expect, republish=republish)
        )
        ended = self.network.tick()
        self.network.acknowledged += [
            Acknowledged(item, seq, began, ended, expect, item.id in again)
            for item, seq in zip(drafts, seqs, strict=True)
        ]
        return seqs

    async def publish(self, *args: Any, **named: Any) -> Any:
        return await self._call(lambda: MemoryLog.publish(self, *args, **named))

    async def call(self, *args: Any, **named: Any) -> Any:
        return await self._call(lambda: MemoryLog.call(self, *args, **named))

    async def last(self, *args: Any, **named: Any) -> Any:
        return await self._call(lambda: MemoryLog.last(self, *args, **named))

    async def get(self, *args: Any, **named: Any) -> Any:
        return await self._call(lambda: MemoryLog.get(self, *args, **named))

    async def read(self, *args: Any, **named: Any) -> AsyncGenerator[list[Entry], None]:
        await self._way()
        async for batch in MemoryLog.read(self, *args, **named):
            yield batch
        self._alive()

    async def follow(self, *args: Any, **named: Any) -> AsyncGenerator[Entry, None]:
        """Yield in order, with delays: followers of different subjects see events in different
        orders."""
        chance = self.network.chance
        async for entry in MemoryLog.follow(self, *args, **named):
            if chance.random() < 0.1:
                await asyncio.sleep(chance.uniform(0.0, BEHIND_SECONDS_MAX))
                await self._way()
            elif self.network.frozen_until:
                await self._way()
            self._alive()
            yield entry

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> Any:
        item = await MemoryLog.next_ticket(self, kind, wait_seconds=wait_seconds)
        self._alive()
        if item is None:
            return None
        fault = self.network.next_fault()
        if fault and fault.kind in ("ack lost", "log away"):
            return None  # delivered, but lost on the way
        if fault and fault.kind.startswith("crash"):
            self.network.crash()
        await self._way()
        return FaultyItem(self, item)


class FaultyItem:
    """A ticket that a host works on."""

    def __init__(self, log: FaultyLog, item: Any) -> None:
        self._log, self._item = log, item
        self.subject, self.body, self.seq, self.deliveries = (
            item.subject,
            item.body,
            item.seq,
            item.deliveries,
        )

    async def in_progress(self) -> None:
        await self._log._call(self._item.in_progress)

    async def ack(self) -> None:
        await self._log._call(self._item.ack)

    async def nak(self, delay_seconds: float = 0.0) -> None:
        await self._log._call(lambda: self._item.nak(delay_seconds))

    async def term(self, reason: str) -> None:
        await self._log._call(lambda: self._item.term(reason))
