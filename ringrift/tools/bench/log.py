"""Speed of the log: appending, reading, and the time from an append to a waiting follower."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ringrift.events import Draft, UndecodableEvent, draft
from ringrift.events.facts import EvaluationFailed
from ringrift.log.blobs import Blobs
from ringrift.log.entry import Entry
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import BATCH_EVENTS_MAX
from ringrift.log.topology import EVENTS, MODEL_BUCKET
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope

_PADDING = "x" * 190
"""Makes an encoded event half a kilobyte."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Events and bytes of one run."""

    single: int = 200
    each: int = 2_000
    batches: int = 5
    reactions: int = 100
    replayed: int = 200_000
    blob_bytes: int = 64 * 1024 * 1024


@asynccontextmanager
async def fresh_log() -> AsyncIterator[JetStreamLog]:
    """A new, empty log on an embedded server. Raises ServerError if the server cannot run."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as data:
        async with served(Path(data)) as log:
            yield log


@asynccontextmanager
async def served(data: Path) -> AsyncIterator[JetStreamLog]:
    """The log of a directory on an embedded server. Raises ServerError if it cannot run."""
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="bench")
        await ensure(log)
        yield log
        await log.close()
    finally:
        await server.stop()


class BenchEvents:
    """A source of events of half a kilobyte, no two alike."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, count: int) -> list[Draft]:
        """The next `count` events."""
        first, self._taken = self._taken, self._taken + count
        return [self._draft(number) for number in range(first, self._taken)]

    def _draft(self, number: int) -> Draft:
        fact = EvaluationFailed(
            config="hex8_2p",
            generation=1,
            ticket=f"bench-{number}",
            candidate_model=None,
            purpose="ladder",
            reason=_PADDING,
            node="node1",
        )
        return draft(fact, cause=None, source="bench@node", key=number)


async def benchmarks(scope: Scope, sizes: Sizes = Sizes()) -> Benchmarks:
    """All measurements, on one embedded server."""
    async with fresh_log() as log:
        events = BenchEvents()
        run = partial(_append_single, log, events, sizes.single)
        yield Benchmark("log/append/single", "events/s", run)
        run = partial(append_each, log, events, sizes.each)
        yield Benchmark("log/append/each", "events/s", run)
        run = partial(_append_batches, log, events, sizes.batches)
        yield Benchmark("log/append/batch", "events/s", run)
        run = partial(_reaction, log, events, sizes.reactions)
        yield Benchmark("log/reaction", "ms", run)
        while await log.tail(EVENTS) < sizes.replayed:
            await log.append(events.take(BATCH_EVENTS_MAX))
        yield Benchmark("log/read", "events/s", partial(_read, log))
        yield Benchmark("log/replay", "events/s", partial(_replay, log))
        blobs = Blobs(log)
        yield Benchmark("log/blob/put", "MB/s", partial(_put, blobs, sizes.blob_bytes))
        yield Benchmark("log/blob/get", "MB/s", partial(_get, blobs, sizes.blob_bytes))


async def _append_single(log: JetStreamLog, events: BenchEvents, count: int) -> float:
    """One event after another, each acknowledged before the next is sent."""
    drafts = events.take(count)
    start = time.perf_counter()
    for item in drafts:
        await log.append([item])
    return count / (time.perf_counter() - start)


async def append_each(log: JetStreamLog, events: BenchEvents, count: int) -> float:
    """Many events in flight, each by itself, as games are written; events per second."""
    drafts = events.take(count)
    start = time.perf_counter()
    await log.append_each(drafts)
    return count / (time.perf_counter() - start)


async def _append_batches(log: JetStreamLog, events: BenchEvents, count: int) -> float:
    """Atomic batches of the largest size."""
    batches = [events.take(BATCH_EVENTS_MAX) for _ in range(count)]
    start = time.perf_counter()
    for batch in batches:
        await log.append(batch)
    return count * BATCH_EVENTS_MAX / (time.perf_counter() - start)


async def _reaction(log: JetStreamLog, events: BenchEvents, count: int) -> float:
    """Median time from the call of append until a waiting follower has the event, in
    milliseconds."""
    followed = log.follow(EVENTS, start_seq=await log.tail(EVENTS) + 1)
    times = []
    for item in events.take(count):
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


async def _put(blobs: Blobs, size_bytes: int) -> float:
    """Store a large blob of random bytes; megabytes (10^6 bytes) per second."""
    data = os.urandom(size_bytes)
    start = time.perf_counter()
    digest = await blobs.put(MODEL_BUCKET, data)
    seconds = time.perf_counter() - start
    await blobs.delete(MODEL_BUCKET, digest)
    return size_bytes / 1e6 / seconds


async def _get(blobs: Blobs, size_bytes: int) -> float:
    """Fetch a large blob; megabytes (10^6 bytes) per second."""
    digest = await blobs.put(MODEL_BUCKET, os.urandom(size_bytes))
    start = time.perf_counter()
    await blobs.get(MODEL_BUCKET, digest)
    seconds = time.perf_counter() - start
    await blobs.delete(MODEL_BUCKET, digest)
    return size_bytes / 1e6 / seconds
