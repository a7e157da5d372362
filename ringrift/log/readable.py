"""The half of a log that reads: archive and stream as one, and whose events count."""

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ringrift.events import Recorded, UndecodableEvent, event_id
from ringrift.log.archive import ARCHIVED, Archive, Overtaken, Watch, joined
from ringrift.log.entry import Entry, Refuse, matches, matches_any
from ringrift.log.keyring import TRUST, Keyring
from ringrift.log.span import Batches, Entries, Span
from ringrift.log.topology import EVENTS, GAMES


class Readable(ABC):
    """What `ringrift.log.protocol.Log` reads with."""

    ring: Keyring
    """whose events count, as far as it was read"""

    @abstractmethod
    def _read(
        self, stream: str, *, headers_only: bool = False, **span: Unpack[Span]
    ) -> Batches[Entry]:
        """Do the same as `read`, without the archive."""

    @abstractmethod
    def _replay(self, stream: str, *, refuse: Refuse, **span: Unpack[Span]) -> Batches[Recorded]:
        """Do the same as `replay`, without the archive."""

    @abstractmethod
    def _follow(
        self, stream: str, *, watch: Watch, filters: Sequence[str] = (), start_seq: int = 1
    ) -> Entries:
        """Do the same as `follow`, without the archive. Raises Overtaken if `watch` says so."""

    @abstractmethod
    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """Return the newest message that matches the filter."""

    @abstractmethod
    async def _get(self, stream: str, seq: int, *, under: str | None = None) -> Entry | None:
        """Do the same as `get`, without the archive."""

    @abstractmethod
    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """Return the server's answer to a request to `$JS.API.<subject>`.

        Without `retry` the first failure is final. Raises ServerRefused."""

    # reading archive and stream as one

    @functools.cached_property
    def archive(self) -> Archive:
        """The archived part of this log."""

        def stored(filters: Sequence[str], start: int) -> Batches[Recorded]:
            return self._replay(EVENTS, refuse=_pass_over, filters=filters, start_seq=start)

        return Archive(lambda subject: self.last(EVENTS, subject), stored)

    def read(
        self,
        stream: str,
        *,
        headers_only: bool = False,
        archived: bool = True,
        **span: Unpack[Span],
    ) -> Batches[Entry]:
        """Yield the messages that are stored now, in order, in batches of bounded size.

        With `headers_only` the server may leave the bodies out. Without `archived` the archive is
        not read. Raises StoreError if the archive is needed and cannot be read."""

        def stored(span: Span) -> Batches[Entry]:
            return self._read(stream, headers_only=headers_only, **span)

        if not archived or stream not in ARCHIVED:
            return stored(span)
        return joined(self.archive, stream, span, stored, list, lambda entry: entry.seq)

    async def replay(
        self, stream: str, *, refuse: Refuse, **span: Unpack[Span]
    ) -> Batches[Recorded]:
        """Do the same as `read` and decode; messages that are no events, or do not count, are
        passed to `refuse`."""

        def stored(span: Span) -> Batches[Recorded]:
            return self._replay(stream, refuse=refuse, **span)

        def convert(entries: Sequence[Entry]) -> list[Recorded]:
            return self.ring.events(stream, entries, refuse)

        if await self.archive.trimmed(stream):
            await self.know(stream, await self.tail(stream))
        batches = joined(self.archive, stream, span, stored, convert, lambda item: item.meta.seq)
        async with contextlib.aclosing(batches):
            async for batch in batches:
                yield batch

    async def follow(
        self, stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
    ) -> Entries:
        """Yield the stored messages from `start_seq` on, then new ones, in order, each once.

        Never ends. Raises LogRewound if the server lost messages that were yielded, StoreError if
        the archive is needed and cannot be read."""
        start = start_seq
        while True:
            end = await self.archive.trimmed(stream)
            if start <= end:
                async for group in self.archive.read(stream, filters, start, end):
                    for entry in group:
                        start = entry.seq + 1
                        yield entry
                start = end + 1
            watch = Watch(self.archive, stream, end)
            try:
                entries = self._follow(stream, watch=watch, filters=filters, start_seq=start)
                async for entry in entries:
                    start = entry.seq + 1
                    yield entry
            except Overtaken:  # the rest is read in the archive
                continue

    async def get(self, stream: str, seq: int, *, under: str | None = None) -> Entry | None:
        """Return the message with a sequence, or None; with the filter `under`, the first matching
        message with this sequence or a higher one."""
        end = await self.archive.trimmed(stream)
        if seq > end or seq < 1:
            return await self._get(stream, seq, under=under)
        last = seq if under is None else end
        found = await self.archive.get(stream, seq, () if under is None else [under], last)
        if found is None and under is not None:
            return await self._get(stream, end + 1, under=under)
        return found

    # whose events count

    async def know(self, stream: str, seq: int = 0) -> None:
        """Read the facts about keys before message `seq` of `EVENTS`; with another stream, all that
        are stored now. They never leave the stream, because the archive is read by their word."""
        if stream not in (EVENTS, GAMES) or (stream == EVENTS and seq <= self.ring.seq):
            return
        newest = await self.last(EVENTS, TRUST)
        stored = newest.seq if newest else 0
        if stored < self.ring.newest:
            self.ring = Keyring()  # the server lost some
        ring = self.ring
        if stored > ring.newest:
            async for batch in self._read(EVENTS, filters=[TRUST], start_seq=ring.newest + 1):
                for entry in batch:
                    ring.take(entry)
        ring.seq = max(ring.seq, seq if stream == EVENTS else 0)

    async def follow_events(
        self, stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
    ) -> Entries:
        """Do the same as `follow`; `ring` has what is needed of each message that is yielded."""
        await self.know(stream, start_seq - 1)
        # facts about keys come with the others, because asking for them would cost each message
        asked = with_trust(filters) if stream == EVENTS else filters
        entries = self.follow(stream, filters=asked, start_seq=start_seq)
        async with contextlib.aclosing(entries):
            async for entry in entries:
                if stream == EVENTS:
                    if matches(TRUST, entry.subject):
                        self.ring.take(entry)
                    self.ring.seq = max(self.ring.seq, entry.seq)
                else:
                    await self.know(stream)
                if asked is filters or matches_any(filters, entry.subject):
                    yield entry

    async def is_genuine(self, entry: Entry, stream: str, subject: str = "") -> bool:
        """Whether a message is the event that its id promises, on `subject` if one is given: who
        may write to a stream may take the id of an event of others, which is then not stored."""
        if subject and entry.subject != subject:
            return False
        await self.know(stream, entry.seq)
        try:
            event, meta = self.ring.event(stream, entry)
        except UndecodableEvent:
            return False
        return entry.id == meta.id and meta.id.startswith(event_id(type(event), meta.cause, ""))

    # the state of streams

    async def tail(self, stream: str) -> int:
        """Return the sequence of the newest message, 0 in an empty stream."""
        return int((await self.call(f"STREAM.INFO.{stream}"))["state"]["last_seq"])

    async def subjects(self, stream: str, subject_filter: str) -> list[str]:
        """Return the subjects that match a filter and have messages, sorted."""
        found: list[str] = []
        while True:
            request = {"subjects_filter": subject_filter, "offset": len(found)}
            info = await self.call(f"STREAM.INFO.{stream}", request)
            page = info["state"].get("subjects") or {}
            found += page
            if not page or len(found) >= info.get("total", 0):
                return sorted(found)


def _pass_over(_entry: Entry, _error: UndecodableEvent) -> None:
    """Processes that read all of `EVENTS` report what does not count."""


def with_trust(filters: Sequence[str]) -> Sequence[str]:
    """Filters that match facts about keys as well; no two overlap, which the server refuses."""
    if not filters or matches_any(filters, TRUST):  # its words match like any others
        return filters
    return [*(item for item in filters if not matches(TRUST, item)), TRUST]
