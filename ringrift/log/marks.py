"""How far the log once went: a mark in the bucket `marks`, apart from the streams that it is
about, so that a stream that lost its end is recognised.

A server that finds a damaged block may end a stream there and use the sequences again. Without the
mark the loss of what was behind it would not be seen."""

import asyncio
import contextlib
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.log.errors import StreamError, StreamMissing
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES, MARK_BUCKET

REMEMBER_SECONDS_MAX = 5.0
"""At the end of a command, whose server may be gone."""
KEY = f"$KV.{MARK_BUCKET}.log"
REMEDY = (
    "restore a backup (`ringrift cluster restore`), or accept it with `ringrift verify --accept`"
)


class Mark(Struct, frozen=True, kw_only=True):
    """By stream: the newest sequence (`tails`), and the sequence up to which it was verified with
    the digest of the events up to there (`verified`). An operator accepted `EVENTS` up to
    `accepted`, whatever earlier tree heads say."""

    time: datetime
    tails: dict[str, int]
    verified: dict[str, tuple[int, str]] = {}
    accepted: int = 0


async def newest(log: Log) -> Mark:
    """Return the mark of a log, an empty one if there is none. Raises StreamError."""
    entry = None
    with contextlib.suppress(StreamMissing):  # a new server
        entry = await log.last(f"KV_{MARK_BUCKET}", KEY)
    try:
        return msgspec.json.decode(entry.body if entry else b"", type=Mark)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Mark(time=datetime.now(UTC), tails={})


async def store(log: Log, mark: Mark) -> None:
    """Store a mark in place of the newest one. Raises StreamError."""
    await log.publish(f"KV_{MARK_BUCKET}", KEY, msgspec.json.encode(mark))


async def remember(log: Log) -> None:
    """Note how far the log goes now, unless it was noted already or the server does not answer."""
    with contextlib.suppress(StreamError, TimeoutError):
        async with asyncio.timeout(REMEMBER_SECONDS_MAX):
            mark = await newest(log)
            tails = {stream: await _tail(log, stream) for stream in (EVENTS, GAMES)}
            if any(tails[stream] > mark.tails.get(stream, 0) for stream in tails):
                await store(log, replace(mark, time=datetime.now(UTC), tails=tails))


async def losses(log: Log) -> list[str]:
    """Return what the log lacks at its end, one text for each stream. Raises StreamError."""
    mark, found = await newest(log), []
    for stream, noted in sorted(mark.tails.items()):
        if (tail := await _tail(log, stream)) < noted:
            text = f"{stream} ends with {tail}, but it went up to {noted} at {mark.time:%F %R} UTC"
            found.append(f"{text}: {noted - tail:,} messages are lost; {REMEDY}")
    return found


async def refuse_losses(log: Log) -> None:
    """Raise StreamError if the log lacks its end, before its sequences are used again."""
    for text in await losses(log):
        raise StreamError(text)


async def _tail(log: Log, stream: str) -> int:
    with contextlib.suppress(StreamMissing):
        return await log.tail(stream)
    return 0
