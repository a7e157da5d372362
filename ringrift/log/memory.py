"""The log in memory, for tests: the same contract as the one on JetStream, kept true to it by one
behaviour suite.

A `MemoryBroker` is the server, a `MemoryLog` one process's connection to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from weakref import WeakSet

from ringrift.events import Draft, Recorded, UndecodableEvent, decode, encode
from ringrift.log.dead_letters import DeadLetter, bury
from ringrift.log.errors import (
    ConcurrencyError,
    LogRewound,
    LogUnavailable,
    PartlyStored,
    PayloadTooLarge,
    QueueFull,
    StreamMissing,
)
from ringrift.log.ledger import Ledger
from ringrift.log.protocol import (
    Entry,
    Expect,
    Progress,
    Refuse,
    Remade,
    WorkItem,
    header_block,
    matches,
    stream_of,
)
from ringrift.log.topology import (
    MARKER_SECONDS,
    SECOND,
    STREAMS,
    WORK,
    WORK_ACK_SECONDS,
    StreamConfig,
)

READ_ENTRIES_MAX = 1000
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024


class MemoryStream:
    """One stream: entries by sequence, the ids of its window, times to expire."""

    def __init__(self, config: StreamConfig, now: Callable[[], float]) -> None:
        self.config = config
        self.entries: dict[int, Entry] = {}
        self.last_seq = 0
        self._now = now
        self._ids: dict[str, tuple[int, float]] = {}
        self._expiry: dict[int, float] = {}
        self._stored_at: list[float] = []
        self._changed = asyncio.Event()

    def known(self, id: str) -> int | None:
        """Sequence of the message with this id, if it was stored within the window."""
        seq, stored = self._ids.get(id, (0, 0.0))
        return (
            seq if seq and self._now() - stored <= self.config.duplicate_window / SECOND else None
        )

    def last(self, subject_filter: str) -> Entry | None:
        """The newest message under the filter."""
        self.expire()
        return next(
            (
                entry
                for entry in reversed(self.entries.values())
                if matches(subject_filter, entry.subject)
            ),
            None,
        )

    def store(
        self, subject: str, body: bytes, headers: Mapping[str, str], kept_seconds: float | None
    ) -> int:
        """Puts a message behind the others. Raises QueueFull."""
        self.expire()
        config = self.config
        if config.discard == "new" and 0 <= config.max_msgs <= len(self.entries):
            raise QueueFull(f"{config.name} holds its {config.max_msgs} messages")
        self.last_seq += 1
        self._stored_at.append(self._now())
        self.entries[self.last_seq] = Entry(
            self.last_seq, subject, int(self._now() * SECOND), body, header_block(headers)
        )
        if "Nats-Msg-Id" in headers:
            self._ids[headers["Nats-Msg-Id"]] = (self.last_seq, self._now())
        if kept_seconds is not None or config.max_age:
            self._expiry[self.last_seq] = self._now() + (
                kept_seconds if kept_seconds is not None else config.max_age / SECOND
            )
        if config.max_msgs_per_subject > 0:
            self.purge(subject, keep=config.max_msgs_per_subject)
        while 0 <= config.max_msgs < len(self.entries):
            del self.entries[next(iter(self.entries))]
        return self.last_seq

    def purge(self, subject: str, *, keep: int = 0) -> None:
        """Deletes the messages on a subject but the newest `keep`."""
        seqs = [seq for seq, entry in self.entries.items() if entry.subject == subject]
        for seq in seqs[: len(seqs) - keep]:
            del self.entries[seq]

    def expire(self) -> None:
        """Drops what has outlived its time; the last one of a subject leaves a marker where the
        stream says so."""
        for seq in [seq for seq, end in self._expiry.items() if end <= self._now()]:
            del self._expiry[seq]
            entry = self.entries.pop(seq, None)
            if (
                entry is None
                or not self.config.subject_delete_marker_ttl
                or "Nats-Marker-Reason" in entry.headers
            ):
                continue
            if all(other.subject != entry.subject for other in self.entries.values()):
                self.store(entry.subject, b"", {"Nats-Marker-Reason": "MaxAge"}, MARKER_SECONDS)

    def wake(self) -> None:
        """Lets everybody who waits for this stream look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, until: float | None) -> None:
        """Returns after the next change, or when the clock reaches `until`."""
        event = self._changed
        if until is None:
            await event.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - self._now(), 0.0)):
                await event.wait()

    def forget(self, since: float) -> None:
        """Loses what was stored after `since`, as if it had never come."""
        self.last_seq = bisect_right(self._stored_at, since)
        del self._stored_at[self.last_seq :]
        self._ids = {
            id: (seq, stored) for id, (seq, stored) in self._ids.items() if seq <= self.last_seq
        }
        self._expiry = {seq: end for seq, end in self._expiry.items() if seq <= self.last_seq}
        self.entries = {seq: entry for seq, entry in self.entries.items() if seq <= self.last_seq}

    def next_expiry(self) -> float | None:
        """When the next message expires."""
        return min(self._expiry.values(), default=None)


