"""The archived part of the streams: older messages are in segments in an object store, newer ones
in the stream, and readers see one log.

Facts in `EVENTS` say which segments there are and up to where they are to be read instead of the
stream (`StreamTrimmed`). Messages leave the stream `GRACE_SECONDS` after that fact; a reader looks
for a newer one at least every `CHECK_SECONDS`, so it never skips what left the stream meanwhile."""

import asyncio
import bisect
import contextlib
import hashlib
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

from ringrift.events import Fact, Recorded
from ringrift.events.facts import SegmentArchived, StreamTrimmed
from ringrift.log.entry import Entry
from ringrift.log.errors import BlobCorrupt, StoreError, StreamError
from ringrift.log.object_store import ObjectStore
from ringrift.log.segments import Segment
from ringrift.log.span import Batches, Span, T
from ringrift.log.topology import EVENTS, GAMES

CHECK_SECONDS = 20.0
GRACE_SECONDS = 60.0
"""three times `CHECK_SECONDS`: a reader may wait for an answer meanwhile"""
ARCHIVED = (EVENTS, GAMES)
FACTS = "ringrift.archive"
"""first words of the subjects of facts about the archive, which never leave `EVENTS`"""
OPEN_MAX = 2
"""segments in memory: the one being read, and the next"""
CACHE_BYTES = 4 * 1024**3
PLACE, CACHE, CACHE_LIMIT = "RINGRIFT_ARCHIVE", "RINGRIFT_CACHE", "RINGRIFT_CACHE_BYTES"
"""variables of the environment: another place of the archive for this machine, and the folder and
size of the cache"""

Newest = Callable[[str], Awaitable[Entry | None]]
"""The newest message of `EVENTS` under a filter."""
Stored = Callable[[Sequence[str], int], Batches[Recorded]]
"""The facts of `EVENTS` that count, under filters, from a sequence on."""


def _now() -> float:
    """The clock of the event loop, which tests move."""
    return asyncio.get_running_loop().time()


class Archive:
    """What is archived of a log's streams."""

    def __init__(self, newest: Newest, stored: Stored) -> None:
        self._newest, self._stored = newest, stored
        self.segments: dict[str, list[SegmentArchived]] = {stream: [] for stream in ARCHIVED}
        """by stream, in order"""
        self._trimmed = dict.fromkeys(ARCHIVED, 0)
        self._seq, self._checked = 0, float("-inf")
        self._refreshing = asyncio.Lock()
        self._opened: OrderedDict[str, asyncio.Task[Segment]] = OrderedDict()
        self.cache = Cache()

    async def trimmed(self, stream: str) -> int:
        """The sequence up to which a stream is read in the archive, 0 if nowhere; at most
        `CHECK_SECONDS` old."""
        if stream not in ARCHIVED:
            return 0
        if _now() - self._checked > CHECK_SECONDS:
            await self.refresh()
        return self._trimmed[stream]

    async def refresh(self) -> None:
        """Read the facts about the archive that are new."""
        async with self._refreshing:
            now = _now()
            newest = await self._newest(f"{FACTS}.>")
            if newest is not None and newest.seq > self._seq:
                subjects = [f"{FACTS}.*.segment-archived", f"{FACTS}.*.stream-trimmed"]
                async with contextlib.aclosing(self._stored(subjects, self._seq + 1)) as batches:
                    async for batch in batches:
                        for event, _ in batch:
                            self._take(event)
                self._seq = newest.seq
            self._checked = now

    def _take(self, event: Fact) -> None:
        match event:
            case SegmentArchived() as segment:
                known = self.segments[segment.stream]
                if not known or segment.first_seq > known[-1].last_seq:
                    known.append(segment)
            case StreamTrimmed() as trim:
                self._trimmed[trim.stream] = max(self._trimmed[trim.stream], trim.last_seq)

    def segments_of(self, stream: str, first: int, last: int) -> list[SegmentArchived]:
        """The segments that hold messages of a range."""
        known = self.segments[stream]
        start = bisect.bisect_left(known, first, key=lambda segment: segment.last_seq)
        end = bisect.bisect_right(known, last, key=lambda segment: segment.first_seq)
        return known[start:end]

    def reaches(self, stream: str, start: int | datetime, last: int) -> bool:
        """Whether something from a sequence or time on is archived, up to a sequence."""
        if isinstance(start, int):
            return start <= last
        found = self.segments_of(stream, 1, last)
        return bool(found) and found[-1].last_ms >= start.timestamp() * 1e3

    async def read(
        self, stream: str, filters: Sequence[str], start: int | datetime, last: int
    ) -> AsyncGenerator[list[Entry], None]:
        """Yield the archived messages from a sequence or time on, up to a sequence. The next
        segment is fetched while one is read. Raises StoreError, BlobMissing, BlobCorrupt."""
        first = start if isinstance(start, int) else 1
        since = start.timestamp() * 1e9 if isinstance(start, datetime) else 0
        wanted = [
            segment
            for segment in self.segments_of(stream, first, last)
            if segment.last_ms * 1e6 >= since
        ]
        for number, fact in enumerate(wanted):
            segment = await self._open(fact)
            for following in wanted[number + 1 : number + OPEN_MAX]:
                self._start(following)
            groups = segment.groups(filters, first, last)
            while (group := await asyncio.to_thread(next, groups, None)) is not None:
                if found := [entry for entry in group if entry.stamp_ns >= since]:
                    yield found

    async def get(self, stream: str, seq: int, filters: Sequence[str], last: int) -> Entry | None:
        """The first archived message of a range that matches the filters."""
        async with contextlib.aclosing(self.read(stream, filters, seq, last)) as batches:
            async for batch in batches:
                return batch[0]
        return None

    async def _open(self, fact: SegmentArchived) -> Segment:
        task = self._start(fact)
        try:
            return await asyncio.shield(task)
        except StreamError:
            self._opened.pop(fact.digest, None)
            raise

    def _start(self, fact: SegmentArchived) -> asyncio.Task[Segment]:
        task = self._opened.pop(fact.digest, None)
        if task is None or task.cancelled():
            task = asyncio.create_task(self._load(fact))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._opened[fact.digest] = task
        while len(self._opened) > OPEN_MAX:
            self._opened.popitem(last=False)
        return task

    async def _load(self, fact: SegmentArchived) -> Segment:
        data = await self.cache.fetch(fact.place, fact.digest)
        try:
            return await asyncio.to_thread(Segment, data)
        except BlobCorrupt as error:
            raise BlobCorrupt(f"{fact.place}: {error}") from error


