"""Republishes recently acknowledged events that the server lost.

Only observations are republished. A lost decision is decided again by its decider, which follows
the log and is notified of the loss (`LogRewound`). An event whose cause is lost too has no meaning
any more: it is counted as orphaned and left out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from ringrift.log.protocol import Log
from ringrift.log.recent import Acknowledged
from ringrift.log.topology import EVENTS, GAMES

CLOCK_SKEW = timedelta(minutes=1)


class Republished(Struct, frozen=True, kw_only=True):
    """Events of `stream` that were acknowledged between two sequences and then lost: of which
    `republished` are stored again and `orphaned` are not."""

    stream: str
    first_seq: int
    last_seq: int
    republished: int
    orphaned: int


async def republish(log: Log) -> list[Republished]:
    """Look for all recent events of this process and republish the lost ones; return one result for
    each stream that lost some.

    Raises StreamError, after which part of the events may be republished; another call continues.
    """
    kept = log.recent.by_stream()
    results = [await _republish(log, stream, kept[stream]) for stream in kept]
    return [result for result in results if result is not None]


async def _republish(log: Log, stream: str, kept: Sequence[Acknowledged]) -> Republished | None:
    ids = [item.draft.id for item in kept]
    subjects = sorted({item.draft.subject for item in kept})
    since = datetime.fromtimestamp(kept[0].at, UTC) - CLOCK_SKEW
    stored = await log.stored(stream, ids, subjects, since)
    lost = [
        item
        for item in kept
        if item.draft.id not in stored and not await _is_stored_at_its_sequence(log, stream, item)
    ]
    if not lost:
        return None
    republished = 0
    for item in lost:
        if await _has_its_cause(log, item):
            await log.append([item.draft])
            republished += 1
    seqs = [item.seq for item in lost]
    return Republished(
        stream=stream,
        first_seq=min(seqs),
        last_seq=max(seqs),
        republished=republished,
        orphaned=len(lost) - republished,
    )


async def _is_stored_at_its_sequence(log: Log, stream: str, item: Acknowledged) -> bool:
    """Whether the event is stored, but before the time from which `stored` looked: an event may be
    acknowledged long after it was stored."""
    entry = await log.get(stream, item.seq)
    return entry is not None and entry.id == item.draft.id


async def _has_its_cause(log: Log, item: Acknowledged) -> bool:
    """Whether the cause is still the same message. One that took the sequence of a lost cause was
    stored after this event was acknowledged."""
    stream, _, seq = (item.draft.cause or "").partition("/")
    if stream not in (EVENTS, GAMES):
        return True  # there is no cause, or a ticket, which is deleted when it is done
    cause = await log.get(stream, int(seq))
    return cause is not None and cause.time.timestamp() <= item.at