class MemoryBroker:
    """The server's part. `now` is its clock in seconds since 1970; whoever moves it calls
    `wake`."""

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        streams: Sequence[StreamConfig] = STREAMS,
        ack_seconds: float = WORK_ACK_SECONDS,
    ) -> None:
        self.now = now
        self.ack_seconds = ack_seconds
        self.restarts = 0
        self.held: dict[int, tuple[int, float]] = {}
        """tickets by sequence: deliveries so far, and until when they are held"""
        self._streams = {config.name: MemoryStream(config, now) for config in streams}
        self._logs: WeakSet[MemoryLog] = WeakSet()

    def stream(self, name: str) -> MemoryStream:
        """The stream of this name. Raises StreamMissing."""
        if name not in self._streams:
            raise StreamMissing(name)
        return self._streams[name]

    def wake(self) -> None:
        """Lets everybody who waits look again."""
        for stream in self._streams.values():
            stream.wake()

    def connect(self, log: MemoryLog) -> None:
        """Takes in a process's connection."""
        self._logs.add(log)

    def crash(self, unsynced_seconds: float = 0.0) -> None:
        """Goes down and comes back at once, without what it stored and acknowledged in the last
        `unsynced_seconds`."""
        self.restarts += 1
        for stream in self._streams.values():
            if unsynced_seconds > 0.0:
                stream.forget(self.now() - unsynced_seconds)
        work = self._streams.get(WORK)
        self.held = {seq: held for seq, held in self.held.items() if work and seq <= work.last_seq}
        for log in self._logs:
            log.returned.set()
        self.wake()


