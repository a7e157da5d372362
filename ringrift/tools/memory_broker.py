"""The server's part of the log in memory: streams, their clock, and crashes."""

import asyncio
import contextlib
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from ringrift.log.api import NO_CONSUMER, NO_STREAM
from ringrift.log.entry import Entry, header_block, matches
from ringrift.log.errors import (
    ConcurrencyError,
    LogRewound,
    QueueFull,
    ServerRefused,
    StreamMissing,
)
from ringrift.log.topology import (
    MARKER_SECONDS,
    SECOND,
    STREAMS,
    WORK,
    WORK_ACK_SECONDS,
    StreamConfig,
)


class MemoryStream:
    """One stream: messages by sequence, the ids of its deduplication window, expiry times."""

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
        in_window = self._now() - stored <= self.config.duplicate_window / SECOND
        return seq if seq and in_window else None

    def last(self, subject_filter: str) -> Entry | None:
        """The newest message that matches the filter."""
        self.expire()
        for entry in reversed(self.entries.values()):
            if matches(subject_filter, entry.subject):
                return entry
        return None

    def check_last(self, subject_filter: str, last_seq: int) -> None:
        """Raise ConcurrencyError unless the newest matching message has this sequence (0: none)."""
        newest = self.last(subject_filter)
        actual = newest.seq if newest else 0
        if actual != last_seq:
            raise ConcurrencyError(subject_filter, last_seq, actual)

    def check_same(self, seq: int, before: Entry | None) -> None:
        """Raise LogRewound unless the message at `seq`, if there is one, is still `before`."""
        there = self.entries.get(seq)
        if self.last_seq < seq or (before and there and before.stamp_ns != there.stamp_ns):
            raise LogRewound(self.config.name, seq)

    def store(
        self, subject: str, body: bytes, headers: Mapping[str, str], seconds: float | None = None
    ) -> int:
        """Append a message that expires after `seconds`; return its sequence. Raises QueueFull."""
        self.expire()
        config, now = self.config, self._now()
        if config.discard == "new" and 0 <= config.max_msgs <= len(self.entries):
            raise QueueFull(f"{config.name} holds its maximum of {config.max_msgs} messages")
        self.last_seq += 1
        self._stored_at.append(now)
        self.entries[self.last_seq] = Entry(
            self.last_seq, subject, int(now * SECOND), body, header_block(headers)
        )
        if "Nats-Msg-Id" in headers:
            self._ids[headers["Nats-Msg-Id"]] = (self.last_seq, now)
        if seconds is None and config.max_age:
            seconds = config.max_age / SECOND
        if seconds is not None:
            self._expiry[self.last_seq] = now + seconds
        if config.max_msgs_per_subject > 0:
            self.purge(subject, keep=config.max_msgs_per_subject)
        while 0 <= config.max_msgs < len(self.entries):
            del self.entries[next(iter(self.entries))]
        return self.last_seq

    def purge(self, subject: str, *, keep: int = 0, before: int | None = None) -> None:
        """Delete the messages on a subject except the newest `keep`, or those before a sequence."""
        seqs = [seq for seq, entry in self.entries.items() if entry.subject == subject]
        for seq in seqs[: len(seqs) - keep]:
            if before is None or seq < before:
                del self.entries[seq]

    def expire(self) -> None:
        """Delete expired messages; the last one of a subject leaves a marker if the stream is
        configured so."""
        for seq in [seq for seq, end in self._expiry.items() if end <= self._now()]:
            del self._expiry[seq]
            entry = self.entries.pop(seq, None)
            if entry is None or not self.config.subject_delete_marker_ttl:
                continue
            if "Nats-Marker-Reason" in entry.headers:
                continue
            if all(other.subject != entry.subject for other in self.entries.values()):
                self.store(entry.subject, b"", {"Nats-Marker-Reason": "MaxAge"}, MARKER_SECONDS)

    def wake(self) -> None:
        """Wake all waiters for this stream."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, until: float | None) -> None:
        """Return after the next change, or when the clock reaches `until`."""
        event = self._changed
        if until is None:
            await event.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(until - self._now(), 0.0)):
                await event.wait()

    def forget(self, since: float) -> None:
        """Lose all messages stored after `since`, without a trace."""
        self.last_seq = bisect_right(self._stored_at, since)
        del self._stored_at[self.last_seq :]
        self._ids = {id: known for id, known in self._ids.items() if known[0] <= self.last_seq}
        self._expiry = {seq: end for seq, end in self._expiry.items() if seq <= self.last_seq}
        self.entries = {seq: entry for seq, entry in self.entries.items() if seq <= self.last_seq}

    def next_expiry(self) -> float | None:
        """When the next message expires."""
        return min(self._expiry.values(), default=None)


class MemoryBroker:
    """The server. `now` is its clock in seconds since 1970; a test that moves the clock calls
    `wake` afterwards."""

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
        self._reconnected: WeakSet[asyncio.Event] = WeakSet()

    def stream(self, name: str) -> MemoryStream:
        """The stream with this name. Raises StreamMissing."""
        if name not in self._streams:
            raise StreamMissing(name)
        return self._streams[name]

    def wake(self) -> None:
        """Wake all waiters."""
        for stream in self._streams.values():
            stream.wake()

    def connect(self, reconnected: asyncio.Event) -> None:
        """Add a connection, whose event is set after a crash."""
        self._reconnected.add(reconnected)

    def crash(self, unsynced_seconds: float = 0.0) -> None:
        """Restart at once, without the messages stored and acknowledged in the last
        `unsynced_seconds`."""
        self.restarts += 1
        for stream in self._streams.values():
            if unsynced_seconds > 0.0:
                stream.forget(self.now() - unsynced_seconds)
        work = self._streams.get(WORK)
        self.held = {seq: held for seq, held in self.held.items() if work and seq <= work.last_seq}
        for reconnected in self._reconnected:
            reconnected.set()
        self.wake()

    def call(self, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer `STREAM.INFO` and `STREAM.PURGE`; there are no consumers. Raises ServerRefused."""
        verb, _, name = subject.rpartition(".")
        if verb == "STREAM.INFO":
            stream = self.stream(name)
            stream.expire()
            state: dict[str, Any] = {"last_seq": stream.last_seq, "messages": len(stream.entries)}
            state["bytes"] = sum(len(entry.body) for entry in stream.entries.values())
            if wanted := request.get("subjects_filter"):
                subjects = [entry.subject for entry in stream.entries.values()]
                found = {item: subjects.count(item) for item in subjects if matches(wanted, item)}
                state["subjects"] = found
                return {"state": state, "total": len(found)}
            return {"state": state}
        if verb == "STREAM.PURGE":
            stream = self.stream(name)
            for purged in {entry.subject for entry in stream.entries.values()}:
                if matches(request["filter"], purged):
                    stream.purge(purged, keep=request.get("keep", 0), before=request.get("seq"))
            return {"success": True}
        # the queue in memory needs no consumers, so none is missing
        code = NO_STREAM if subject.startswith("CONSUMER.INFO.") else NO_CONSUMER
        raise ServerRefused(code, f"{subject} is not answered in memory", 404)
