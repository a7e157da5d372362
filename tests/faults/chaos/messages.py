"""Faults of processes and messages: kill -9, SIGSTOP, messages that cannot be decoded, a full
queue, messages that come twice or late."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from functools import partial

from support.waiting import insist

from ringrift.log.errors import QueueFull, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.log.topology import DEAD, EVENTS, GAMES, WORK, WORK_KINDS, WORK_TICKETS_MAX

KINDS = {
    "consumer killed": 4,
    "consumer frozen": 2,
    "poison": 1,
    "full queue": 1,
    "twice": 2,
    "late": 2,
}
"""Kinds of faults, with their weights."""
FROZEN_SECONDS = (2.0, 40.0)
"""Also longer than a lease, and than a worker may be silent about its ticket."""
FULL_SECONDS = (2.0, 8.0)
TWICE_EVENTS = 20
HELD_SECONDS = (0.1, 3.0)
DELAY_SECONDS = (0.0, 10.0)
FILLER_SUBJECT = "ringrift.work.chaos.5.hex8_2p"
"""Of a kind of work that no process takes."""
POISON = (
    (EVENTS, "ringrift.model.hex8_2p.registered", b"\xff{"),
    (EVENTS, "ringrift.model.hex8_2p.registered", b'{"specversion":"1.0","id":[1]'),
    (GAMES, "ringrift.game.hex8_2p.completed", b"[" * 10_000),
    (WORK, "ringrift.work.selfplay.5.hex8_2p", b'{"type":"selfplay"'),
    (WORK, "ringrift.work.evaluation.5.hex8_2p", b"null"),
)
SUPERVISORS = ("node",)
"""Processes that are left alone: their end would be that of all processes they keep running."""


class MessageFaults:
    """Injects faults of processes and messages; the details follow from `plan`."""

    def __init__(self, log: JetStreamLog, plan: random.Random) -> None:
        self.log, self._plan = log, plan
        self.poisoned: list[bytes] = []
        """Bodies that cannot be decoded."""
        self.stored_twice: list[str] = []
        """Ids of events that were stored again when they were sent again."""

    async def inject(self, kind: str) -> None:
        """Inject one of `KINDS` and wait for its end. Raises StreamError if the log goes away
        meanwhile."""
        match kind:
            case "consumer killed":
                await self._signal(signal.SIGKILL)
            case "consumer frozen":
                await self._freeze()
            case "poison":
                await self._poison()
            case "full queue":
                await self._fill()
            case "twice":
                await self._repeat()
            case _:
                await self._delay()

    async def without_dead_letter(self) -> list[bytes]:
        """Bodies that cannot be decoded and are not dead letters. Raises StreamError."""
        letters = {entry.body async for batch in self.log.read(DEAD) for entry in batch}
        return [body for body in self.poisoned if body not in letters]

    async def _signal(self, number: signal.Signals) -> int | None:
        """Send a signal to a process; its id, None if no process runs."""
        beats = await insist(Presence(self.log).all)
        pids = sorted(beat.pid for beat in beats if beat.consumer not in SUPERVISORS)
        if not pids:
            return None
        chosen = self._plan.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(chosen, number)
        return chosen

    async def _freeze(self) -> None:
        chosen = await self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self._plan.uniform(*FROZEN_SECONDS))
        finally:
            if chosen is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chosen, signal.SIGCONT)

    async def _poison(self) -> None:
        stream, subject, start = self._plan.choice(POISON)
        name = f"poison-{len(self.poisoned)}"
        body = start + f" poison {len(self.poisoned)}".encode()
        if stream == WORK:
            await insist(lambda: self.log.publish_ticket(subject, body, name))
        else:
            await insist(lambda: self.log.publish(stream, subject, body, id=name))
        self.poisoned.append(body)

    async def _fill(self) -> None:
        """Keep the queue full for a while."""
        chance = f"{self._plan.random():.12f}"[2:]

        async def put(number: int) -> None:
            name = f"filler-{chance}-{number}"
            with contextlib.suppress(QueueFull):
                await insist(lambda: self.log.publish_ticket(FILLER_SUBJECT, b"filler", name))

        await asyncio.gather(*map(put, range(WORK_TICKETS_MAX)))
        await asyncio.sleep(self._plan.uniform(*FULL_SECONDS))
        await insist(lambda: self.log.purge(WORK, FILLER_SUBJECT))

    async def _repeat(self) -> None:
        """Send recent messages of the log and the queue again, byte for byte, as a writer does that
        missed the acknowledgement."""
        tail = await insist(lambda: self.log.tail(EVENTS))
        first = max(1, tail - 10 * TWICE_EVENTS)
        newest = [
            entry
            async for batch in self.log.read(EVENTS, start_seq=first)
            for entry in batch
            if entry.id is not None
        ]
        for entry in self._plan.sample(newest, min(TWICE_EVENTS, len(newest))):
            again = partial(self.log.publish, EVENTS, entry.subject, entry.body, id=entry.id)
            if await insist(again) != entry.seq:
                self.stored_twice.append(entry.id)
        for entry in (await insist(self.log.queued))[:TWICE_EVENTS]:
            if entry.id is not None:
                again = partial(self.log.publish_ticket, entry.subject, entry.body, entry.id)
                with contextlib.suppress(QueueFull):
                    await insist(again)

    async def _delay(self) -> None:
        """Take tickets, and hand them back late or never; then they are delivered again after their
        time limit."""
        for kind in WORK_KINDS:
            item = await insist(partial(self.log.next_ticket, kind, wait_seconds=1.0))
            if item is not None:
                await asyncio.sleep(self._plan.uniform(*HELD_SECONDS))
                if self._plan.random() < 0.5:
                    with contextlib.suppress(StreamError):
                        await item.nak(self._plan.uniform(*DELAY_SECONDS))
