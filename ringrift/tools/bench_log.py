"""How fast the log is on this machine: appending, replaying, and from an append to the follower
that waits for it.

Each measurement is taken on an embedded server of its own in a temporary directory, several times;
the value is the median."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypedDict

from ringrift.events import Draft, UndecodableEvent, draft
from ringrift.events.facts import SelfplayFinished
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import BATCH_EVENTS_MAX, Entry
from ringrift.log.topology import EVENTS, MODEL_BUCKET
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

RUNS = 5
REPLAY_EVENTS = 200_000
SINGLE_EVENTS = 200
EACH_EVENTS = 2_000
BATCHES = 5
REACTIONS = 100
BLOB_BYTES = 64 * 1024 * 1024
_PADDING = "x" * 190
"""makes an encoded event half a kilobyte"""

Measure = Callable[[JetStreamLog], Awaitable[float]]


class Result(TypedDict):
    """One line of `ringrift bench --json`."""

    name: str
    value: float
    unit: str
    runs: list[float]


class BenchEvents:
    """Events of half a kilobyte, every one new."""

    def __init__(self) -> None:
        self._made = 0

    def take(self, count: int) -> list[Draft]:
        """The next `count` events."""
        first = self._made
        self._made += count
        return [self._draft(number) for number in range(first, self._made)]

    def _draft(self, number: int) -> Draft:
        fact = SelfplayFinished(
            config="hex8_2p",
            generation=1,
            ticket=f"bench-{number}",
            games=64,
            plies=4096,
            play_seconds=1.0,
            node=_PADDING,
        )
        return draft(fact, cause=None, source="bench@node", key=number)


async def bench(*, runs: int = RUNS, replay_events: int = REPLAY_EVENTS) -> list[Result]:
    """All measurements. Raises ServerError if the embedded server cannot run."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as data:
        server = await EmbeddedServer.start(Path(data))
        log = await JetStreamLog.open(server.url, name="bench")
        try:
            await ensure(log.ask)
            return await _measured(log, runs, replay_events)
        finally:
            await log.close()
            await server.stop()


async def _measured(log: JetStreamLog, runs: int, replay_events: int) -> list[Result]:
    events = BenchEvents()
    results = [
        await _result(
            "log/append/single", "events/s", runs, log, lambda log: _append_single(log, events)
        ),
        await _result(
            "log/append/each", "events/s", runs, log, lambda log: _append_each(log, events)
        ),
        await _result(
            "log/append/batch", "events/s", runs, log, lambda log: _append_batches(log, events)
        ),
        await _result("log/reaction", "ms", runs, log, lambda log: _reaction(log, events)),
    ]
    while await log.tail(EVENTS) < replay_events:
        await log.append(events.take(BATCH_EVENTS_MAX))
    results += [
        await _result("log/read", "events/s", runs, log, _read),
        await _result("log/replay", "events/s", runs, log, _replay),
        await _result("log/blob/put", "MB/s", runs, log, lambda log: _blob(log, put=True)),
        await _result("log/blob/get", "MB/s", runs, log, lambda log: _blob(log, put=False)),
    ]
    return results


async def _result(name: str, unit: str, runs: int, log: JetStreamLog, measure: Measure) -> Result:
    values = [await measure(log) for _ in range(runs)]
    return Result(name=name, value=statistics.median(values), unit=unit, runs=values)


async def _append_single(log: JetStreamLog, events: BenchEvents) -> float:
    """One after another, each acknowledged before the next."""
    drafts = events.take(SINGLE_EVENTS)
    start = time.perf_counter()
    for item in drafts:
        await log.append([item])
    return len(drafts) / (time.perf_counter() - start)


async def _append_each(log: JetStreamLog, events: BenchEvents) -> float:
    """Many in flight, each by itself, as games are written."""
    drafts = events.take(EACH_EVENTS)
    start = time.perf_counter()
    await log.append_each(drafts)
    return len(drafts) / (time.perf_counter() - start)


async def _append_batches(log: JetStreamLog, events: BenchEvents) -> float:
    """Atomic batches of the largest size."""
    batches = [events.take(BATCH_EVENTS_MAX) for _ in range(BATCHES)]
    start = time.perf_counter()
    for batch in batches:
        await log.append(batch)
    return BATCHES * BATCH_EVENTS_MAX / (time.perf_counter() - start)


async def _reaction(log: JetStreamLog, events: BenchEvents) -> float:
    """Median time from the call of append to the event in a waiting follower's hands, in
    milliseconds."""
    followed = log.follow(EVENTS, start_seq=await log.tail(EVENTS) + 1)
    times = []
    for item in events.take(REACTIONS):
        waiting = asyncio.ensure_future(anext(followed))
        await asyncio.sleep(0)
        start = time.perf_counter()
        appended = asyncio.ensure_future(log.append([item]))
        await waiting
        times.append(time.perf_counter() - start)
        await appended
    await followed.aclose()
    return statistics.median(times) * 1000


async def _read(log: JetStreamLog) -> float:
    """The stream as bytes."""
    start, count = time.perf_counter(), 0
    async for batch in log.read(EVENTS):
        count += len(batch)
    return count / (time.perf_counter() - start)


async def _replay(log: JetStreamLog) -> float:
    """The stream as typed events."""

    def refuse(entry: Entry, error: UndecodableEvent) -> None:
        raise error

    start, count = time.perf_counter(), 0
    async for batch in log.replay(EVENTS, refuse=refuse):
        count += len(batch)
    return count / (time.perf_counter() - start)


async def _blob(log: JetStreamLog, *, put: bool) -> float:
    """One large blob, of new bytes each time; megabytes (10^6) a second."""
    blobs, data = ObjectBlobs(log), os.urandom(BLOB_BYTES)
    start = time.perf_counter()
    digest = await blobs.put(MODEL_BUCKET, data)
    if not put:
        start = time.perf_counter()
        await blobs.get(MODEL_BUCKET, digest)
    seconds = time.perf_counter() - start
    await blobs.delete(MODEL_BUCKET, digest)
    return BLOB_BYTES / 1e6 / seconds
