"""Snapshots of folds in the object bucket `folds`, from which a fold may start instead of from
the first event.

An object is named `fold.<decider>.<sequence>.<code version>.<checksum>`, where the checksum is the
first 16 hex digits of the SHA-256 of its bytes. A snapshot is never a source of truth: one that
cannot be used is skipped."""

import hashlib
import re
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt
from ringrift.log.topology import FOLD_BUCKET

SNAPSHOTS_KEPT = 3
"""of one decider: the newest, one to fall back on if that is damaged, and one more while a third is
written"""
_NAME = re.compile(r"fold\.([a-z0-9_-]+)\.(\d{12})\.([0-9a-f]{16})\.([0-9a-f]{16})")


class SnapshotName(Struct, frozen=True, order=True):
    """The parts of an object's name: `decider` has folded `EVENTS` up to `seq` with the code of
    version `code`."""

    seq: int
    decider: str
    code: str
    checksum: str

    def __str__(self) -> str:
        return f"fold.{self.decider}.{self.seq:012d}.{self.code}.{self.checksum}"


class Mark(Struct, frozen=True):
    """The newest event of a fold; a log that does not contain it is another log."""

    seq: int
    id: str
    time: datetime


class Snapshot(Struct, frozen=True, kw_only=True):
    """The state of a fold in JSON, after `EVENTS` up to `seq`; `fold_hash` is the digest of the
    state, `author` the `<process>@<node>` that wrote it."""

    decider: str
    seq: int
    code: str
    author: str = ""
    program: str = ""
    fold_hash: str
    mark: Mark | None
    state: Raw


async def write(blobs: Blobs, snapshot: Snapshot) -> SnapshotName:
    """Store a snapshot and delete the oldest ones of its decider. Raises StreamError."""
    body = msgspec.json.encode(snapshot)
    name = SnapshotName(snapshot.seq, snapshot.decider, snapshot.code, _checksum(body))
    await blobs.put_named(FOLD_BUCKET, str(name), body)
    for old in (await stored(blobs, snapshot.decider))[SNAPSHOTS_KEPT:]:
        await blobs.delete(FOLD_BUCKET, str(old))
    return name


async def stored(blobs: Blobs, decider: str) -> list[SnapshotName]:
    """Return the snapshots of a decider, newest first. Raises StreamError."""
    found = [parse(name) for name in await blobs.names(FOLD_BUCKET)]
    own = [name for name in found if name is not None and name.decider == decider]
    return sorted(own, reverse=True)


def parse(name: str) -> SnapshotName | None:
    """Parse an object's name; None if it is not that of a snapshot."""
    match = _NAME.fullmatch(name)
    return SnapshotName(int(match[2]), match[1], match[3], match[4]) if match else None


async def read(blobs: Blobs, name: SnapshotName) -> Snapshot:
    """Return the snapshot with this name. Raises BlobMissing, BlobCorrupt if its content does not
    match the name."""
    body = await blobs.get_named(FOLD_BUCKET, str(name))
    if _checksum(body) != name.checksum:
        raise BlobCorrupt(f"{name}: its bytes have the checksum {_checksum(body)}")
    try:
        snapshot = msgspec.json.decode(body, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BlobCorrupt(f"{name}: {error}") from error
    if (snapshot.decider, snapshot.seq, snapshot.code) != (name.decider, name.seq, name.code):
        content = f"{snapshot.decider} at {snapshot.seq} by code {snapshot.code}"
        raise BlobCorrupt(f"{name}: it holds {content}")
    return snapshot


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
