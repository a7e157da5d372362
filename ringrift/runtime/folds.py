"""The state of a decider as bytes: its digest, and its snapshots, from which a runner starts
instead of from the first event."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
import structlog
from msgspec import Raw, Struct

from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, UndecodableEvent, decode
from ringrift.log import snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.snapshots import Mark, Snapshot, SnapshotName
from ringrift.log.topology import EVENTS

SNAPSHOT_EVENTS = 5_000
"""events between two snapshots: fewer are folded in well under a second, and a snapshot every few
hours costs nothing at the design's ten million events a year"""

_log = structlog.get_logger("ringrift.consumers")


class Folded(Struct, frozen=True):
    """A decider's state after `EVENTS` up to `seq` and its own decisions on them; `newest` is the
    last event that went in."""

    seq: int
    state: Any
    newest: Mark | EventMeta | None = None

    @property
    def fold_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the state: equal folds, equal hashes."""
        return fold_hash(self.state)


def fold_hash(state: Any) -> str:
    """First 16 hex digits of the SHA-256 of a state."""
    return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()[:16]


@functools.cache
def code_version() -> str:
    """First 16 hex digits of the SHA-256 over the sources of `ringrift.deciders` and
    `ringrift.events`.

    A digest rather than a number in the code, because nobody can forget to raise it; over all of
    both rather than one decider's imports, because a needless rebuild costs a minute and a fold by
    the wrong code costs every decision after it."""
    digest = hashlib.sha256()
    for package in ("ringrift.deciders", "ringrift.events"):
        for name, source in _sources(package, resources.files(package)):
            digest.update(f"{name}\n".encode() + source)
    return digest.hexdigest()[:16]


def _sources(name: str, folder: Traversable) -> Iterator[tuple[str, bytes]]:
    """Name and text of every source in a package and in those within it."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _sources(f"{name}/{item.name}", item)
        elif item.name.endswith(".py"):
            yield f"{name}/{item.name}", item.read_bytes()


async def save(blobs: Blobs, decider: Decider[Any], folded: Folded) -> None:
    """Write a snapshot of a fold and prune old ones. Raises StreamError."""
    # in the order of its keys, not sorted: configs are decided on in the order in which they came
    state, mark = Raw(msgspec.json.encode(folded.state)), folded.newest
    snapshot = Snapshot(
        decider=decider.name,
        seq=folded.seq,
        code=code_version(),
        fold_hash=folded.fold_hash,
        state=state,
        mark=Mark(mark.seq, mark.id, mark.time) if mark else None,
    )
    name = await snapshots.write(blobs, snapshot)
    _log.info("snapshot", name=str(name), size_bytes=len(bytes(state)))


async def newest(blobs: Blobs, log: Log, decider: Decider[Any]) -> Folded:
    """The newest usable snapshot of a decider, or its initial state before the first event.

    One that is unreadable, of other code or of another log is left aside with a warning."""
    for name in await snapshots.stored(blobs, decider.name):
        if name.code != code_version():
            _log.warning("snapshot of other code left aside", name=str(name), code=code_version())
            continue
        try:
            return await _restored(blobs, log, decider, name)
        except (BlobMissing, BlobCorrupt) as error:
            _log.warning("snapshot left aside", name=str(name), reason=str(error))
    return Folded(0, decider.initial())


async def _restored(blobs: Blobs, log: Log, decider: Decider[Any], name: SnapshotName) -> Folded:
    """The fold in a snapshot. Raises BlobMissing, BlobCorrupt."""
    snapshot = await snapshots.read(blobs, name)
    try:
        state = msgspec.json.decode(snapshot.state, type=decider.state)
    except msgspec.DecodeError as error:
        raise BlobCorrupt(f"it holds no state of {decider.name}: {error}") from error
    if fold_hash(state) != snapshot.fold_hash:
        raise BlobCorrupt(f"its state has the digest {fold_hash(state)}, not {snapshot.fold_hash}")
    if not await _is_in(log, snapshot.mark) or snapshot.seq > await log.tail(EVENTS):
        raise BlobCorrupt(
            f"it was made from another log: this one has no such event as {snapshot.mark}"
        )
    return Folded(snapshot.seq, state, snapshot.mark)


async def _is_in(log: Log, mark: Mark | None) -> bool:
    if mark is None:
        return True
    entry = await log.get(EVENTS, mark.seq)
    if entry is None:
        return False
    try:
        meta = decode(entry.body, stream=EVENTS, seq=entry.seq).meta
        return Mark(meta.seq, meta.id, meta.time) == mark
    except UndecodableEvent:
        return False
