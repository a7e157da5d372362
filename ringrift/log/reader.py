"""Reading a stream in bulk, and following it.

Both read through sessions and replace one that is lost, so that a server's restart or a new leader
only delays them."""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from ringrift.events import Recorded, UndecodableEvent, decode
from ringrift.log.archive import Overtaken, Watch
from ringrift.log.diagnostics import logger
from ringrift.log.entry import Entry, Refuse
from ringrift.log.errors import LogUnavailable
from ringrift.log.keyring import Keyring
from ringrift.log.session import RETRY_SECONDS, Dial, Session, SessionLost, session
from ringrift.log.span import Batches, Entries, Progress
from ringrift.log.wire import RawMessage

QUIET_SECONDS_MAX = 5.0
"""a follower that receives nothing for this time asks the stream's leader for newer messages: a
consumer on a server that is cut off sends heartbeats, but no messages"""
READ_UNAVAILABLE_SECONDS_MAX = 30.0
"""a read fails after this time without a message; the loss of a leader takes 4 to 9 s"""
SUBJECTS_KEPT_MAX = 4096
"""subjects whose text is cached: they are few, and making one costs as much as the rest of an
entry"""

T = TypeVar("T")


def entries_of(messages: Sequence[RawMessage]) -> list[Entry]:
    """Entries of messages."""
    return [
        Entry(int(words[1]), _subject_in(words[0]), int(words[3]), data[body:end], data[head:body])
        for words, data, head, body, end in messages
    ]


def recorded_of(
    stream: str, messages: Sequence[RawMessage], ring: Keyring, refuse: Refuse
) -> list[Recorded]:
    """The events of messages; messages that are none, or do not count, are passed to `refuse`."""
    found: list[Recorded] = []
    for message in messages:
        words, data, _, body, end = message
        seq, subject, stamp_ns = int(words[1]), _subject_in(words[0]), int(words[3])
        try:
            recorded = decode(
                data[body:end], stream=stream, seq=seq, subject=subject, stamp_ns=stamp_ns
            )
            found.append(recorded if ring.empty else ring.counted(recorded, data[body:end]))
        except UndecodableEvent as error:
            refuse(entries_of([message])[0], error)
    return found


def unchanged(messages: Sequence[RawMessage]) -> list[RawMessage]:
    """The messages themselves."""
    return list(messages)


@functools.lru_cache(maxsize=SUBJECTS_KEPT_MAX)
def _subject_in(head: bytes) -> str:
    return head.split(b" ", 2)[1].decode()


async def read(
    dial: Dial,
    stream: str,
    convert: Callable[[Sequence[RawMessage]], list[T]],
    *,
    filters: Sequence[str] = (),
    start_seq: int = 1,
    start_time: datetime | None = None,
    until_seq: int | None = None,
    progress: Progress | None = None,
    headers_only: bool = False,
) -> Batches[T]:
    """Yield the messages that are stored now, in batches, converted by `convert`; see `Log.read`.

    Raises StreamMissing, LogUnavailable."""
    start: int | datetime = start_time or start_seq
    end: int | None = None
    heard = time.monotonic()
    while end is None or not isinstance(start, int) or start <= end:
        try:
            wanted = None
            if isinstance(start, int) and until_seq is not None:
                wanted = max(0, until_seq - start + 1)
            opened = session(dial, stream, filters, start, headers_only, wanted)
            async with opened as current:
                end = await _end(current, start, until_seq if end is None else end)
                if end == 0:
                    return
                while not isinstance(start, int) or start <= end:
                    messages = await current.receive()
                    if not messages:  # idle before the end: the rest may have expired
                        end = await _end(current, start, end)
                        if end == 0:
                            return
                        continue
                    heard, start = time.monotonic(), _seq(messages[-1]) + 1
                    if start > end + 1:
                        messages = [message for message in messages if _seq(message) <= end]
                    if progress is not None:
                        progress(min(start - 1, end), end)
                    if messages:
                        yield convert(messages)
        except SessionLost as error:
            if time.monotonic() - heard > READ_UNAVAILABLE_SECONDS_MAX:
                raise LogUnavailable(f"reading {stream}: {error}") from error
            await asyncio.sleep(RETRY_SECONDS)


def _seq(message: RawMessage) -> int:
    return int(message[0][1])


async def follow(
    dial: Dial, stream: str, watch: Watch, *, filters: Sequence[str] = (), start_seq: int = 1
) -> Entries:
    """Yield stored and new messages from `start_seq` on; see `Log.follow`. Raises StreamMissing,
    LogRewound, Overtaken."""
    start, before, reported = start_seq, None, False
    while True:
        try:
            async with session(dial, stream, filters, start) as current:
                before = await current.check_same(start - 1, before) or before
                heard, reported = time.monotonic(), False
                while True:
                    entries = entries_of(await current.receive())
                    if entries and await watch.overtaken(start, entries[0].seq):
                        raise Overtaken
                    for entry in entries:
                        start, before, heard = entry.seq + 1, entry, time.monotonic()
                        yield entry
                    if time.monotonic() - heard > QUIET_SECONDS_MAX:
                        newest, heard = await current.newest(), time.monotonic()
                        if newest is not None and newest.seq >= start:
                            raise SessionLost(f"the consumer does not know of {newest.seq}")
                        if await watch.overtaken(start, None):
                            raise Overtaken
        except SessionLost as error:
            if not reported:  # once, not at every attempt
                text = "follower lost its place, resuming"
                logger().warning(text, stream=stream, next_seq=start, why=str(error))
                reported = True
            await asyncio.sleep(RETRY_SECONDS)


async def _end(session: Session, start: int | datetime, until_seq: int | None) -> int:
    """Sequence at which a read from `start` ends, 0 if there is nothing to read.

    The stream's leader is asked, because the consumer's own replica may not have everything yet."""
    newest = await session.newest()
    if newest is None or (isinstance(start, datetime) and newest.time < start):
        return 0
    return newest.seq if until_seq is None else min(newest.seq, until_seq)