class Overtaken(Exception):
    """Messages that a reader has not had yet leave the stream; they are in the archive."""


class Watch:
    """Notices in time that a reader is overtaken. `known`: everything up to this sequence was
    read in the archive."""

    def __init__(self, archive: Archive, stream: str, known: int) -> None:
        self._archive, self._stream, self._known = archive, stream, known
        self._asked = _now()

    async def overtaken(self, start: int | datetime, first: int | None) -> bool:
        """Whether what is stored from `start` on must be read in the archive; `first` is the
        sequence of the message that has just arrived, None if there are no more."""
        before, self._asked = self._asked, _now()
        trimmed = await self._archive.trimmed(self._stream)
        if trimmed <= self._known:
            return False
        # what arrived within the grace was still complete
        in_time = _now() - before <= GRACE_SECONDS - 2 * CHECK_SECONDS
        complete = in_time and (first is None or first > trimmed)
        if complete or (isinstance(start, int) and start > trimmed):
            self._known = trimmed
            return False
        return True


async def joined(
    archive: Archive,
    stream: str,
    span: Span,
    stored: Callable[[Span], Batches[T]],
    convert: Callable[[list[Entry]], list[T]],
    seq_of: Callable[[T], int],
) -> Batches[T]:
    """Yield a part of a stream: `convert` what is archived, then what is `stored`; what leaves the
    stream meanwhile is read in the archive."""
    filters, until = span.get("filters", ()), span.get("until_seq")
    progress = span.get("progress")
    start: int | datetime = span.get("start_time") or span.get("start_seq", 1)
    while True:
        end = await archive.trimmed(stream)
        last = end if until is None else min(end, until)
        if archive.reaches(stream, start, last):
            async for group in archive.read(stream, filters, start, last):
                if progress is not None:
                    progress(group[-1].seq, until or end)
                start = group[-1].seq + 1
                yield convert(group)
            start = last + 1
        if until is not None and until <= end:
            return
        watch, rest = Watch(archive, stream, end), span.copy()
        if isinstance(start, int):
            rest["start_seq"], rest["start_time"] = start, None
        async with contextlib.aclosing(stored(rest)) as batches:
            async for batch in batches:
                if await watch.overtaken(start, seq_of(batch[0]) if batch else 0):
                    break
                start = seq_of(batch[-1]) + 1 if batch else start
                yield batch
            else:
                if not await watch.overtaken(start, None):
                    return


class Cache:
    """Objects by digest in a folder of bounded size; the least recently used ones leave it. Objects
    of a directory are read there."""

    def __init__(self) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        chosen = os.environ.get(CACHE)
        self.chosen = bool(chosen)
        """whether a person or the node chose the folder; else it holds only what is archived"""
        given = chosen or f"{home}/ringrift/blobs"
        self.folder = Path(given).expanduser()
        limit = os.environ.get(CACHE_LIMIT, "")
        if limit and not limit.isdecimal():
            raise StoreError(f"{CACHE_LIMIT}={limit!r}: give a number of bytes")
        self.bytes_max = int(limit or CACHE_BYTES)

    async def fetch(self, place: str, digest: str) -> bytes:
        """Return an object of the archive by its whole name and digest, from the cache if it is
        there. Raises StoreError, BlobMissing, BlobCorrupt."""
        base, name = here(place)
        if base.startswith("/"):
            return await ObjectStore(base, create=False).get_checked(name, digest)
        data = await asyncio.to_thread(self.read, digest)
        if data is None:
            data = await ObjectStore(base, create=False).get_checked(name, digest)
            await asyncio.to_thread(self.write, digest, data)
        return data

    async def refetch(self, place: str, digest: str) -> None:
        """Read an object of the archive from its store, whatever the cache has. Raises StoreError,
        BlobMissing, BlobCorrupt."""
        base, name = here(place)
        await ObjectStore(base, create=False).get_checked(name, digest)

    def read(self, digest: str) -> bytes | None:
        """Return what the cache has, if it is undamaged."""
        file = self.folder / digest
        try:
            data = file.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            file.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return data

    def write(self, digest: str, data: bytes) -> None:
        """Keep an object, if there is room on the disk."""
        file = self.folder / digest
        partial = file.with_name(f"{digest}.{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.rename(file)
            self._shrink()
        except OSError:  # a cache is only faster
            partial.unlink(missing_ok=True)

    def _shrink(self) -> None:
        found = [(file.stat(), file) for file in self.folder.iterdir()]
        size = sum(stat.st_size for stat, _ in found)
        for stat, file in sorted(found, key=lambda item: item[0].st_mtime):
            if size <= self.bytes_max:
                return
            file.unlink(missing_ok=True)
            size -= stat.st_size


def here(place: str) -> tuple[str, str]:
    """Place and name of an object as this machine reaches it, from the whole name in a fact."""
    base, folder, name = place.rsplit("/", 2)
    return os.environ.get(PLACE) or base, f"{folder}/{name}"
