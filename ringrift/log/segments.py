"""Segments: messages of a stream as one Parquet file, compressed with zstd, that people can read
with any tool.

Columns `seq`, `time`, `subject`, `headers` and `body` hold a message byte for byte. `type`,
`scope`, `id`, `cause` and, of games, `game`, `origin`, `plies` and `winner` repeat what is in the
body, for queries. Equal messages give equal bytes with one version of the library."""

import io
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log.entry import Entry, matches_any
from ringrift.log.errors import BlobCorrupt

GROUP_BYTES_MAX = 4 * 1024 * 1024
"""of the bodies in one row group, the unit that a reader holds in memory"""
GROUP_MESSAGES_MAX = 5_000
ZSTD_LEVEL = 3
FORMAT = {b"ringrift.segment": b"1"}


class _Game(Struct):
    game: str | None = None
    origin: str | None = None
    plies: int | None = None
    winner: int | None = None


class _Envelope(Struct):
    type: str | None = None
    id: str | None = None
    cause: str | None = None
    data: _Game = msgspec.field(default_factory=_Game)


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def encode(entries: Sequence[Entry]) -> bytes:
    """The file of these messages, which are in the order of their sequences."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            ("seq", pa.int64()),
            ("time", pa.timestamp("ns", tz="UTC")),
            *((name, text) for name in ("type", "scope", "subject")),
            *((name, pa.string()) for name in ("id", "cause", "game")),
            ("origin", text),
            ("plies", pa.int32()),
            ("winner", pa.int8()),
            ("headers", pa.binary()),
            ("body", pa.binary()),
        ],
        metadata=FORMAT,
    )
    file = io.BytesIO()
    with pq.ParquetWriter(
        file, schema, compression="zstd", compression_level=ZSTD_LEVEL, use_dictionary=True
    ) as writer:
        for group in _groups(entries):
            columns = list(zip(*map(_row, group), strict=True))
            arrays = [
                pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return file.getvalue()


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    group, size = list[Entry](), 0
    for entry in entries:
        if group and (size + len(entry.body) > GROUP_BYTES_MAX or len(group) >= GROUP_MESSAGES_MAX):
            yield group
            group, size = [], 0
        group.append(entry)
        size += len(entry.body)
    if group:
        yield group


def _row(entry: Entry) -> tuple[Any, ...]:
    try:
        about = _ENVELOPE.decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        about = _Envelope()
    words, game = entry.subject.split("."), about.data
    plies = game.plies if game.plies is not None and 0 <= game.plies < 2**31 else None
    winner = game.winner if game.winner is not None and 0 <= game.winner < 2**7 else None
    return (
        entry.seq,
        entry.stamp_ns,
        about.type,
        words[2] if len(words) > 2 else None,
        entry.subject,
        about.id,
        about.cause,
        *(game.game, game.origin, plies, winner),
        entry.head,
        entry.body,
    )


class Segment:
    """A file of messages, read a row group at a time, also by several threads. Raises BlobCorrupt
    if it is none."""

    def __init__(self, data: bytes) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(pa.BufferReader(data))
        except (pa.ArrowException, OSError) as error:
            raise BlobCorrupt(f"no Parquet file: {error}") from error
        if not FORMAT.items() <= (self._file.schema_arrow.metadata or {}).items():
            raise BlobCorrupt("a Parquet file, but no segment of a log")
        # Arrow's reader of one file crashes the process if two threads use it at once
        self._lock = threading.Lock()

    def groups(
        self, filters: Sequence[str] = (), first: int = 1, last: int | None = None
    ) -> Iterator[list[Entry]]:
        """Yield the messages `first..last` that match the filters, by row group."""
        for group in range(self._file.num_row_groups):
            seqs = self._file.metadata.row_group(group).column(0).statistics
            if seqs.max < first or (last is not None and seqs.min > last):
                continue
            with self._lock:
                found = self._group(group, filters, first, last)
            if found:
                yield found

    def _group(
        self, group: int, filters: Sequence[str], first: int, last: int | None
    ) -> list[Entry]:
        import pyarrow as pa

        names = self._file.read_row_group(group, columns=["seq", "subject"])
        seqs, column = names["seq"].to_pylist(), names["subject"].combine_chunks()
        texts = column.dictionary.to_pylist()
        chosen = [matches_any(filters, text) for text in texts]
        if not any(chosen):
            return []
        subjects = column.indices.to_pylist()
        rest = self._file.read_row_group(group, columns=["time", "headers", "body"])
        stamps = rest["time"].cast(pa.int64()).to_pylist()
        heads, bodies = rest["headers"].to_pylist(), rest["body"].to_pylist()
        end = seqs[-1] if last is None else last
        return [
            Entry(seq, texts[subject], stamp, body, head)
            for seq, subject, stamp, body, head in zip(
                seqs, subjects, stamps, bodies, heads, strict=True
            )
            if chosen[subject] and first <= seq <= end
        ]
