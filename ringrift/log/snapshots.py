"""Snapshots of folds in the object bucket `snapshots`: where a fold may begin instead of at the
beginning of the log.

An object's name says what it is: `fold.<decider>.<sequence>.<code version>.<checksum>`, the
checksum being the first 16 hex digits of the SHA-256 of its bytes. A snapshot is never a source of
truth: one that cannot be used is left aside."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt
from ringrift.log.topology import SNAPSHOT_BUCKET

SNAPSHOTS_KEPT = 3
"""of one decider: the newest, one to fall back on when it is damaged, and one while the third is
written"""
_NAME = re.compile(r"fold\.([a-z0-9_-]+)\.(\d{12})\.([0-9a-f]{16})\.([0-9a-f]{16})")


class SnapshotName(Struct, frozen=True, order=True):
    """What an object's name says: `seq` of `EVENTS` up to which `decider` has folded, by the code
    of version `code`."""

    seq: int
    decider: str
    code: str
    checksum: str

    def __str__(self) -> str:
        return f"fold.{self.decider}.{self.seq:012d}.{self.code}.{self.checksum}"


class Mark(Struct, frozen=True):
    """The newest event that went into a fold: a log in which it is not there is another log."""

    seq: int
    id: str
    time: datetime


class Snapshot(Struct, frozen=True, kw_only=True):
    """A fold's state in JSON, after `EVENTS` up to `seq`; `fold_hash` is the digest of the state
    itself."""

    decider: str
    seq: int
    code: str
    fold_hash: str
    mark: Mark | None
    state: Raw


async def write(blobs: Blobs, snapshot: Snapshot) -> SnapshotName:
    """Store a snapshot and delete those of its decider that are too many. Raises StreamError."""
    body = msgspec.json.encode(snapshot)
    name = SnapshotName(snapshot.seq, snapshot.decider, snapshot.code, _checksum(body))
    await blobs.put_named(SNAPSHOT_BUCKET, str(name), body)
    for old in (await stored(blobs, snapshot.decider))[SNAPSHOTS_KEPT:]:
        await blobs.delete(SNAPSHOT_BUCKET, str(old))
    return name


async def stored(blobs: Blobs, decider: str) -> list[SnapshotName]:
    """Snapshots of a decider, newest first. Raises StreamError."""
    found = [parse(name) for name in await blobs.names(SNAPSHOT_BUCKET)]
    return sorted(
        (name for name in found if name is not None and name.decider == decider), reverse=True
    )


def parse(name: str) -> SnapshotName | None:
    """What an object's name says; None if it is no fold's snapshot."""
    match = _NAME.fullmatch(name)
    return SnapshotName(int(match[2]), match[1], match[3], match[4]) if match else None


async def read(blobs: Blobs, name: SnapshotName) -> Snapshot:
    """The snapshot of this name. Raises BlobMissing, BlobCorrupt if its bytes are not what the name
    says."""
    body = await blobs.get_named(SNAPSHOT_BUCKET, str(name))
    if _checksum(body) != name.checksum:
        raise BlobCorrupt(f"{name}: its bytes have the checksum {_checksum(body)}")
    try:
        snapshot = msgspec.json.decode(body, type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BlobCorrupt(f"{name}: {error}") from error
    if (snapshot.decider, snapshot.seq, snapshot.code) != (name.decider, name.seq, name.code):
        raise BlobCorrupt(
            f"{name}: it holds {snapshot.decider} at {snapshot.seq} by code {snapshot.code}"
        )
    return snapshot


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
