"""Moving closed ranges of a stream to the archive.

1. A range is closed when its messages fill a segment, or are old enough to leave the stream.
2. The segment is stored, read back, compared with its messages, and recorded (`SegmentArchived`).
3. Once it may leave the stream it is read a second time, and a fact has readers read the archive
   from now on (`StreamTrimmed`).
4. When the grace of readers is over, the stream is purged, except for the newest message of each
   subject, which writers compare sequences with, and the facts about the archive and about keys.

A process that is killed anywhere repeats the step: objects are named by their content, facts by
their range, and a purge twice is a purge once."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ringrift.events import type_of
from ringrift.events.fact import StreamName
from ringrift.events.facts import GameCompleted, SegmentArchived, StreamTrimmed
from ringrift.events.settings import KEEP_HOURS_MIN, ArchiveSettings
from ringrift.log import marks, segments
from ringrift.log.archive import FACTS, GRACE_SECONDS, here
from ringrift.log.entry import Entry, matches, matches_any
from ringrift.log.errors import BlobCorrupt, BlobMissing, StreamError
from ringrift.log.keyring import TRUST
from ringrift.log.object_store import ObjectStore
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.process import Process

STREAMS: tuple[StreamName, ...] = (GAMES, EVENTS)  # type: ignore[assignment]
HOUR = 3600.0
MISSING_MAX = 1_000
"""messages in one gap that are asked of the leader"""
_GAME = type_of(GameCompleted).subject_filter


Trims = dict[str, int]
"""Up to which sequence this process has purged each stream."""


async def move(
    process: Process,
    fence: Expect,
    store: ObjectStore,
    settings: ArchiveSettings,
    trims: Trims,
    stream: StreamName,
) -> None:
    """Archive and trim a stream as far as it may be. Raises StoreError, BlobCorrupt."""
    await process.log.archive.refresh()
    try:
        await _purge(process, stream, trims)  # announced by a holder before this one
        tail = await process.log.tail(
            stream
        )  # own facts are events too: they wait for the next round
        while not process.stopping and (entries := await closed(process, stream, settings, tail)):
            await store_segment(process, fence, store, stream, entries)
        await _trim(process, fence, stream, settings, trims)
    finally:
        await _measure(process, stream, settings)


def keep_seconds(stream: str, settings: ArchiveSettings) -> float | None:
    """Age from which messages leave a stream; None if they stay."""
    if stream == GAMES:
        return settings.keep_hours * HOUR
    hours = settings.events_keep_hours
    return max(hours, KEEP_HOURS_MIN) * HOUR if hours else None


async def closed(
    process: Process, stream: str, settings: ArchiveSettings, tail: int
) -> list[Entry]:
    """The messages of the next segment up to `tail`; none if no range is closed."""
    log, known = process.log, process.log.archive.segments[stream]
    start = known[-1].last_seq + 1 if known else 1
    keep = keep_seconds(stream, settings)
    old_ns = 0.0 if keep is None else (process.clock.wall() - keep) * 1e9
    oldest = await log.get(stream, start, under=">")
    if (
        oldest is None
        or oldest.seq > tail
        or (oldest.stamp_ns > old_ns and not await _fills(log, stream, start, settings))
    ):
        return []
    found, size = list[Entry](), 0
    async for batch in log.read(stream, start_seq=start, until_seq=tail, archived=False):
        for entry in batch:
            if size >= settings.segment_bytes:
                return await _complete(log, stream, start, found)
            found.append(entry)
            size += len(entry.body)
    # not full: only what has to leave the stream
    return await _complete(log, stream, start, [item for item in found if item.stamp_ns <= old_ns])


async def _fills(log: Log, stream: str, start: int, settings: ArchiveSettings) -> bool:
    """Whether about enough messages for a segment wait, by their mean size."""
    state: dict[str, Any] = (await log.call(f"STREAM.INFO.{stream}"))["state"]
    mean = int(state.get("bytes", 0)) / max(1, int(state["messages"]))
    return (int(state["last_seq"]) - start + 1) * mean >= settings.segment_bytes


async def _complete(log: Log, stream: str, start: int, found: list[Entry]) -> list[Entry]:
    """The messages without gaps: a damaged copy of a stream lacks some that the leader has. Raises
    BlobCorrupt for one that `verify --accept` has not accepted."""
    whole = list[Entry]()
    for entry in found:
        expected = whole[-1].seq + 1 if whole else start
        for seq in range(expected, min(entry.seq, expected + MISSING_MAX)):
            if (missed := await log.get(stream, seq)) is not None:
                whole.append(missed)
        expected = whole[-1].seq + 1 if whole else start
        if entry.seq > expected:
            mark = await marks.newest(log)
            if entry.seq > mark.verified.get(stream, (0, ""))[0]:
                gap = f"{stream}/{expected}..{entry.seq - 1}"
                raise BlobCorrupt(
                    f"{gap}: messages are missing, so nothing more is archived; see "
                    f"`ringrift verify`"
                )
        whole.append(entry)
    return whole


async def store_segment(
    process: Process,
    fence: Expect,
    store: ObjectStore,
    stream: StreamName,
    entries: Sequence[Entry],
) -> None:
    """Store messages as a segment, read it back, compare it, and record it. Raises StoreError,
    BlobCorrupt."""
    data = await asyncio.to_thread(segments.encode, entries)
    digest = hashlib.sha256(data).hexdigest()
    first, last = entries[0], entries[-1]
    name = f"{stream}/{first.seq:012}-{last.seq:012}-{digest[:16]}.parquet"
    await store.put(name, data)
    copy = await store.get_checked(name, digest)
    if not await asyncio.to_thread(_holds, copy, entries):
        raise BlobCorrupt(f"{store.place}/{name}: the segment does not give back its messages")
    completed = Counter(
        item.subject.split(".")[2] for item in entries if matches(_GAME, item.subject)
    )
    fact = SegmentArchived(
        stream=stream,
        first_seq=first.seq,
        last_seq=last.seq,
        messages=len(entries),
        digest=digest,
        size_bytes=len(data),
        place=f"{store.place.rstrip('/')}/{name}",
        last_ms=max(item.stamp_ns for item in entries) // 1_000_000 + 1,
        completed=dict(sorted(completed.items())),
    )
    await process.append(fact, key=f"{stream}.{first.seq}", expect=fence)
    process.metrics.add("ringrift_archived_bytes_total", by=len(data))
    process.logger.info("segment archived", place=fact.place, messages=fact.messages)
    await process.log.archive.refresh()


def _holds(data: bytes, entries: Sequence[Entry]) -> bool:
    found = (entry for group in segments.Segment(data).groups() for entry in group)
    return all(a == b for a, b in zip(found, entries, strict=True))


async def _trim(
    process: Process, fence: Expect, stream: StreamName, settings: ArchiveSettings, trims: Trims
) -> None:
    """Have readers read in the archive what may leave the stream, then purge it."""
    archive = process.log.archive
    before = await archive.trimmed(stream)
    due = await _due(process, stream, settings, before)
    if not due:
        return
    for segment in due:  # the second reading
        try:
            await archive.cache.refetch(segment.place, segment.digest)
        except (BlobMissing, BlobCorrupt) as error:
            await _store_again(process, segment, error)
            await archive.cache.refetch(segment.place, segment.digest)
    last = due[-1].last_seq
    fact = StreamTrimmed(stream=stream, last_seq=last)
    await process.append(fact, key=f"{stream}.{last}", expect=fence)
    await archive.refresh()
    await process.wait(GRACE_SECONDS)
    if not process.stopping:
        await purge(process.log, stream, last)
        trims[stream] = last
        process.logger.info("stream trimmed", stream=stream, last_seq=last)


async def _store_again(process: Process, segment: SegmentArchived, error: StreamError) -> None:
    """Replace a copy that was lost or damaged, while the stream has its messages. Raises the error
    if they give other bytes."""
    read = process.log.read(
        segment.stream, start_seq=segment.first_seq, until_seq=segment.last_seq, archived=False
    )
    data = await asyncio.to_thread(segments.encode, [item async for part in read for item in part])
    if hashlib.sha256(data).hexdigest() != segment.digest:
        raise error
    base, name = here(segment.place)
    await ObjectStore(base).put(name, data)
    process.logger.warning("segment stored again", place=segment.place, error=str(error))


async def _due(
    process: Process, stream: str, settings: ArchiveSettings, trimmed: int
) -> list[SegmentArchived]:
    """The oldest segments that may leave the stream: by age, and games by the stream's size."""
    keep, now_ms = keep_seconds(stream, settings), process.clock.wall() * 1e3
    if keep is None:
        return []
    state: dict[str, Any] = (await process.log.call(f"STREAM.INFO.{stream}"))["state"]
    mean = state.get("bytes", 0) / max(1, state["messages"])
    size, due = state.get("bytes", 0), list[SegmentArchived]()
    for segment in process.log.archive.segments[stream]:
        if segment.last_seq <= trimmed:
            continue
        age = (now_ms - segment.last_ms) / 1e3
        too_much = stream == GAMES and size > settings.keep_bytes and age >= KEEP_HOURS_MIN * HOUR
        if age < keep and not too_much:
            break
        due.append(segment)
        size -= segment.messages * mean
    return due


