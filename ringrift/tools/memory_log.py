"""The log in memory, for tests: the same contract as the log on JetStream, checked by one behaviour
suite.

A `MemoryBroker` is the server, a `MemoryLog` one process's connection to it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Unpack

from ringrift.events import Draft, Recorded
from ringrift.log.archive import Watch
from ringrift.log.entry import Entry, Refuse, matches, matches_any
from ringrift.log.errors import IdsTaken, LogUnavailable, PartlyStored, PayloadTooLarge
from ringrift.log.keyring import Keyring
from ringrift.log.protocol import Expect, Log
from ringrift.log.recent import Recent
from ringrift.log.span import Span
from ringrift.log.topology import SECOND, WORK
from ringrift.log.work import WorkItem
from ringrift.tools.memory_broker import MemoryBroker

READ_ENTRIES_MAX = 1000
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024


class MemoryWorkItem:
    """A ticket delivered from memory; see `ringrift.log.protocol.WorkItem`."""

    def __init__(self, broker: MemoryBroker, entry: Entry, deliveries: int) -> None:
        self._broker = broker
        self.subject = entry.subject
        self.body = entry.body
        self.seq = entry.seq
        self.deliveries = deliveries

    async def in_progress(self) -> None:
        """See `WorkItem.in_progress`."""
        self._hold(self._broker.ack_seconds)

    async def ack(self) -> None:
        """See `WorkItem.ack`."""
        self._broker.stream(WORK).entries.pop(self.seq, None)

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """See `WorkItem.nak`."""
        self._hold(delay_seconds)

    async def term(self, reason: str) -> None:
        """See `WorkItem.term`."""
        await self.ack()

    def _hold(self, seconds: float) -> None:
        deliveries, _ = self._broker.held.get(self.seq, (self.deliveries, 0.0))
        self._broker.held[self.seq] = (deliveries, self._broker.now() + seconds)
        self._broker.stream(WORK).wake()


class MemoryLog(Log):
    """A connection to a broker in this process."""

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()
        self.recent, self.ring = Recent(self.broker.now), Keyring()
        self.reconnected = asyncio.Event()
        self.broker.connect(self.reconnected)
        self._closed = False

    async def _append(
        self, stream: str, drafts: Sequence[Draft], bodies: Sequence[bytes], expect: Expect | None
    ) -> list[int]:
        """See `Log._append`."""
        self._check_open()
        store = self.broker.stream(stream)
        for item, body in zip(drafts, bodies, strict=True):
            _check_size(item.subject, body)
        known = {item.id: seq for item in drafts if (seq := store.known(item.id)) is not None}
        taken = {}
        for item in drafts:
            there = store.entries.get(known.get(item.id, 0))
            if there and not await self.is_genuine(there, stream, item.subject):
                taken[item.id] = there
        if taken:
            raise IdsTaken(taken)
        if known and len(known) < len(drafts):
            raise PartlyStored(list(known), len(drafts))
        if known:
            return [known[item.id] for item in drafts]
        if expect is not None:
            store.check_last(expect.subject_filter, expect.last_seq)
        seqs = [
            store.store(item.subject, body, {"Nats-Msg-Id": item.id})
            for item, body in zip(drafts, bodies, strict=True)
        ]
        store.wake()
        return seqs

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
        """See `Log.publish`."""
        self._check_open()
        store = self.broker.stream(stream)
        _check_size(subject, body)
        known = store.known(id) if id is not None else None
        if known is not None:
            return known
        if expect_last is not None:
            store.check_last(subject, expect_last)
        sent = dict(headers or {})
        if id is not None:
            sent["Nats-Msg-Id"] = id
        seq = store.store(subject, body, sent, kept_seconds)
        store.wake()
        return seq

    async def _read(
        self, stream: str, *, headers_only: bool = False, **span: Unpack[Span]
    ) -> AsyncGenerator[list[Entry], None]:
        """See `Log._read`."""
        self._check_open()
        store = self.broker.stream(stream)
        store.expire()
        start, until = span.get("start_time"), span.get("until_seq")
        since = start.timestamp() * SECOND if start else 0.0
        start_seq = 1 if start else span.get("start_seq", 1)
        end = store.last_seq if until is None else until
        found = [
            entry
            for entry in store.entries.values()
            if start_seq <= entry.seq <= end
            and entry.stamp_ns >= since
            and matches_any(span.get("filters", ()), entry.subject)
        ]
        progress = span.get("progress")
        for at in range(0, len(found), READ_ENTRIES_MAX):
            batch = found[at : at + READ_ENTRIES_MAX]
            if progress is not None:
                progress(batch[-1].seq, found[-1].seq)
            yield batch

    async def _replay(
        self, stream: str, *, refuse: Refuse, **span: Unpack[Span]
    ) -> AsyncGenerator[list[Recorded], None]:
        """See `Log._replay`."""
        async for batch in self._read(stream, **span):
            await self.know(stream, batch[-1].seq)
            yield self.ring.events(stream, batch, refuse)

    async def _follow(
        self, stream: str, *, watch: Watch, filters: Sequence[str] = (), start_seq: int = 1
    ) -> AsyncGenerator[Entry, None]:
        """See `Log._follow`."""
        store = self.broker.stream(stream)
        start, before = start_seq, store.entries.get(start_seq - 1)
        while True:
            store.check_same(start - 1, before)
            store.expire()
            for entry in [entry for seq, entry in store.entries.items() if seq >= start]:
                start, before = entry.seq + 1, entry
                if matches_any(filters, entry.subject):
                    yield entry
            self._check_open()
            if store.last_seq < start:
                store.check_same(start - 1, before)
                await store.changed(store.next_expiry())

    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """See `Log.last`."""
        self._check_open()
        return self.broker.stream(stream).last(subject_filter)

    async def _get(self, stream: str, seq: int, *, under: str | None = None) -> Entry | None:
        """See `Log._get`."""
        self._check_open()
        store = self.broker.stream(stream)
        store.expire()
        if under is None:
            return store.entries.get(seq)
        for higher in range(seq, store.last_seq + 1):
            entry = store.entries.get(higher)
            if entry is not None and matches(under, entry.subject):
                return entry
        return None

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """See `Log.next_ticket`."""
        broker = self.broker
        end = broker.now() + wait_seconds
        while True:
            self._check_open()
            held_until = []
            for entry in sorted(broker.stream(WORK).entries.values(), key=_priority):
                deliveries, until = broker.held.get(entry.seq, (0, 0.0))
                if entry.subject.split(".")[2] != kind:
                    continue
                if until <= broker.now():
                    broker.held[entry.seq] = (deliveries + 1, broker.now() + broker.ack_seconds)
                    return MemoryWorkItem(broker, entry, deliveries + 1)
                held_until.append(until)
            if broker.now() >= end:
                return None
            await broker.stream(WORK).changed(min([end, *held_until]))

    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """See `Log.call`; `MemoryBroker.call` names the requests that are answered."""
        self._check_open()
        return self.broker.call(subject, request or {})

    async def close(self) -> None:
        """See `Log.close`."""
        self._closed = True
        self.broker.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("this process has closed its connection")


def _priority(entry: Entry) -> tuple[int, int]:
    """The key by which tickets are delivered."""
    return int(entry.subject.split(".")[3]), entry.seq


def _check_size(subject: str, body: bytes) -> None:
    if len(body) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(subject, len(body), PAYLOAD_BYTES_MAX)
