"""The lines of a trace file.

A file holds games (header, steps, end) or synthetic end positions, one JSON object per line, plain
or compressed with gzip.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from ringrift.errors import RingRiftError


class TraceError(RingRiftError):
    """A trace file cannot be read or is not of the expected format."""


class Header(msgspec.Struct, tag_field="kind", tag="header"):
    """First line of a game."""

    format: str
    id: str
    board: str
    players: int
    swap: int
    lps_rounds: int
    state: str
    sh: str


class End(msgspec.Struct, tag_field="kind", tag="end"):
    """Last line of a game."""

    id: str
    steps: int
    status: str
    winner: int
    reason: str
    cause: str
    standings: list[int]
    state: str
    sh: str


class Step(msgspec.Struct):
    """One recorded move: number, seat, phase, move, and number and hash of the legal moves before
    it, and hash of the state after it. `L`, the legal moves, and `S`, the state, are written now
    and then."""

    i: int
    p: int
    ph: str
    m: msgspec.Raw
    nl: int
    lh: str
    sh: str
    L: list[msgspec.Raw] | None = None
    S: str | None = None


class EndPosition(msgspec.Struct):
    """A position at the end of a turn, and the result of the victory test."""

    state: str
    sh: str
    last_actor: int
    over: int
    winner: int
    reason: str


Line = Header | Step | End | EndPosition


class _Kind(msgspec.Struct):
    kind: str | None = None
    last_actor: int | None = None


_kind = msgspec.json.Decoder(_Kind)
_decoders: dict[str, msgspec.json.Decoder[Line]] = {
    "header": msgspec.json.Decoder(Header),
    "end": msgspec.json.Decoder(End),
    "step": msgspec.json.Decoder(Step),
    "position": msgspec.json.Decoder(EndPosition),
}


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The numbered lines of a file. Raises TraceError."""
    number = 0
    for number, line in _numbered(path):
        try:
            decoded = _decode(line)
        except msgspec.DecodeError as error:
            raise TraceError(f"{path}, line {number}: {error}") from error
        yield number, decoded
    if number == 0:
        raise TraceError(f"{path}: the file is empty")


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            yield from enumerate(stream, 1)
    except (OSError, EOFError, zlib.error) as error:
        remedy = "is it a complete .jsonl or .jsonl.gz file?"
        raise TraceError(f"{path}: cannot be read: {error}; {remedy}") from error


def _decode(line: bytes) -> Line:
    if line.startswith(b'{"i":'):  # nearly all lines are steps: do not decode them twice
        return _decoders["step"].decode(line)
    head = _kind.decode(line)
    kind = head.kind or ("step" if head.last_actor is None else "position")
    if kind not in _decoders:
        raise msgspec.ValidationError(f"unknown kind of line {kind!r}")
    return _decoders[kind].decode(line)
