"""Speed of the archive: games out of a stream into a directory, and back through one log, compared
with the stream itself; memory of this process; how long the server takes to start and how much
memory it has then, before the games leave and after."""

import tempfile
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from ringrift.consumers.archiving import moving
from ringrift.events import UndecodableEvent
from ringrift.events.facts import GameCompleted, StreamTrimmed
from ringrift.events.settings import ArchiveSettings
from ringrift.log.entry import Entry
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold
from ringrift.log.object_store import ObjectStore
from ringrift.log.protocol import BATCH_EVENTS_MAX, Expect
from ringrift.log.topology import GAMES
from ringrift.runtime.process import Clock, Process
from ringrift.server.embedded import EmbeddedServer
from ringrift.tools.bench.cluster import TARGET_BYTES, bench_game, resident_mb
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Ratio, Scope
from ringrift.tools.bench.log import served

BYTES_MAX = 2_000_000_000
"""of search targets in all games: a million have 2 kB each instead of the usual size"""
LATER_SECONDS = 1e6
STARTED = {"start": "s", "memory": "MB"}


async def benchmarks(scope: Scope) -> Benchmarks:
    """The games are archived once, and read as often as asked for before and after."""
    with tempfile.TemporaryDirectory(prefix="ringrift-bench-") as folder:
        data = Path(folder) / "data"
        async with served(data) as log:
            await _fill(log, scope.games)
        yield Benchmark("archive/server/full", STARTED, lambda: _started(data))
        async with served(data) as log:
            yield Benchmark("archive/replay/stream", "MB/s", lambda: _replayed(log))
            yield Benchmark("archive/out", "MB/s", lambda: _archived(log, folder), runs_max=1)
            yield Benchmark("archive/replay/archive", "MB/s", lambda: _replayed(log))
            yield Ratio("archive/replay/archive", "archive/replay/stream")
            yield Benchmark("archive/memory", "MB", _memory, runs_max=1)
        yield Benchmark("archive/server/trimmed", STARTED, lambda: _started(data))


async def _fill(log: JetStreamLog, wanted: int) -> None:
    size = min(TARGET_BYTES, BYTES_MAX // wanted)
    for first in range(0, wanted, BATCH_EVENTS_MAX // 4):
        last = min(first + BATCH_EVENTS_MAX // 4, wanted)
        await log.append([bench_game(number, size) for number in range(first, last)])


async def _started(data: Path) -> dict[str, float]:
    """Start the server: seconds until it is ready, and its memory then."""
    began = time.perf_counter()
    server = await EmbeddedServer.start(data)
    seconds = time.perf_counter() - began
    try:
        return {"start": seconds, "memory": resident_mb(server.pid)}
    finally:
        await server.stop()


async def _replayed(log: JetStreamLog) -> float:
    size, began = 0, time.perf_counter()

    def refuse(entry: Entry, error: UndecodableEvent) -> None:
        raise error

    async for batch in log.replay(GAMES, refuse=refuse):
        for event, _ in batch:
            assert isinstance(event, GameCompleted)
            size += len(event.moves) + len(event.targets)
    return size / 1e6 / (time.perf_counter() - began)


async def _archived(log: JetStreamLog, folder: str) -> float:
    process = Process("archiver", "bench", log, Clock(wall=lambda: time.time() + LATER_SECONDS))
    settings, tail = ArchiveSettings(place=folder), await log.tail(GAMES)
    size = (await log.call(f"STREAM.INFO.{GAMES}"))["state"]["bytes"]
    async with hold(log, "archiver", "bench", "bench") as lease:
        began = time.perf_counter()
        await _move(process, lease.expect, folder, settings, tail)
        seconds = time.perf_counter() - began
        fact = StreamTrimmed(stream=GAMES, last_seq=tail)  # type: ignore[arg-type]
        await process.append(fact, key=tail, expect=lease.expect)
        await moving.purge(log, GAMES, tail)
        await log.archive.refresh()
    return float(size) / 1e6 / seconds


async def _move(
    process: Process, fence: Expect, folder: str, settings: ArchiveSettings, tail: int
) -> None:
    while entries := await moving.closed(process, GAMES, settings, tail):
        await moving.store_segment(process, fence, ObjectStore(folder), "GAMES", entries)


def _memory() -> float:
    """The largest size that this process had."""
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024