class MemoryWorkItem:
    """A ticket delivered from memory; see `ringrift.log.protocol.WorkItem`."""

    def __init__(self, broker: MemoryBroker, entry: Entry, deliveries: int) -> None:
        self._broker = broker
        self.subject, self.body, self.seq, self.deliveries = (
            entry.subject,
            entry.body,
            entry.seq,
            deliveries,
        )

    async def in_progress(self) -> None:
        """Asks for more time."""
        self._hold(self._broker.ack_seconds)

    async def ack(self) -> None:
        """Done."""
        self._broker.stream(WORK).entries.pop(self.seq, None)

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Not done; deliver it again after the delay."""
        self._hold(delay_seconds)

    async def term(self, reason: str) -> None:
        """Will never be done."""
        await self.ack()

    def _hold(self, seconds: float) -> None:
        deliveries, _ = self._broker.held.get(self.seq, (self.deliveries, 0.0))
        self._broker.held[self.seq] = (deliveries, self._broker.now() + seconds)
        self._broker.stream(WORK).wake()


class MemoryLog:
    """`ringrift.log.protocol.Log` over a broker in this process."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()
        self.ledger = Ledger(self.broker.now)
        self.returned = asyncio.Event()
        self.broker.connect(self)
        self._closed = False

    async def append(self, drafts: Sequence[Draft], expect: Expect | None = None) -> list[int]:
        """See `Log.append`."""
        self._check_open()
        if not drafts:
            return []
        stream = self.broker.stream(stream_of(drafts))
        bodies = [encode(item) for item in drafts]
        for item, body in zip(drafts, bodies, strict=True):
            _check_size(item.subject, body)
        known = {item.id: seq for item in drafts if (seq := stream.known(item.id)) is not None}
        if known and len(known) < len(drafts):
            raise PartlyStored(list(known), len(drafts))
        if known:
            seqs = [known[item.id] for item in drafts]
        else:
            if expect is not None:
                _check_last(stream, expect.subject_filter, expect.last_seq)
            seqs = [
                stream.store(item.subject, body, {"Nats-Msg-Id": item.id}, item.kind.kept_seconds)
                for item, body in zip(drafts, bodies, strict=True)
            ]
            stream.wake()
        if expect is None:
            self.ledger.add(drafts, seqs, [len(body) for body in bodies])
        return seqs

    async def append_each(self, drafts: Sequence[Draft]) -> list[int]:
        """See `Log.append_each`."""
        return [(await self.append([item]))[0] for item in drafts]

    async def read(
        self,
        stream: str,
        *,
        filters: Sequence[str] = (),
        start_seq: int = 1,
        start_time: datetime | None = None,
        until_seq: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[list[Entry], None]:
        """See `Log.read`."""
        self._check_open()
        store = self.broker.stream(stream)
        store.expire()
        since = start_time.timestamp() * SECOND if start_time else 0
        end = store.last_seq if until_seq is None else until_seq
        found = [
            entry
            for entry in store.entries.values()
            if (entry.stamp_ns >= since if start_time else entry.seq >= start_seq)
            and entry.seq <= end
            and _wanted(filters, entry.subject)
        ]
        for at in range(0, len(found), READ_ENTRIES_MAX):
            batch = found[at : at + READ_ENTRIES_MAX]
            if progress is not None:
                progress(batch[-1].seq, found[-1].seq)
            yield batch

    async def replay(
        self,
        stream: str,
        *,
        refuse: Refuse,
        filters: Sequence[str] = (),
        start_seq: int = 1,
        start_time: datetime | None = None,
        until_seq: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[list[Recorded], None]:
        """See `Log.replay`."""
        async for batch in self.read(
            stream,
            filters=filters,
            start_seq=start_seq,
            start_time=start_time,
            until_seq=until_seq,
            progress=progress,
        ):
            found: list[Recorded] = []
            for entry in batch:
                try:
                    found.append(decode(entry.body, stream=stream, seq=entry.seq))
                except UndecodableEvent as error:
                    refuse(entry, error)
            yield found

    async def follow(
        self, stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
    ) -> AsyncGenerator[Entry, None]:
        """See `Log.follow`."""
        store = self.broker.stream(stream)
        start, before = start_seq, store.entries.get(start_seq - 1)
        while True:
            _check_same(store, start - 1, before)
            store.expire()
            for entry in [entry for seq, entry in store.entries.items() if seq >= start]:
                start, before = entry.seq + 1, entry
                if _wanted(filters, entry.subject):
                    yield entry
            self._check_open()
            if store.last_seq < start:
                _check_same(store, start - 1, before)
                await store.changed(store.next_expiry())

    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """See `Log.last`."""
        self._check_open()
        return self.broker.stream(stream).last(subject_filter)

    async def get(self, stream: str, seq: int) -> Entry | None:
        """See `Log.get`."""
        self._check_open()
        store = self.broker.stream(stream)
        store.expire()
        return store.entries.get(seq)

    async def tail(self, stream: str) -> int:
        """See `Log.tail`."""
        self._check_open()
        return self.broker.stream(stream).last_seq

    async def stored(
        self, stream: str, ids: Sequence[str], filters: Sequence[str], since: datetime
    ) -> dict[str, int]:
        """See `Log.stored`."""
        wanted, found = set(ids), dict[str, int]()
        async for batch in self.read(stream, filters=filters, start_time=since):
            found |= {entry.id: entry.seq for entry in batch if entry.id in wanted}
        return found

    async def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        id: str | None = None,
        expect_last: int | None = None,
        kept_seconds: int | None = None,
        rollup: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """See `Log.publish`."""
        self._check_open()
        store = self.broker.stream(stream)
        _check_size(subject, body)
        known = store.known(id) if id is not None else None
        if known is not None:
            return known
        if expect_last is not None:
            _check_last(store, subject, expect_last)
        if rollup:
            store.purge(subject)
        seq = store.store(
            subject,
            body,
            dict(headers or {}) | ({"Nats-Msg-Id": id} if id is not None else {}),
            kept_seconds,
        )
        store.wake()
        return seq

    async def purge(self, stream: str, subject: str) -> None:
        """See `Log.purge`."""
        self._check_open()
        self.broker.stream(stream).purge(subject)

    async def subjects(self, stream: str, subject_filter: str) -> list[str]:
        """See `Log.subjects`."""
        self._check_open()
        store = self.broker.stream(stream)
        store.expire()
        return sorted(
            {
                entry.subject
                for entry in store.entries.values()
                if matches(subject_filter, entry.subject)
            }
        )

    async def publish_ticket(self, subject: str, body: bytes, ticket: str) -> int:
        """See `Log.publish_ticket`."""
        return await self.publish(WORK, subject, body, id=ticket)

    async def queued(self) -> list[Entry]:
        """See `Log.queued`."""
        self._check_open()
        return list(self.broker.stream(WORK).entries.values())

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """See `Log.next_ticket`."""
        broker = self.broker
        end = broker.now() + wait_seconds
        while True:
            self._check_open()
            held_until = []
            for entry in sorted(broker.stream(WORK).entries.values(), key=_priority):
                deliveries, until = broker.held.get(entry.seq, (0, 0.0))
                if not matches(f"ringrift.work.{kind}.>", entry.subject):
                    continue
                if until <= broker.now():
                    broker.held[entry.seq] = (deliveries + 1, broker.now() + broker.ack_seconds)
                    return MemoryWorkItem(broker, entry, deliveries + 1)
                held_until.append(until)
            if broker.now() >= end:
                return None
            await broker.stream(WORK).changed(min([end, *held_until]))

    async def heal(self) -> list[Remade]:
        """See `Log.heal`: here there is always a leader."""
        return []

    async def dead_letter(
        self,
        *,
        body: bytes,
        subject: str,
        stream: str,
        seq: int,
        consumer: str,
        deliveries: int,
        reason: str,
        source: str,
        answered: bool = False,
    ) -> int:
        """See `Log.dead_letter`."""
        letter = DeadLetter(
            body, subject, stream, seq, consumer, deliveries, reason, source, answered
        )
        return await bury(self, letter)

    async def close(self) -> None:
        """See `Log.close`."""
        self._closed = True
        self.broker.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this process has closed its connection")


def _priority(entry: Entry) -> tuple[int, int]:
    """Tickets in the order in which they are given out."""
    return int(entry.subject.split(".")[3]), entry.seq


def _wanted(filters: Sequence[str], subject: str) -> bool:
    return not filters or any(matches(wanted, subject) for wanted in filters)


def _check_same(stream: MemoryStream, seq: int, before: Entry | None) -> None:
    """Raises LogRewound unless the stream still has what was before."""
    there = stream.entries.get(seq)
    if stream.last_seq < seq or (before and there and before.stamp_ns != there.stamp_ns):
        raise LogRewound(stream.config.name, seq)


def _check_size(subject: str, body: bytes) -> None:
    if len(body) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(subject, len(body), PAYLOAD_BYTES_MAX)


def _check_last(stream: MemoryStream, subject_filter: str, last_seq: int) -> None:
    newest = stream.last(subject_filter)
    actual = newest.seq if newest else 0
    if actual != last_seq:
        raise ConcurrencyError(subject_filter, last_seq, actual)
