"""Reading recorded history: typed events between two points, and the points themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta

from ringrift.events import Fact, Recorded, UndecodableEvent, type_of
from ringrift.log.protocol import Entry, Log, Progress
from ringrift.log.topology import EVENTS

FILTERS_MAX = 6
"""more are matched here: a server takes twice as long to match twenty subjects as to send
everything"""


async def events(
    log: Log,
    *,
    kinds: Iterable[type[Fact]] = (),
    after_seq: int = 0,
    until_seq: int | None = None,
    stream: str = EVENTS,
    progress: Progress | None = None,
) -> AsyncIterator[Recorded]:
    """Events of `kinds` (all if none is named) after one sequence and up to another, in the order
    of the log.

    What cannot be decoded is left out, as every fold leaves it out; the deciders dead-letter it."""
    wanted = frozenset(kinds)
    filters = (
        sorted(type_of(kind).subject_filter for kind in wanted)
        if len(wanted) <= FILTERS_MAX
        else []
    )
    batches = log.replay(
        stream,
        refuse=_leave_out,
        filters=filters,
        start_seq=after_seq + 1,
        until_seq=until_seq,
        progress=progress,
    )
    async for batch in batches:
        for recorded in batch:
            if filters or not wanted or type(recorded.event) in wanted:
                yield recorded


def _leave_out(entry: Entry, error: UndecodableEvent) -> None:
    """Nothing to do: the consumers have dead-lettered it."""


async def seq_at(log: Log, moment: int | datetime) -> int:
    """The newest sequence of `EVENTS` at a point: the sequence itself, at most the last there is,
    or that of a time."""
    tail = await log.tail(EVENTS)
    if isinstance(moment, int):
        return min(moment, tail)
    found = tail
    batches = log.read(EVENTS, start_time=moment + timedelta(microseconds=1))
    async for batch in batches:
        found = batch[0].seq - 1
        break
    await batches.aclose()
    return found
