"""The log as the other packages see it.

A log implements ten operations; everything else follows from them and is written once, here.
`ringrift.log.jetstream` is the log on a JetStream server, `ringrift.tools.memory_log` its twin for
tests and simulators.
"""

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import Draft, Recorded, UndecodableEvent, draft, encode, event_id
from ringrift.events.facts import MessageIdTaken
from ringrift.log.archive import ARCHIVED, Archive, Overtaken, Watch, joined
from ringrift.log.entry import Entry, Refuse, decode_entries
from ringrift.log.errors import IdsTaken, LogUnavailable, PartlyStored
from ringrift.log.recent import Recent
from ringrift.log.span import Batches, Entries, Progress as Progress, Span
from ringrift.log.topology import EVENTS, WORK
from ringrift.log.work import WorkItem

ID_TRIES_MAX = 100
"""ids of one event, each of which another message has"""
BATCH_EVENTS_MAX = 1000
"""events of one atomic batch; the server's own limit"""
EACH_EVENTS_MAX = 100
"""independent events appended together: a batch costs the disk four syncs, single messages one
each"""


class Expect(Struct, frozen=True):
    """The newest message that matches `subject_filter` (wildcards allowed) must have sequence
    `last_seq`; 0 means that there is none."""

    subject_filter: str
    last_seq: int


