"""The server's snapshot of a stream as a list of records, cut into parts at places that depend on
their content: equal messages are in equal parts whatever is added, or deleted elsewhere.

A snapshot begins with records about the stream and its consumers, which have the sequence 0; then
come the messages, and an empty record."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from ringrift.log.entry import Entry
from ringrift.log.errors import ServerError

MAGIC = b"NATSARC1"
INLINE_BYTES_MAX = 2048
"""parts of at most this size are in the manifest"""
PART_BYTES_MIN, PART_BYTES_MAX = 256 * 1024, 8 * 1024 * 1024
CUT_EVERY = 64
"""a part ends with a message whose sequence this divides"""


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a stream's snapshot: its bytes, or the digest of an object; and its messages."""

    inline: bytes = b""
    digest: str = ""
    size_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    messages: int = 0

    @property
    def closed(self) -> bool:
        """Whether no later message belongs to this part."""
        size = self.size_bytes or len(self.inline)
        aligned = size >= PART_BYTES_MIN and self.last_seq % CUT_EVERY == 0
        return aligned or size >= PART_BYTES_MAX


class Record(NamedTuple):
    """A record of a snapshot: the sequence of the message, 0 if it is none, and all its bytes."""

    seq: int
    data: bytes


class Piece(NamedTuple):
    """What a part holds."""

    data: bytes
    seqs: list[int]


class Cutter:
    """Collects records until a part is complete."""

    def __init__(self) -> None:
        self._data, self._seqs, self._started = bytearray(), list[int](), False

    def add(self, record: Record) -> Iterator[Piece]:
        """Take a record; yield the parts that end before it or with it."""
        if bool(record.seq) != self._started:  # what is no message is apart
            yield from self.end()
        self._started = bool(record.seq)
        self._data += record.data
        if not record.seq:
            return
        self._seqs.append(record.seq)
        size = len(self._data)
        if size >= PART_BYTES_MAX or (size >= PART_BYTES_MIN and record.seq % CUT_EVERY == 0):
            yield from self.end()

    def end(self) -> Iterator[Piece]:
        """Yield the part that is begun, if one is."""
        if self._data:
            yield Piece(bytes(self._data), self._seqs)
            self._data, self._seqs = bytearray(), []


async def records(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[Record]]:
    """Yield the records of a snapshot, which arrives in chunks of any size; the first one includes
    the mark of the format. Raises ServerError for another format."""
    waiting, begun = b"", False
    async for chunk in chunks:
        waiting += chunk
        if not begun and len(waiting) < len(MAGIC):
            continue
        if not begun and not waiting.startswith(MAGIC):
            raise ServerError("the server's snapshots have another format: use nats-server 2.15")
        found = list(records_in(waiting, 0 if begun else len(MAGIC)))
        if found:
            begun = True
            waiting = waiting[sum(len(record.data) for record in found) :]
            yield found
    if waiting:
        raise ServerError("the server's snapshot ends in the middle of a message")


def records_in(data: bytes, skipped: int = 0) -> Iterator[Record]:
    """Yield the complete records of a part; the first one includes the bytes that are skipped."""
    start, at = 0, skipped
    while (found := _record(data, at)) is not None:
        at, seq = found
        yield Record(seq, data[start:at])
        start = at


def _record(data: bytes, at: int) -> tuple[int, int] | None:
    """The end and the sequence of the record at a place; None if it is not complete. It consists of
    five variable-length numbers (size of the name, time, sequence, sizes of headers and body),
    name, headers and body."""
    numbers = []
    for _ in range(5):
        number = shift = 0
        while True:
            if at >= len(data):
                return None
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        numbers.append(number)
    end = at + numbers[0] + numbers[3] + numbers[4]
    return (end, numbers[2]) if end <= len(data) else None


LAST = bytes(5)
"""the empty record at the end"""


def record_of(entry: Entry) -> Record:
    """The record of a stored message."""
    name = entry.subject.encode()
    numbers = (len(name), entry.stamp_ns * 2, entry.seq, len(entry.head), len(entry.body))
    return Record(entry.seq, _written(numbers) + name + entry.head + entry.body)


def _written(numbers: Iterable[int]) -> bytes:
    out = bytearray()
    for number in numbers:
        while number >= 0x80:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)
