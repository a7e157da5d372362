"""Stored messages, and the subjects they are stored under."""

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from ringrift.events import Recorded, UndecodableEvent, decode


class Entry(Struct, frozen=True, gc=False):
    """A stored message: its stream sequence, subject, time of storage in nanoseconds since 1970,
    body and header block."""

    seq: int
    subject: str
    stamp_ns: int
    body: bytes
    head: bytes = b""

    @property
    def time(self) -> datetime:
        """When the server stored the message, UTC."""
        return datetime.fromtimestamp(self.stamp_ns / 1e9, UTC)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by name; those of the server begin with `Nats-`."""
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line)
        return {name.decode(): value.strip().decode() for name, _, value in pairs}

    def recorded(self, stream: str) -> Recorded:
        """The event in the message, which is of `stream`. Raises UndecodableEvent."""
        return decode(
            self.body, stream=stream, seq=self.seq, subject=self.subject, stamp_ns=self.stamp_ns
        )

    @property
    def id(self) -> str | None:
        """The id that the server deduplicates the message by."""
        return self.headers.get("Nats-Msg-Id")


Refuse = Callable[[Entry, UndecodableEvent], None]
"""Called with a stored message that is no event, and the reason."""


def header_block(headers: Mapping[str, str]) -> bytes:
    """Headers in the form in which they are stored."""
    if not headers:
        return b""
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    return b"NATS/1.0\r\n" + lines + b"\r\n"


@functools.lru_cache(maxsize=4096)
def matches(subject_filter: str, subject: str) -> bool:
    """Whether a subject matches a filter: `*` matches one token, a final `>` one or more."""
    wanted, tokens = subject_filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        if len(tokens) < len(wanted):
            return False
        wanted.pop()
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        a in ("*", b) for a, b in zip(wanted, tokens, strict=True)
    )


def matches_any(filters: Sequence[str], subject: str) -> bool:
    """Whether a subject matches one of the filters, or there are none."""
    return not filters or any(matches(subject_filter, subject) for subject_filter in filters)


def stamp_of(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with up to nine decimals."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