async def _purge(process: Process, stream: str, trims: Trims) -> None:
    """Purge what was announced and perhaps not purged."""
    trimmed = await process.log.archive.trimmed(stream)
    if trims.get(stream, 0) >= trimmed:
        return
    await process.wait(GRACE_SECONDS)
    if not process.stopping:
        await purge(process.log, stream, trimmed)
        trims[stream] = trimmed


async def purge(log: Log, stream: str, last: int) -> None:
    """Delete the messages up to a sequence, except for the newest of each subject and the facts
    about the archive and about keys."""
    for subject in await log.subjects(stream, ">"):
        newest = await log.last(stream, subject)
        if newest is not None and not matches_any([f"{FACTS}.>", TRUST], subject):
            await log.purge(stream, subject, before=min(last + 1, newest.seq))


async def _measure(process: Process, stream: str, settings: ArchiveSettings) -> None:
    """Report how many messages are not archived, and for how long some should have left."""
    archive, log = process.log.archive, process.log
    known, trimmed = archive.segments[stream], await archive.trimmed(stream)
    pending = await log.tail(stream) - (known[-1].last_seq if known else 0)
    process.metrics.set("ringrift_archive_pending", pending, stream)
    keep, oldest = keep_seconds(stream, settings), await log.get(stream, trimmed + 1, under=">")
    overdue = 0.0
    if keep is not None and oldest is not None:
        overdue = max(0.0, process.clock.wall() - oldest.stamp_ns / 1e9 - keep)
    process.metrics.set("ringrift_archive_overdue_seconds", overdue, stream)
