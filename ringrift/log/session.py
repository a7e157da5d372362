"""A reader's session: one connection with one short-lived pull consumer that acknowledges nothing.

Sessions are cheap to lose. The next one starts after the last message that was handed over."""

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from ringrift.log import api
from ringrift.log.entry import Entry
from ringrift.log.errors import LogRewound, ServerRefused, StreamMissing, Unreachable
from ringrift.log.wire import RawMessage, Wire, WireClosed

PULLS = 4
"""requests in flight: the server always has one to serve while another's messages are on the way"""
PULL_MESSAGES_MAX = 5000
PULL_BYTES_MAX = 12 * 1024 * 1024
"""above the server's largest payload (8 MB), and four of them below its limit of 64 MB unsent bytes
per client"""
PULL_EXPIRES_SECONDS = 30
HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS_MAX = 1.5
"""three missed heartbeats: the consumer or its server is gone"""
RETRY_SECONDS = 0.25
REWOUND_SECONDS = 5.0
"""a new leader may need a moment to see all it has; a stream that is too short for longer has lost
messages"""
INACTIVE_SECONDS = 60
"""the server deletes an abandoned consumer after this"""

_PULL_ENDED = (b"408", b"409 Message Size Exceeds MaxBytes", b"409 Batch Completed")
_PULL = {
    "max_bytes": PULL_BYTES_MAX,
    "expires": PULL_EXPIRES_SECONDS * 1_000_000_000,
    "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9),
}


Dial = Callable[[], Awaitable[Wire]]
"""opens a connection; raises Unreachable"""


class SessionLost(Exception):
    """The consumer or the connection is gone; a new session continues."""


class Session:
    """One connection and its consumer; about `wanted` messages are asked for at first."""

    def __init__(
        self, wire: Wire, stream: str, filters: Sequence[str], wanted: int | None = None
    ) -> None:
        self._wire = wire
        part = PULL_MESSAGES_MAX if wanted is None else wanted // PULLS + 1
        self._batch = min(part, PULL_MESSAGES_MAX)
        self._stream = stream
        self._filters = filters
        self._consumer = f"read-{secrets.token_hex(8)}"
        self.server = ""
        """Name of the server whose copy of the stream is read, in a cluster."""
        self._pulls = 0
        self._awaited = 0  # messages that were requested and have not arrived
        self._delivered = 0  # the consumer counts its messages 1, 2, 3, so that a gap shows

    async def begin(self, start: int | datetime, headers_only: bool) -> None:
        """Create the consumer and request its first messages. Raises SessionLost, StreamMissing,
        ServerRefused."""
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
        if self._filters:
            config["filter_subjects"] = list(self._filters)
        request = {"stream_name": self._stream, "config": config, "action": "create"}
        subject = f"CONSUMER.CREATE.{self._stream}.{self._consumer}"
        with _session_lost():
            try:
                created = await api.call(self._wire.call, subject, request)
            except StreamMissing as error:
                await api.stream_state(self._wire.call, self._stream)  # unless no voter has it
                text = f"a voter that should hold {self._stream} takes no part in it"
                raise SessionLost(f"{text}: `ringrift doctor` names it") from error
            self.server = created.get("cluster", {}).get("leader", "")
            for _ in range(PULLS):
                self._pull()

    def _pull(self) -> None:
        self._pulls += 1
        self._awaited += self._batch
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        request = json.dumps({"batch": self._batch, **_PULL}).encode()
        self._wire.send(subject, request, f"{self._wire.inbox}.d.{self._pulls}")

    async def newest(self) -> Entry | None:
        """Return the newest message that matches the filters, read from the stream's leader. Raises
        SessionLost."""
        with _session_lost():
            wanted = [{"last_by_subj": subject} for subject in self._filters or (">",)]
            found = [await api.get_message(self._wire.call, self._stream, each) for each in wanted]
        return max(filter(None, found), key=lambda entry: entry.seq, default=None)

    async def check_same(self, seq: int, before: Entry | None) -> Entry | None:
        """Return the message at `seq`, if it is still stored.

        Raises LogRewound if another message was there `before` or the stream ends earlier,
        SessionLost."""
        there = None
        with _session_lost():
            for _ in range(int(REWOUND_SECONDS / RETRY_SECONDS)):
                if (await api.stream_state(self._wire.call, self._stream))["last_seq"] >= seq:
                    break
                await asyncio.sleep(RETRY_SECONDS)
            else:
                raise LogRewound(self._stream, seq)
            if seq > 0:
                there = await api.get_message(self._wire.call, self._stream, {"seq": seq})
        if before is not None and there is not None and before.stamp_ns != there.stamp_ns:
            raise LogRewound(self._stream, seq)
        return there

    async def receive(self) -> list[RawMessage]:
        """Return the next messages, [] for a heartbeat. Raises SessionLost."""
        try:
            received = await self._wire.receive(SILENCE_SECONDS_MAX)
            for status in received.statuses:
                self._status(status)
            self._awaited -= len(received.messages)
            self._delivered += len(received.messages)
            while self._awaited <= (PULLS - 1) * self._batch:
                self._pull()
        except (WireClosed, TimeoutError) as error:
            raise SessionLost(str(error) or f"silent for {SILENCE_SECONDS_MAX} s") from error
        if received.messages and received.delivered != self._delivered:
            sent = f"the consumer sent {received.delivered} messages"
            raise SessionLost(f"{sent}, {self._delivered} arrived")
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
        """Delete the consumer and close the connection."""
        with contextlib.suppress(WireClosed):
            self._wire.send(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", b"")
        self._wire.close()


@contextlib.contextmanager
def _session_lost() -> Iterator[None]:
    """Raise SessionLost if the server is gone or cut off, the stream has no leader, or no room for
    consumers, which those of killed readers free within a minute."""
    try:
        yield
    except (WireClosed, TimeoutError) as error:
        raise SessionLost(str(error) or "no answer from the server") from error
    except ServerRefused as error:
        if error.status != 503 and error.code != api.CONSUMERS_FULL:
            raise
        raise SessionLost(error.text) from error


@contextlib.asynccontextmanager
async def session(
    dial: Dial,
    stream: str,
    filters: Sequence[str],
    start: int | datetime,
    headers_only: bool = False,
    wanted: int | None = None,
) -> AsyncIterator[Session]:
    """Open a session that begins at a sequence or time, and close it when the block ends; `wanted`
    is how many messages are read, if that is known.

    Raises SessionLost, StreamMissing, ServerRefused."""
    try:
        wire = await dial()
    except Unreachable as error:
        raise SessionLost(str(error)) from error
    opened = Session(wire, stream, filters, wanted)
    try:
        await opened.begin(start, headers_only)
        yield opened
    finally:
        opened.close()
