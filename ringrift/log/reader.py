"""Reading a stream in bulk and following it, both through short-lived pull consumers that a new one
replaces when lost.

A session is one connection with one consumer that acknowledges nothing. Sequences make it safe to
lose: whatever happens, the next session starts after the last message that was handed over."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import structlog

from ringrift.events import Recorded, UndecodableEvent, decode
from ringrift.log import api
from ringrift.log.errors import (
    LogRewound,
    LogUnavailable,
    ServerRefused,
    StreamMissing,
    Unreachable,
)
from ringrift.log.protocol import Entry, Progress, Refuse
from ringrift.log.wire import RawMessage, Wire, WireClosed

PULLS = 4
"""requests in flight: the server always has one to serve while another's messages are on the way"""
PULL_MESSAGES_MAX = 5000
PULL_BYTES_MAX = 12 * 1024 * 1024
"""above the server's largest payload (8 MB), and four of them below its limit of 64 MB unsent bytes
a client"""
PULL_EXPIRES_SECONDS = 30
HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS_MAX = 1.5
"""three heartbeats missed: the consumer or its server is gone"""
QUIET_SECONDS_MAX = 5.0
"""a follower that heard of nothing for so long asks the stream's leader whether there was
something: a consumer on a server that is cut off from the others says that it is there, and knows
of nothing new"""
RETRY_SECONDS = 0.25
REWOUND_SECONDS = 5.0
"""a leader just elected may take a moment to see what it has; one that ends too early for longer
has lost it"""
READ_UNAVAILABLE_SECONDS_MAX = 30.0
"""a read gives up when it gets nothing for so long; a leader's loss takes 4 to 9 s"""
INACTIVE_SECONDS = 60
"""the server forgets an abandoned consumer after this"""
SUBJECTS_KEPT_MAX = 4096
"""subjects whose text is kept: they are few, and making one costs as much as the rest of an
entry"""

_PULL_ENDED = (b"408", b"409 Message Size Exceeds MaxBytes", b"409 Batch Completed")
_PULL_REQUEST = json.dumps(
    {
        "batch": PULL_MESSAGES_MAX,
        "max_bytes": PULL_BYTES_MAX,
        "expires": PULL_EXPIRES_SECONDS * 1_000_000_000,
        "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
    }
).encode()

T = TypeVar("T")
_log = structlog.get_logger("ringrift.log")


class SessionLost(Exception):
    """The consumer or the connection is gone; a new session goes on."""


