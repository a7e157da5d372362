"""Snapshots of folds: the state of a decider as bytes, its digest, and the newest one to start
from."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, UndecodableEvent
from ringrift.events.unknown import PROGRAM
from ringrift.log import read, snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.diagnostics import logger
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.snapshots import Mark, Snapshot, SnapshotName
from ringrift.log.topology import EVENTS
from ringrift.runtime.authorship import runners

SNAPSHOT_EVENTS = 5_000
"""events between two snapshots: folding fewer takes well under a second, and at the design's ten
million events a year a snapshot every few hours costs nothing"""


class Folded(Struct, frozen=True):
    """A decider's state after `EVENTS` up to `seq` and its own decisions on them, with the settings
    and pauses in force; `newest` is the last event that was folded."""

    seq: int
    state: Any
    newest: Mark | EventMeta | None = None
    in_force: InForce = InForce()

    @property
    def fold_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the state: equal folds have equal hashes."""
        return fold_hash(self.state)


class _Stored(Struct, frozen=True):
    """The content of a snapshot."""

    state: Raw
    in_force: InForce


def fold_hash(state: Any) -> str:
    """First 16 hex digits of the SHA-256 of a state."""
    return hashlib.sha256(msgspec.json.encode(state, order="sorted")).hexdigest()[:16]


@functools.cache
def code_version() -> str:
    """First 16 hex digits of the SHA-256 over what `ringrift.deciders` and `ringrift.events` do.

    A digest rather than a number in the code, because a number can be forgotten; over both packages
    rather than one decider's imports, because a needless rebuild costs a minute and a fold by other
    code makes every later decision wrong."""
    digest = hashlib.sha256()
    for package in ("ringrift.deciders", "ringrift.events"):
        for name, source in _sources(package, resources.files(package)):
            digest.update(f"{name}\n{meaning(source)}\n".encode())
    return digest.hexdigest()[:16]


def meaning(source: str) -> str:
    """The syntax tree of a module as text, without docstrings, comments and formatting."""
    return ast.dump(_WithoutProse().visit(ast.parse(source)))


class _WithoutProse(ast.NodeTransformer):
    """Removes statements that are strings: docstrings, and those of fields and constants."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_prose = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_prose else node


def _sources(name: str, folder: Traversable) -> Iterator[tuple[str, str]]:
    """Name and text of every module in a package and its subpackages."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _sources(f"{name}/{item.name}", item)
        elif item.name.endswith(".py"):
            yield f"{name}/{item.name}", item.read_text(encoding="utf-8")


def program() -> str:
    """The program with the digest of its deciders, as decisions and snapshots name it."""
    return f"{PROGRAM}+{code_version()}"


def is_another(written_by: str) -> bool:
    """Whether a decision was taken by a program with other deciders; one that names no digest is
    taken for one of this version's."""
    return written_by not in ("", PROGRAM, program())


async def save(blobs: Blobs, decider: Decider[Any], folded: Folded, author: str) -> None:
    """Write a snapshot of a fold by `author`, `<process>@<node>`, and prune old ones. Raises
    StreamError."""
    # keys keep their order, which is the order in which configs are decided on
    state = Raw(msgspec.json.encode(folded.state))
    mark = folded.newest
    snapshot = Snapshot(
        decider=decider.name,
        seq=folded.seq,
        code=code_version(),
        author=author,
        program=program(),
        fold_hash=folded.fold_hash,
        state=Raw(msgspec.json.encode(_Stored(state, folded.in_force))),
        mark=Mark(mark.seq, mark.id, mark.time) if mark else None,
    )
    name = await snapshots.write(blobs, snapshot)
    logger().info("snapshot", name=str(name), size_bytes=len(bytes(state)))


async def newest(blobs: Blobs, log: Log, decider: Decider[Any]) -> Folded:
    """The newest usable snapshot of a decider, or its initial state before the first event.

    A snapshot that is unreadable, or was written by other code or from another log, is skipped with
    a warning."""
    for name in await snapshots.stored(blobs, decider.name):
        if name.code != code_version():
            logger().warning("snapshot of other code skipped", name=str(name), code=code_version())
            continue
        try:
            return await _restored(blobs, log, decider, name)
        except (BlobMissing, BlobCorrupt) as error:
            logger().warning("snapshot skipped", name=str(name), reason=str(error))
    return Folded(0, decider.initial())


async def read_snapshot(blobs: Blobs, name: SnapshotName) -> Snapshot:
    """Return a snapshot. Raises BlobMissing, BlobCorrupt if it is damaged, or if its author is no
    process that runs the decider; the author of a snapshot of other code is not checked."""
    snapshot = await snapshots.read(blobs, name)
    author = snapshot.author.partition("@")[0]
    if name.code == code_version() and author not in runners(snapshot.decider):
        text = f"{name}: its author {snapshot.author!r} does not run {snapshot.decider}"
        raise BlobCorrupt(text)
    return snapshot


async def _restored(blobs: Blobs, log: Log, decider: Decider[Any], name: SnapshotName) -> Folded:
    """The fold in a snapshot. Raises BlobMissing, BlobCorrupt."""
    snapshot = await read_snapshot(blobs, name)
    try:
        stored = msgspec.json.decode(snapshot.state, type=_Stored)
        state = msgspec.json.decode(stored.state, type=decider.state)
    except msgspec.DecodeError as error:
        raise BlobCorrupt(f"it holds no state of {decider.name}: {error}") from error
    if fold_hash(state) != snapshot.fold_hash:
        raise BlobCorrupt(f"its state has the digest {fold_hash(state)}, not {snapshot.fold_hash}")
    if not await _is_in(log, snapshot.mark) or snapshot.seq > await log.tail(EVENTS):
        raise BlobCorrupt(
            f"it was written from another log: this one has no such event as {snapshot.mark}"
        )
    return Folded(snapshot.seq, state, snapshot.mark, stored.in_force)


async def _is_in(log: Log, mark: Mark | None) -> bool:
    if mark is None:
        return True
    try:
        found = await read.fact_at(log, f"{EVENTS}/{mark.seq}")
    except UndecodableEvent:
        return False
    return found is not None and Mark(found.meta.seq, found.meta.id, found.meta.time) == mark
