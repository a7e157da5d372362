"""What befalls consumers and their messages: kill -9, SIGSTOP, messages nobody can use, a full
queue, messages twice and late."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ringrift.log.errors import LogUnavailable, QueueFull, StreamError
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
FROZEN_SECONDS = (2.0, 40.0)
"""also longer than a lease and than a worker's time for a ticket"""
FULL_SECONDS = (2.0, 8.0)
TWICE_EVENTS = 20
HELD_SECONDS = (0.1, 3.0)
DELAY_SECONDS = (0.0, 10.0)
FILLER_SUBJECT = "ringrift.work.chaos.5.hex8_2p"
"""a kind that nobody works on"""
POISON = (
    (EVENTS, "ringrift.model.hex8_2p.registered", b"\xff{"),
    (EVENTS, "ringrift.model.hex8_2p.registered", b'{"specversion":"1.0","id":[1]'),
    (GAMES, "ringrift.game.hex8_2p.completed", b"[" * 10_000),
    (WORK, "ringrift.work.selfplay.5.hex8_2p", b'{"type":"selfplay"'),
    (WORK, "ringrift.work.evaluation.5.hex8_2p", b"null"),
)
SUPERVISORS = ("node",)
"""their end is that of all they keep, and nobody starts them again here"""

T = TypeVar("T")


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """The result of a call to the log, however long that is away. Raises the other StreamErrors."""
    while True:
        with contextlib.suppress(LogUnavailable):
            return await call()


class Mischief:
    """Does to consumers and messages what a seeded plan says; `poisoned` are the bodies nobody can
    use."""

    def __init__(self, log: JetStreamLog, plan: random.Random) -> None:
        self.log, self._plan = log, plan
        self.poisoned: list[bytes] = []
        self.stored_twice: list[str] = []

    async def do(self, how: str) -> None:
        """One of `KINDS`, to its end. Raises StreamError if the log went away in the middle of
        it."""
        match how:
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

    async def unburied(self) -> list[bytes]:
        """Bodies nobody can use that are no dead letter. Raises StreamError."""
        letters = {entry.body async for batch in self.log.read(DEAD) for entry in batch}
        return [body for body in self.poisoned if body not in letters]

    async def _signal(self, number: signal.Signals) -> int | None:
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
        body = start + f" poison {len(self.poisoned)}".encode()
        name = f"poison-{len(self.poisoned)}"
        if stream == WORK:
            await insist(lambda: self.log.publish_ticket(subject, body, name))
        else:
            await insist(lambda: self.log.publish(stream, subject, body, id=name))
        self.poisoned.append(body)

    async def _fill(self) -> None:
        """Nobody gets a ticket on the queue for a while."""
        chance = f"{self._plan.random():.12f}"[2:]

        async def one(number: int) -> None:
            with contextlib.suppress(QueueFull):
                await insist(
                    lambda: self.log.publish_ticket(
                        FILLER_SUBJECT, b"filler", f"filler-{chance}-{number}"
                    )
                )

        await asyncio.gather(*(one(number) for number in range(WORK_TICKETS_MAX)))
        await asyncio.sleep(self._plan.uniform(*FULL_SECONDS))
        await insist(lambda: self.log.purge(WORK, FILLER_SUBJECT))

    async def _repeat(self) -> None:
        """Messages of the log and of the queue come once more, byte for byte, as from a writer who
        was not told."""
        tail = await insist(lambda: self.log.tail(EVENTS))
        newest = [
            entry
            async for batch in self.log.read(EVENTS, start_seq=max(1, tail - 10 * TWICE_EVENTS))
            for entry in batch
        ]
        for entry in self._plan.sample(newest, min(TWICE_EVENTS, len(newest))):
            if entry.id is not None:
                seq = await insist(
                    lambda entry=entry: self.log.publish(
                        EVENTS, entry.subject, entry.body, id=entry.id
                    )
                )
                self.stored_twice += [entry.id] if seq != entry.seq else []
        for entry in (await insist(self.log.queued))[:TWICE_EVENTS]:
            if entry.id is not None:
                with contextlib.suppress(QueueFull):
                    await insist(
                        lambda entry=entry: self.log.publish_ticket(
                            entry.subject, entry.body, entry.id
                        )
                    )

    async def _delay(self) -> None:
        """Tickets are delivered to somebody who hands them back late, or never: then they come
        again by their time limit."""
        for kind in WORK_KINDS:
            item = await insist(lambda kind=kind: self.log.next_ticket(kind, wait_seconds=1.0))
            if item is not None:
                await asyncio.sleep(self._plan.uniform(*HELD_SECONDS))
                if self._plan.random() < 0.5:
                    delay = self._plan.uniform(*DELAY_SECONDS)
                    with contextlib.suppress(StreamError):
                        await item.nak(delay)