class Session:
    """One connection and its consumer."""

    def __init__(self, wire: Wire, stream: str, consumer: str) -> None:
        self._wire = wire
        self._stream = stream
        self._consumer = consumer
        self._pulls = 0
        self._awaited = 0  # messages asked for and still to come
        self._delivered = 0  # the consumer counts its messages 1, 2, 3, so a hole shows

    @classmethod
    async def open(
        cls,
        servers: Sequence[str],
        stream: str,
        filters: Sequence[str],
        start: int | datetime,
        headers_only: bool,
    ) -> Session:
        """A session that begins at sequence or time `start`. Raises SessionLost, StreamMissing,
        ServerRefused."""
        try:
            wire = await Wire.open(servers)
        except Unreachable as error:
            raise SessionLost(str(error)) from error
        session = cls(wire, stream, f"read-{secrets.token_hex(8)}")
        try:
            await session._create(filters, start, headers_only)
            for _ in range(PULLS):
                session._pull()
        except (WireClosed, TimeoutError) as error:
            session.close()
            raise SessionLost(str(error) or "no answer from the server") from error
        except BaseException:
            session.close()
            raise
        return session

    async def _create(
        self, filters: Sequence[str], start: int | datetime, headers_only: bool
    ) -> None:
        config: dict[str, Any] = {
            "name": self._consumer,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "max_deliver": 1,
            "headers_only": headers_only,
            "inactive_threshold": INACTIVE_SECONDS * 1_000_000_000,
        }
        if isinstance(start, datetime):
            config |= {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}
        else:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": max(start, 1)}
        if filters:
            config["filter_subjects"] = list(filters)
        request = {"stream_name": self._stream, "config": config, "action": "create"}
        try:
            await api.call(
                self._wire.call, f"CONSUMER.CREATE.{self._stream}.{self._consumer}", request
            )
        except ServerRefused as error:
            if error.code == api.NO_STREAM:
                raise StreamMissing(self._stream) from error
            if (
                error.status == 503 or error.code == api.CONSUMERS_FULL
            ):  # those of killed readers go in a minute
                raise SessionLost(error.text) from error
            raise

    def _pull(self) -> None:
        self._pulls += 1
        self._awaited += PULL_MESSAGES_MAX
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        self._wire.send(subject, _PULL_REQUEST, f"{self._wire.inbox}.d.{self._pulls}")

    async def newest(self, filters: Sequence[str]) -> Entry | None:
        """The newest message under the filters, as the stream's leader sees it. Raises
        SessionLost."""
        try:
            found = [
                await api.last_message(self._wire.call, self._stream, subject)
                for subject in filters or (">",)
            ]
        except (WireClosed, TimeoutError) as error:
            raise SessionLost(str(error) or "no answer from the server") from error
        except ServerRefused as error:
            if error.status == 503:  # cut off, or nobody leads just now
                raise SessionLost(error.text) from error
            raise
        return max(
            (entry for entry in found if entry is not None),
            key=lambda entry: entry.seq,
            default=None,
        )

    async def check_same(self, seq: int, before: Entry | None) -> Entry | None:
        """The message at `seq`, if there still is one. Raises LogRewound if another was there
        `before`, or the stream ends earlier; SessionLost."""
        try:
            for _ in range(int(REWOUND_SECONDS / RETRY_SECONDS)):
                if (await api.stream_state(self._wire.call, self._stream))["last_seq"] >= seq:
                    break
                await asyncio.sleep(RETRY_SECONDS)
            else:
                raise LogRewound(self._stream, seq)
            there = (
                await api.get_message(self._wire.call, self._stream, {"seq": seq})
                if seq > 0
                else None
            )
        except (WireClosed, TimeoutError) as error:
            raise SessionLost(str(error) or "no answer from the server") from error
        except ServerRefused as error:
            if error.status != 503:
                raise
            raise SessionLost(error.text) from error
        if before is not None and there is not None and before.stamp_ns != there.stamp_ns:
            raise LogRewound(self._stream, seq)
        return there

    async def receive(self) -> list[RawMessage]:
        """The next messages, [] for a heartbeat. Raises SessionLost."""
        try:
            received = await self._wire.receive(SILENCE_SECONDS_MAX)
            for status in received.statuses:
                self._status(status)
            self._awaited -= len(received.messages)
            self._delivered += len(received.messages)
            while self._awaited <= (PULLS - 1) * PULL_MESSAGES_MAX:
                self._pull()
        except (WireClosed, TimeoutError) as error:
            raise SessionLost(str(error) or f"silent for {SILENCE_SECONDS_MAX} s") from error
        if received.messages and received.delivered != self._delivered:
            raise SessionLost(
                f"the consumer sent {received.delivered} messages, {self._delivered} arrived"
            )
        return received.messages

    def _status(self, head: bytes) -> None:
        line, _, rest = head.partition(b"\r\n")
        status = line.removeprefix(b"NATS/1.0 ")
        if status.startswith(b"100"):
            return
        if status.startswith(_PULL_ENDED):
            unserved = re.search(rb"Nats-Pending-Messages: (\d+)", rest)
            self._awaited -= int(unserved[1]) if unserved else 0
            return
        raise SessionLost(status.decode(errors="replace"))

    def close(self) -> None:
        """Lets go of the consumer and the connection."""
        with contextlib.suppress(WireClosed):
            self._wire.send(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", b"")
        self._wire.close()


def entries_of(messages: Sequence[RawMessage]) -> list[Entry]:
    """The messages as the log hands them out."""
    return [
        Entry(
            int(words[1]),
            _subject_in(words[0]),
            int(words[3]),
            buffer[body:end],
            buffer[start:body],
        )
        for words, buffer, start, body, end in messages
    ]


def recorder(stream: str, refuse: Refuse) -> Callable[[Sequence[RawMessage]], list[Recorded]]:
    """Makes messages into events; those that are none go to `refuse`."""

    def recorded_of(messages: Sequence[RawMessage]) -> list[Recorded]:
        found: list[Recorded] = []
        for message in messages:
            words, buffer, _, body, end = message
            try:
                found.append(decode(buffer[body:end], stream=stream, seq=int(words[1])))
            except UndecodableEvent as error:
                refuse(entries_of([message])[0], error)
        return found

    return recorded_of


@functools.lru_cache(maxsize=SUBJECTS_KEPT_MAX)
def _subject_in(head: bytes) -> str:
    return head.split(b" ", 2)[1].decode()


async def read(
    servers: Sequence[str],
    stream: str,
    convert: Callable[[Sequence[RawMessage]], list[T]],
    *,
    filters: Sequence[str] = (),
    start_seq: int = 1,
    start_time: datetime | None = None,
    until_seq: int | None = None,
    progress: Progress | None = None,
    headers_only: bool = False,
) -> AsyncGenerator[list[T], None]:
    """What is stored now, in batches, as `convert` makes it; see `Log.read`. With `headers_only`
    the bodies are left out.

    Raises StreamMissing, LogUnavailable."""
    start: int | datetime = start_time or start_seq
    end: int | None = None
    heard = time.monotonic()
    while end is None or not isinstance(start, int) or start <= end:
        try:
            async with _session(servers, stream, filters, start, headers_only) as session:
                end = await _end(session, filters, start, until_seq if end is None else end)
                if end == 0:
                    return
                while not isinstance(start, int) or start <= end:
                    messages = await session.receive()
                    if not messages:  # idle before the end: what was to come may have expired
                        end = await _end(session, filters, start, end)
                        if end == 0:
                            return
                        continue
                    heard, start = time.monotonic(), _seq(messages[-1]) + 1
                    if start > end + 1:
                        messages = [message for message in messages if _seq(message) <= end]
                    if progress is not None:
                        progress(min(start - 1, end), end)
                    if messages:
                        yield convert(messages)
        except SessionLost as error:
            if time.monotonic() - heard > READ_UNAVAILABLE_SECONDS_MAX:
                raise LogUnavailable(f"reading {stream}: {error}") from error
            await asyncio.sleep(RETRY_SECONDS)


def _seq(message: RawMessage) -> int:
    return int(message[0][1])


async def follow(
    servers: Sequence[str], stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
) -> AsyncGenerator[Entry, None]:
    """What is stored from `start_seq` on and what will be; see `Log.follow`. Raises StreamMissing,
    LogRewound."""
    start, before, told = start_seq, None, False
    while True:
        try:
            async with _session(servers, stream, filters, start, False) as session:
                before = await session.check_same(start - 1, before) or before
                heard, told = time.monotonic(), False
                while True:
                    for entry in entries_of(await session.receive()):
                        start, before, heard = entry.seq + 1, entry, time.monotonic()
                        yield entry
                    if time.monotonic() - heard > QUIET_SECONDS_MAX:
                        newest, heard = await session.newest(filters), time.monotonic()
                        if newest is not None and newest.seq >= start:
                            raise SessionLost(f"the consumer does not know of {newest.seq}")
        except SessionLost as error:
            if not told:  # once, not at every try to come back
                _log.warning(
                    "follower lost its place, resuming",
                    stream=stream,
                    next_seq=start,
                    why=str(error),
                )
                told = True
            await asyncio.sleep(RETRY_SECONDS)


@contextlib.asynccontextmanager
async def _session(
    servers: Sequence[str],
    stream: str,
    filters: Sequence[str],
    start: int | datetime,
    headers_only: bool,
) -> AsyncIterator[Session]:
    session = await Session.open(servers, stream, filters, start, headers_only)
    try:
        yield session
    finally:
        session.close()


async def _end(
    session: Session, filters: Sequence[str], start: int | datetime, until_seq: int | None
) -> int:
    """Sequence at which a reading from `start` ends, 0 if nothing is there to be read.

    The leader says so: the consumer's own replica may not have everything yet."""
    newest = await session.newest(filters)
    if newest is None or (isinstance(start, datetime) and newest.time < start):
        return 0
    return newest.seq if until_seq is None else min(newest.seq, until_seq)
