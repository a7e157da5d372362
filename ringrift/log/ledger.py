"""What a process was told is stored, kept until a server that syncs late must have it on its disk,
and written again if it is gone.

A server that is killed together with its machine may forget the newest messages that it
acknowledged: those it had not synced. Ours syncs each before it acknowledges; another's
configuration, a restored backup or a lying disk may not. So a process keeps what it wrote, and
looks for it whenever its connection comes back. What is missing is written again under its id.

Kept are observations only. A decision that is gone is decided again by its decider, which follows
the log and sees it end earlier (`LogRewound`). A fact whose cause is gone as well says nothing any
more: it is left out, and counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from ringrift.events import Draft
from ringrift.log.topology import EVENTS, GAMES

if TYPE_CHECKING:
    from ringrift.log.protocol import Log

KEPT_SECONDS = 150.0
"""the server's own default for `sync_interval` is 2 min: what is older is on its disk"""
KEPT_EVENTS_MAX = 20_000
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""at most, in memory; with more the oldest are forgotten first: a worker that writes 20 games a
second stays below"""
CLOCK_SKEW = timedelta(minutes=1)


class _Kept(NamedTuple):
    draft: Draft
    seq: int
    size_bytes: int
    at: float
    """when it was acknowledged, seconds since 1970 on this machine's clock"""


class Mended(Struct, frozen=True, kw_only=True):
    """What was acknowledged in `stream` between the two sequences and was gone: `republished`, or
    left out as `orphaned`."""

    stream: str
    first_seq: int
    last_seq: int
    republished: int
    orphaned: int


class Ledger:
    """What one process appended and was acknowledged, oldest first, for `KEPT_SECONDS`."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: deque[_Kept] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, drafts: Sequence[Draft], seqs: Sequence[int], sizes: Sequence[int]) -> None:
        """Keep what was acknowledged under these sequences, so many bytes each."""
        at = self._now()
        for item in map(_Kept, drafts, seqs, sizes, [at] * len(drafts)):
            self._kept.append(item)
            self._bytes += item.size_bytes
        while self._kept and self._must_go(self._kept[0], at):
            self._bytes -= self._kept.popleft().size_bytes

    def _must_go(self, item: _Kept, now: float) -> bool:
        return (
            now - item.at > KEPT_SECONDS
            or len(self._kept) > KEPT_EVENTS_MAX
            or self._bytes > KEPT_BYTES_MAX
        )

    async def mend(self, log: Log) -> list[Mended]:
        """Look for everything kept, and write again what is gone; one answer for each stream that
        lost something.

        Raises StreamError: then part of it may be written; another call goes on."""
        streams: dict[str, dict[str, _Kept]] = {}
        for item in self._kept:
            streams.setdefault(item.draft.kind.stream, {})[item.draft.id] = item
        found = [await _mend(log, stream, list(kept.values())) for stream, kept in streams.items()]
        return [item for item in found if item is not None]


async def _mend(log: Log, stream: str, kept: Sequence[_Kept]) -> Mended | None:
    since = datetime.fromtimestamp(kept[0].at, UTC) - CLOCK_SKEW
    ids, subjects = [item.draft.id for item in kept], sorted({item.draft.subject for item in kept})
    there = await log.stored(stream, ids, subjects, since)
    missing = [
        item
        for item in kept
        if item.draft.id not in there
        and not _expired(item)
        and not await _is_where_it_was(log, stream, item)
    ]
    if not missing:
        return None
    written = 0
    for item in missing:
        if await _cause_is_there(log, item):
            await log.append([item.draft])
            written += 1
    seqs = [item.seq for item in missing]
    return Mended(
        stream=stream,
        first_seq=min(seqs),
        last_seq=max(seqs),
        republished=written,
        orphaned=len(missing) - written,
    )


def _expired(item: _Kept) -> bool:
    """Whether the stream may have dropped it by itself."""
    kept_seconds = item.draft.kind.kept_seconds
    return kept_seconds is not None and kept_seconds <= KEPT_SECONDS


async def _is_where_it_was(log: Log, stream: str, item: _Kept) -> bool:
    """Whether it lies where its acknowledgement said: one that came late tells nothing of when it
    was stored."""
    entry = await log.get(stream, item.seq)
    return entry is not None and entry.id == item.draft.id


async def _cause_is_there(log: Log, item: _Kept) -> bool:
    """Whether its cause still is what it was: what took a lost message's sequence was stored after
    this was acknowledged."""
    stream, _, seq = (item.draft.cause or "").partition("/")
    if stream not in (EVENTS, GAMES):
        return True  # none, or a ticket, which is deleted when it is done
    cause = await log.get(stream, int(seq))
    return cause is not None and cause.time.timestamp() <= item.at
