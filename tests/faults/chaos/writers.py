"""Clients that write to a cluster and keep a ledger of acknowledged writes, and one that watches
it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import nats.errors
from simulator.checker import Acknowledged
from support.waiting import eventually

from ringrift.events import Draft, draft, encode
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS

WATCH_SECONDS = 0.1


class Writer:
    """Appends events one by one, of a kind that no decider reads; `acknowledged` is its ledger."""

    def __init__(self, log: JetStreamLog, name: str, pause_seconds: float = 0.0) -> None:
        self._log, self._name, self._pause = log, name, pause_seconds
        self.acknowledged: list[Acknowledged] = []
        self.longest = 0.0
        """Seconds of the longest append."""

    async def write(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set; the last append is completed."""
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
        """Append an event, and retry under the same id until it is acknowledged."""
        while True:
            with contextlib.suppress(StreamError):
                return (await self._log.append([item]))[0]


class HastyWriter(Writer):
    """Wrong on purpose: takes every message that it has sent for acknowledged."""

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
    """Writers, one of each kind, that write until the block ends and complete their last append."""
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


async def write_on(writers: Sequence[Writer], count: int, seconds_max: float) -> None:
    """Return when each writer has appended `count` more events. Raises TimeoutError."""
    ends = [len(writer.acknowledged) + count for writer in writers]

    async def written() -> bool:
        pairs = zip(writers, ends, strict=True)
        return all(len(writer.acknowledged) >= end for writer, end in pairs)

    await eventually(written, seconds_max)


async def watch_leader(url: str, longest: list[float]) -> None:
    """Keep the longest time without a known leader of EVENTS in the one entry of `longest`."""
    log = await JetStreamLog.open(url, name="watch")
    led = time.monotonic()
    try:
        while True:
            with contextlib.suppress(StreamError, TimeoutError, OSError, nats.errors.Error):
                info = await log.call(f"STREAM.INFO.{EVENTS}", retry=False)
                if info["cluster"].get("leader"):
                    led = time.monotonic()
            longest[0] = max(longest[0], time.monotonic() - led)
            await asyncio.sleep(WATCH_SECONDS)
    finally:
        await log.close()
