"""Processes that make a mistake on purpose: the checker must find each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ringrift.events.tickets import Ticket
from ringrift.log.work import WorkItem
from ringrift.runtime import decide as deciding
from ringrift.runtime.decide import own_decisions
from ringrift.runtime.process import Process
from ringrift.runtime.work import work
from ringrift.tools.memory_log import MemoryLog

from .faulty import FaultyLog
from .hosts import Result, SimulatedProcess
from .plan import Fault
from .workload import MAINS, PLANNER, failed, play
from .world import simulate

Broken = Callable[[int, Sequence[Fault]], Result]


async def forgotten(log: Any, decider: Any, after: int = 0) -> dict[int, Any]:
    """A replacement of `own_decisions` that finds none for a planner."""
    return {} if decider in PLANNER else await own_decisions(log, decider, after)


def acks_early(seed: int, faults: Sequence[Fault]) -> Result:
    """Players acknowledge a ticket before its facts are stored: a crash in between loses it."""

    async def player(process: Process) -> None:
        take = process.log.next_ticket
        item: WorkItem | None = None

        async def remembered(kind: str, *, wait_seconds: float) -> WorkItem | None:
            nonlocal item
            item = await take(kind, wait_seconds=wait_seconds)
            return item

        async def handle(process: Process, ticket: Ticket, deliveries: int) -> None:
            assert item is not None
            await item.ack()
            await play(process, ticket, deliveries)

        process.log.next_ticket = remembered  # type: ignore[method-assign]
        await work(process, "selfplay", handle, failed)

    return simulate(
        seed, faults, MAINS | dict.fromkeys(("player-a", "player-b"), ("selfplay", player))
    )


def decides_twice(seed: int, faults: Sequence[Fault]) -> Result:
    """A planner does not look for its earlier decisions, and derives the ids of its decisions from
    its own name as well as from their cause."""
    draft = SimulatedProcess.draft

    def own_name(
        self: SimulatedProcess, fact: Any, *, cause: str | None, key: str | int = 0
    ) -> Any:
        return draft(
            self, fact, cause=cause, key=f"{key}.{self.node}" if self.name == "planner" else key
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "own_decisions", forgotten)
        patch.setattr(SimulatedProcess, "draft", own_name)
        return simulate(seed, faults)


def unfenced(seed: int, faults: Sequence[Fault]) -> Result:
    """Processes append without an expectation: a holder that was frozen continues to write after it
    has lost its lease."""

    async def append(self: FaultyLog, drafts: Any, expect: Any = None) -> Any:
        return await self._call(lambda: MemoryLog.append(self, drafts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaultyLog, "append", append)
        return simulate(seed, faults)


BROKEN: dict[str, Broken] = {
    "acks-early": acks_early,
    "decides-twice": decides_twice,
    "unfenced": unfenced,
}