class Log(ABC):
    """Durable, ordered, deduplicated streams of messages.

    Operations survive reconnects and a restart of the server within their time limits; they raise
    LogUnavailable afterwards, and StreamMissing for a stream that does not exist."""

    recent: Recent
    """events that this process appended and that the server may still lose"""
    reconnected: asyncio.Event
    """set when the connection was lost and is restored; the reader clears it"""
    reconnects: int = 0
    """how often the connection was restored"""
    servers: Sequence[str] = ()
    """addresses; none for a log without a server"""

    # the core

    @abstractmethod
    async def _append(
        self, stream: str, drafts: Sequence[Draft], bodies: Sequence[bytes], expect: Expect | None
    ) -> list[int]:
        """Do the same as `append`; `bodies` are the encoded drafts. Raises IdsTaken."""

    @abstractmethod
    async def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        id: str | None = None,
        expect_last: int | None = None,
        kept_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Store one message that is no event, such as a key or a ticket; return its sequence.

        `expect_last` is the sequence that the newest message on this subject must have, 0 for none.
        The message expires after `kept_seconds`. Raises ConcurrencyError, PayloadTooLarge,
        QueueFull."""

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
    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """Return the oldest free ticket of `kind` with the highest priority (the lowest number), or
        None if there is none within `wait_seconds`."""

    @abstractmethod
    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """Return the server's answer to a request to `$JS.API.<subject>`.

        Without `retry` the first failure is final. Raises ServerRefused."""

    @abstractmethod
    async def close(self) -> None:
        """Send what is buffered and disconnect."""

    # reading archive and stream as one

    @functools.cached_property
    def archive(self) -> Archive:
        """The archived part of this log."""

        def stored(filters: Sequence[str], start: int) -> Batches[Entry]:
            return self._read(EVENTS, filters=filters, start_seq=start)

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

    def replay(self, stream: str, *, refuse: Refuse, **span: Unpack[Span]) -> Batches[Recorded]:
        """Do the same as `read` and decode; messages that are no events are passed to `refuse`."""

        def stored(span: Span) -> Batches[Recorded]:
            return self._replay(stream, refuse=refuse, **span)

        def convert(entries: Sequence[Entry]) -> list[Recorded]:
            return decode_entries(stream, entries, refuse)

        return joined(self.archive, stream, span, stored, convert, lambda item: item.meta.seq)

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

    # what follows from it

    async def append(
        self, drafts: Sequence[Draft], expect: Expect | None = None, *, republish: bool = False
    ) -> list[int]:
        """Store all of `drafts`, events of one stream, or none; return their sequences.

        Events that are stored already under the same ids are not stored again; their sequences are
        returned. Where another message has the id of an event, the event gets another id, and a
        fact names the message. Events appended without an expectation, or with `republish`, are
        republished should the server lose them; others are decided again by their decider.

        Raises ConcurrencyError, PartlyStored, PayloadTooLarge."""
        if not drafts:
            return []
        stream, named, taken = stream_of(drafts), list(drafts), dict[str, Entry]()
        for attempt in range(2, ID_TRIES_MAX + 2):
            bodies = [encode(item) for item in named]
            try:
                seqs = await self._append(stream, named, bodies, expect)
                break
            except IdsTaken as error:
                taken |= error.taken
                for index, item in enumerate(named):
                    if item.id in error.taken:
                        named[index] = replace(item, id=f"{drafts[index].id}~{attempt}")
        else:
            raise LogUnavailable(f"{stream}: {ID_TRIES_MAX} ids of one event are taken")
        if expect is None or republish:
            self.recent.add(named, seqs, [len(body) for body in bodies])
        if not isinstance(drafts[0].event, MessageIdTaken):
            await self.append_each(
                [_taken(stream, each, drafts[0].source) for each in taken.values()]
            )
        return seqs

    async def append_each(self, drafts: Sequence[Draft]) -> list[int]:
        """Store those of `drafts` that are not stored yet, each for itself; return all sequences.

        Raises PayloadTooLarge."""
        seqs: list[int] = []
        for start in range(0, len(drafts), EACH_EVENTS_MAX):
            part = drafts[start : start + EACH_EVENTS_MAX]
            try:
                seqs += await self.append(part)
            except PartlyStored:
                seqs += [(await self.append([item]))[0] for item in part]
        return seqs

    async def stored(
        self, stream: str, ids: Sequence[str], filters: Sequence[str], since: datetime
    ) -> dict[str, int]:
        """Return the sequences of those of `ids` that were stored after `since` under `filters`,
        without messages that are not the events which their ids promise.

        The server itself deduplicates only within a time window."""
        wanted, found = {_first_id(id): id for id in ids}, dict[str, int]()
        async for batch in self.read(stream, filters=filters, start_time=since):
            for entry in batch:
                id = _first_id(entry.id or "")
                if id in wanted and is_genuine(entry, stream):
                    found[wanted[id]] = entry.seq
        return found

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

    async def purge(
        self, stream: str, subject: str, *, keep: int = 0, before: int | None = None
    ) -> None:
        """Delete the messages on a subject but the newest `keep`, or those before a sequence, if
        the stream allows it. Raises ServerRefused."""
        which = {"keep": keep} if before is None else {"seq": before}
        await self.call(f"STREAM.PURGE.{stream}", {"filter": subject} | which)

    async def publish_ticket(self, subject: str, body: bytes, ticket: str) -> int:
        """Put a ticket on the work queue, once per id; return its sequence. Raises QueueFull."""
        return await self.publish(WORK, subject, body, id=ticket)

    async def queued(self) -> list[Entry]:
        """Return all tickets on the work queue, oldest first, delivered ones included."""
        found: list[Entry] = []
        seq = 1
        while (entry := await self.get(WORK, seq, under=">")) is not None:
            found.append(entry)
            seq = entry.seq + 1
        return found


def is_genuine(entry: Entry, stream: str, subject: str = "") -> bool:
    """Whether a message is the event that its id promises, on `subject` if one is given: anybody
    who may write to a stream may take the id of an event of others, which the server then does not
    store."""
    if subject and entry.subject != subject:
        return False
    try:
        event, meta = entry.recorded(stream)
    except UndecodableEvent:
        return False
    return entry.id == meta.id and meta.id.startswith(event_id(type(event), meta.cause, ""))


def _first_id(id: str) -> str:
    """The id that an event had before `append` found it taken."""
    first, mark, attempt = id.rpartition("~")
    return first if mark and attempt.isdigit() else id


def _taken(stream: str, entry: Entry, source: str) -> Draft:
    fact = MessageIdTaken(stream=stream, seq=entry.seq, id=entry.id or "", subject=entry.subject)
    return draft(fact, cause=f"{stream}/{entry.seq}", source=source)


def stream_of(drafts: Sequence[Draft]) -> str:
    """The stream that one append of these drafts goes to. Raises ValueError for drafts that cannot
    be appended together."""
    streams = {item.kind.stream for item in drafts}
    if len(streams) != 1:
        raise ValueError(f"events of one append must be of one stream; got {sorted(streams)}")
    if len({item.id for item in drafts}) != len(drafts):
        raise ValueError("two events of one append have the same id; give them different keys")
    if len(drafts) > BATCH_EVENTS_MAX:
        raise ValueError(f"one append takes at most {BATCH_EVENTS_MAX} events; got {len(drafts)}")
    return next(iter(streams))
