"""How far the log once went: a mark in the bucket `marks`, apart from the streams that it is
about, so that a stream that lost its end is recognised.

A server that finds a damaged block may end a stream there and use the sequences again. Without the
mark nobody would miss what was behind it."""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES, MARK_BUCKET

KEY = f"$KV.{MARK_BUCKET}.log"
REMEDY = (
    "restore a backup (`ringrift backup restore`), or accept it with `ringrift verify --accept`"
)


class Mark(Struct, frozen=True, kw_only=True):
    """By stream: the newest sequence (`tails`), and the sequence up to which it was verified with
    the digest of the events up to there (`verified`)."""

    time: datetime
    tails: dict[str, int]
    verified: dict[str, tuple[int, str]] = {}


async def newest(log: Log) -> Mark:
    """Return the mark of a log, an empty one if there is none."""
    entry = await log.last(f"KV_{MARK_BUCKET}", KEY)
    try:
        return msgspec.json.decode(entry.body if entry else b"", type=Mark)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Mark(time=datetime.now(UTC), tails={})


async def store(log: Log, mark: Mark) -> None:
    """Store a mark in place of the newest one. Raises StreamError."""
    await log.publish(f"KV_{MARK_BUCKET}", KEY, msgspec.json.encode(mark))


async def remember(log: Log) -> None:
    """Note how far the log goes now, unless it was noted already. Raises StreamError."""
    mark = await newest(log)
    tails = {stream: await log.tail(stream) for stream in (EVENTS, GAMES)}
    if any(tails[stream] > mark.tails.get(stream, 0) for stream in tails):
        await store(log, replace(mark, time=datetime.now(UTC), tails=tails))


async def losses(log: Log) -> list[str]:
    """Return what the log lacks at its end, one text for each stream. Raises StreamError."""
    mark, found = await newest(log), []
    for stream, noted in sorted(mark.tails.items()):
        if (tail := await log.tail(stream)) < noted:
            text = f"{stream} ends with {tail}, but it went up to {noted} at {mark.time:%F %R} UTC"
            found.append(f"{text}: {noted - tail:,} messages are lost; {REMEDY}")
    return found
