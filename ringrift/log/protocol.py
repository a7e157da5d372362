"""The log as everything else sees it. `ringrift.log.jetstream` is the real one,
`ringrift.log.memory` its twin."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from ringrift.events import Draft, Recorded, UndecodableEvent

if TYPE_CHECKING:
    import asyncio

    from ringrift.log.ledger import Ledger

BATCH_EVENTS_MAX = 1000
"""events of one atomic batch; the server's own limit"""

Progress = Callable[[int, int], None]
"""Called with (sequence reached, sequence at which the reading ends)."""
Refuse = Callable[["Entry", UndecodableEvent], None]
"""Called with a stored message that is no event and what is wrong with it."""


class Entry(Struct, frozen=True, gc=False):
    """A stored message: its stream sequence, subject, time of storage in nanoseconds since 1970,
    bytes and header block."""

    seq: int
    subject: str
    stamp_ns: int
    body: bytes
    head: bytes = b""

    @property
    def time(self) -> datetime:
        """When the server stored it, UTC."""
        return datetime.fromtimestamp(self.stamp_ns / 1e9, UTC)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by name; the server's own begin with `Nats-`."""
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line)
        return {name.decode(): value.strip().decode() for name, _, value in pairs}

    @property
    def id(self) -> str | None:
        """Id that the message was deduplicated by."""
        return self.headers.get("Nats-Msg-Id")


class Expect(Struct, frozen=True):
    """The newest message matching `subject_filter` (wildcards allowed) must have sequence
    `last_seq`; 0 means there is none."""

    subject_filter: str
    last_seq: int


class Remade(Struct, frozen=True):
    """A stream that was made anew, and for how long it had been so."""

    stream: str
    reason: Literal["leaderless", "missing"]
    unavailable_seconds: float


class WorkItem(Protocol):
    """A ticket in the hands of one worker until it is acknowledged or its time runs out."""

    subject: str
    body: bytes
    seq: int
    deliveries: int
    """1 the first time"""

    async def in_progress(self) -> None:
        """Asks for as much time again as a delivery gives (`WORK_ACK_SECONDS`)."""

    async def ack(self) -> None:
        """Done; returns when the server has recorded it."""

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Not done; deliver it again after the delay."""

    async def term(self, reason: str) -> None:
        """Will never be done: takes it off the queue. Dead-letter it first, its bytes are gone
        afterwards."""


class Log(Protocol):
    """Durable, ordered, deduplicated. Every call survives reconnects and a restart of the server
    within its time limit."""

    ledger: Ledger
    """what this process appended without an expectation and was acknowledged"""
    returned: asyncio.Event
    """set when the connection comes back; whoever looks into it clears it"""

    async def append(self, drafts: Sequence[Draft], expect: Expect | None = None) -> list[int]:
        """Stores all of `drafts`, events of one stream, or none; their sequences, once they are
        acknowledged.

        What is stored already under the same ids is not stored again, its sequences are returned.
        Raises ConcurrencyError, PartlyStored, PayloadTooLarge, LogUnavailable."""

    async def append_each(self, drafts: Sequence[Draft]) -> list[int]:
        """Stores those of `drafts` that are not stored yet, as many as there are, without all or
        nothing: for games. Errors as `append`, but no PartlyStored."""

    def read(
        self,
        stream: str,
        *,
        filters: Sequence[str] = (),
        start_seq: int = 1,
        start_time: datetime | None = None,
        until_seq: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[list[Entry], None]:
        """What is stored now, in order, in batches of bounded size, from `start_seq` or
        `start_time` through `until_seq`."""

    def replay(
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
        """`read`, decoded; the entries that cannot be are handed to `refuse` and left out."""

    def follow(
        self, stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
    ) -> AsyncGenerator[Entry, None]:
        """What is stored from `start_seq` on and what will be, in order, each once, for ever.

        Raises LogRewound if the server comes back without what was before or handed out."""

    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """The newest message that matches the filter."""

    async def get(self, stream: str, seq: int) -> Entry | None:
        """The message with this sequence, None if there is none (any more)."""

    async def tail(self, stream: str) -> int:
        """Sequence of the newest message, 0 in an empty stream."""

    async def stored(
        self, stream: str, ids: Sequence[str], filters: Sequence[str], since: datetime
    ) -> dict[str, int]:
        """Sequences of those of `ids` stored after `since` under one of `filters`: for writers
        whose outage outlived the server's memory of ids."""

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
        """Stores one message that is no event: a key, a record of a blob, a dead letter; its
        sequence.

        `expect_last` is the sequence the newest message on this very subject must have, 0 for none;
        `kept_seconds` after which it expires; with `rollup` it replaces all on its subject. Raises
        ConcurrencyError, PayloadTooLarge, LogUnavailable."""

    async def purge(self, stream: str, subject: str) -> None:
        """Deletes the messages on a subject, where the stream allows it. Raises ServerRefused,
        LogUnavailable."""

    async def subjects(self, stream: str, subject_filter: str) -> list[str]:
        """The subjects under a filter that have messages, sorted."""

    async def publish_ticket(self, subject: str, body: bytes, ticket: str) -> int:
        """Puts work on the queue, once per ticket id; its sequence. Raises QueueFull,
        LogUnavailable."""

    async def queued(self) -> list[Entry]:
        """Every ticket on the queue, those in workers' hands included, oldest first."""

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """The oldest ticket of `kind` nobody holds, of the highest priority there is (the lowest
        number); None if there is none within `wait_seconds`."""

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
        """Keeps the bytes of an unusable message in `DEAD`, once per message and consumer, and
        records the fact; its sequence."""

    async def heal(self) -> list[Remade]:
        """Called again and again: what has lost its leader for good and holds nothing that facts do
        not give is made anew, empty; what was. Raises LogUnavailable, ServerRefused."""

    async def close(self) -> None:
        """Sends what is buffered and disconnects."""


def stream_of(drafts: Sequence[Draft]) -> str:
    """The stream that one append of these drafts goes to. Raises ValueError for drafts that cannot
    be appended together."""
    streams = {item.kind.stream for item in drafts}
    if len(streams) != 1:
        raise ValueError(f"one append goes to one stream, not to {sorted(streams)}")
    if len({item.id for item in drafts}) != len(drafts):
        raise ValueError("two events of one append have the same id; give them different keys")
    if len(drafts) > BATCH_EVENTS_MAX:
        raise ValueError(f"one append holds at most {BATCH_EVENTS_MAX} events, not {len(drafts)}")
    return next(iter(streams))


@functools.lru_cache(maxsize=4096)
def matches(subject_filter: str, subject: str) -> bool:
    """Whether the subject is under the filter: `*` stands for one token, `>` at the end for one or
    more."""
    wanted, tokens = subject_filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = (
            wanted[:-1],
            tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else [],
        )
        if not tokens and wanted:
            return False
    return len(wanted) == len(tokens) and all(
        a in ("*", b) for a, b in zip(wanted, tokens, strict=True)
    )


def stamp_of(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with up to nine decimals."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def header_block(headers: Mapping[str, str]) -> bytes:
    """Headers as they lie in the log."""
    if not headers:
        return b""
    return (
        b"NATS/1.0\r\n"
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        + b"\r\n"
    )
