"""Who writes to the cluster and keeps a ledger of what was acknowledged, and who watches it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import nats.errors
from simulator.checker import Acknowledged

from ringrift.events import Draft, draft, encode
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS

LOOK_SECONDS = 0.1


class Writer:
    """Appends one event after the other, of a kind that moves no decider; `acknowledged` is what it
    was told is stored."""

    def __init__(self, log: JetStreamLog, name: str, pause_seconds: float = 0.0) -> None:
        self._log, self._name, self._pause = log, name, pause_seconds
        self.acknowledged: list[Acknowledged] = []
        self.longest = 0.0
        """seconds that an append took at most"""

    async def write(self, stop: asyncio.Event) -> None:
        """Until told to stop; what was begun is ended."""
        number = 0
        while not stop.is_set():
            fact = ConsumerStarted(
                node=self._name, consumer="chaos", instance=str(number), version="1"
            )
            item = draft(fact, cause=None, source="chaos", key=f"{self._name}-{number}")
            began = time.monotonic()
            seq = await self.send(item)
            self.longest = max(self.longest, time.monotonic() - began)
            self.acknowledged.append(Acknowledged(item, seq, 2 * number, 2 * number + 1))
            number += 1
            if self._pause:
                await asyncio.sleep(self._pause)

    async def send(self, item: Draft) -> int:
        """Until it is acknowledged: the same id again, whatever comes in between."""
        while True:
            with contextlib.suppress(StreamError):
                return (await self._log.append([item]))[0]


class HastyWriter(Writer):
    """Made wrong on purpose: takes what it has sent for stored."""

    async def send(self, item: Draft) -> int:
        with contextlib.suppress(nats.errors.Error):
            await self._log.client.publish(
                item.subject, encode(item), headers={"Nats-Msg-Id": item.id}
            )
        await asyncio.sleep(0.001)
        return 0


@contextlib.asynccontextmanager
async def writing(
    url: str, kinds: Sequence[type[Writer]] = (Writer, Writer, Writer), pause_seconds: float = 0.0
) -> AsyncIterator[list[Writer]]:
    """Writers that write until the block ends, one of each kind; what they began they end."""
    stop = asyncio.Event()
    logs = [await JetStreamLog.open(url, name=f"w{number}") for number in range(len(kinds))]
    writers = [
        kind(log, f"w{number}", pause_seconds)
        for number, (kind, log) in enumerate(zip(kinds, logs, strict=True))
    ]
    tasks = [asyncio.create_task(writer.write(stop)) for writer in writers]
    try:
        yield writers
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        stop.set()  # and not only cancelled: until Python 3.12 `wait_for` may forget that it was
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for log in logs:
            await log.close()


async def watch_leader(url: str, longest: list[float]) -> None:
    """How long nobody could say who leads EVENTS, at most, in the one entry of `longest`."""
    log = await JetStreamLog.open(url, name="watch")
    led = time.monotonic()
    try:
        while True:
            with contextlib.suppress(StreamError, TimeoutError, OSError, nats.errors.Error):
                info = await log.call(f"STREAM.INFO.{EVENTS}", retry=False)
                if info["cluster"].get("leader"):
                    led = time.monotonic()
            longest[0] = max(longest[0], time.monotonic() - led)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await log.close()
