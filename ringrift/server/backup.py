"""Incremental backups of all streams in a directory or an object store, and back.

    objects/<digest>      parts of streams; one that an earlier backup stored is not stored again
    backups/<time>.json   a backup: configuration, state and parts of each stream; written last, so
                          that an unfinished one does not exist, and the next one continues it

A backup consists of the server's own snapshots, which keep sequences, times, headers and
deduplicated ids. A snapshot is a list of messages, which is cut into parts. Of a stream that the
newest backup has, only what is new is read (`increment.py`). The facts are saved first, so that
the backup of a working cluster contains everything that its facts name. It may contain games
without the facts that planned them; where that matters, run `ringrift pause` first.

Directories of earlier versions, with `backup.json`, can still be restored."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log.errors import BlobCorrupt, BlobMissing, ServerError
from ringrift.log.object_store import ObjectStore
from ringrift.server.grow import CHUNK_BYTES, Report, Snapshot, Source, Stream, Take
from ringrift.server.increment import Changed, increment, left_since
from ringrift.server.parts import INLINE_BYTES_MAX, Cutter, Part, Piece, records

OLD_MANIFEST = "backup.json"
_NAME = re.compile(r"backups/(\d{8}T\d{6}\.\d{6}Z)\.json")


class Saved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stream in a backup."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    parts: tuple[Part, ...]


class Backup(Struct, frozen=True, kw_only=True):
    """A finished backup: its name, the bytes of all its objects, and of those that were new."""

    name: str
    size_bytes: int
    new_bytes: int


Streams = dict[str, Saved]


async def save(source: Source, place: str, *, report: Report = lambda text: None) -> Backup:
    """Back up all streams, storing what no earlier backup at the place has. Raises StoreError,
    ServerError, ServerRefused, LogUnavailable."""
    store = ObjectStore(place)
    began = datetime.now(UTC)
    earlier = await names(store)
    before = await read(store, earlier[-1]) if earlier else {}
    known = {
        name.removeprefix("objects/"): size for name, size in (await store.names("objects")).items()
    }
    had, streams = set(known), Streams()
    for name, take in source.items():
        streams[name] = await _taken(store, take, before.get(name), known)
        new = sum(part.size_bytes for part in streams[name].parts if part.digest not in had)
        report(f"{name}: {streams[name].state['messages']} messages, {new / 1e6:.1f} MB new")
    used = {
        part.digest: part.size_bytes
        for saved in streams.values()
        for part in saved.parts
        if part.digest
    }
    there = await store.names("objects")
    if gone := [digest for digest in used if f"objects/{digest}" not in there]:
        raise ServerError(f"{place}: {len(gone)} objects were deleted meanwhile; run it again")
    title = f"{began:%Y%m%dT%H%M%S.%fZ}"
    await store.put(f"backups/{title}.json", msgspec.json.encode(streams))
    new_bytes = sum(size for digest, size in used.items() if digest not in had)
    return Backup(name=title, size_bytes=sum(used.values()), new_bytes=new_bytes)


async def _taken(
    store: ObjectStore, take: Take, saved: Saved | None, known: dict[str, int]
) -> Saved:
    """Store what is new of a stream."""
    if isinstance(take, Stream) and saved is not None and _is_stored(saved, known):
        info = await take.info()
        if _same(saved, info["config"], info["state"]):
            return saved
        with contextlib.suppress(Changed):
            left = await left_since(take, saved.config, saved.parts, saved.state)
            begun = await take.begun()
            async with contextlib.aclosing(begun.chunks):
                fetch = partial(_content, store)
                new = increment(take, saved.parts, saved.state, begun, left, fetch)
                return await _saved(store, begun, new, known)
    snapshot = await take()
    return await _saved(store, snapshot, _pieces(snapshot), known)


def _is_stored(saved: Saved, known: Mapping[str, int]) -> bool:
    return all(known.get(part.digest) == part.size_bytes for part in saved.parts if part.digest)


def _same(saved: Saved, config: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether a stream has not changed since it was saved."""
    fields = ("messages", "bytes", "first_seq", "first_ts", "last_seq", "last_ts")
    same = all(saved.state[one] == state[one] for one in fields)
    return same and _lasting(saved.config) == _lasting(config)


def _lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what the server says of itself."""
    words = dict(config.get("metadata") or {})
    kept = {name: word for name, word in words.items() if name not in ("_nats.level", "_nats.ver")}
    return {**config, "metadata": kept}


async def _pieces(snapshot: Snapshot) -> AsyncIterator[Part | Piece]:
    """Cut a whole snapshot."""
    from ringrift.server import s2  # compiled

    cutter = Cutter()
    async for found in records(s2.decoded(snapshot.chunks)):
        for record in found:
            for piece in cutter.add(record):
                yield piece
    for piece in cutter.end():
        yield piece


async def _saved(
    store: ObjectStore,
    snapshot: Snapshot,
    found: AsyncIterator[Part | Piece],
    known: dict[str, int],
) -> Saved:
    """Store the pieces that are not known."""
    parts = [
        each if isinstance(each, Part) else await _put(store, each, known) async for each in found
    ]
    return Saved(config=snapshot.config, state=snapshot.state, parts=tuple(parts))


async def _put(store: ObjectStore, piece: Piece, known: dict[str, int]) -> Part:
    data, seqs = piece
    first, last = (seqs[0], seqs[-1]) if seqs else (0, 0)
    if len(data) <= INLINE_BYTES_MAX:
        return Part(inline=data, first_seq=first, last_seq=last, messages=len(seqs))
    digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
    if known.get(digest) != len(data):
        await store.put(f"objects/{digest}", data)
        known[digest] = len(data)
    size = len(data)
    return Part(digest=digest, size_bytes=size, first_seq=first, last_seq=last, messages=len(seqs))


async def _content(store: ObjectStore, part: Part) -> bytes:
    return part.inline or await store.get_checked(f"objects/{part.digest}", part.digest)


async def names(store: ObjectStore) -> list[str]:
    """The finished backups at a place, the oldest first. Raises StoreError."""
    found = (_NAME.fullmatch(name) for name in await store.names("backups"))
    return sorted(match[1] for match in found if match)


async def read(store: ObjectStore, name: str) -> Streams:
    """Read the manifest of a backup. Raises ServerError for one that is damaged, BlobMissing."""
    try:
        return msgspec.json.decode(await store.get(f"backups/{name}.json"), type=Streams)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"{store.place}/backups/{name}.json is damaged: {error}") from error


async def damaged(store: ObjectStore) -> dict[str, list[str]]:
    """Read every object of every backup, and return what is wrong with some, by backup: an object
    that is damaged stays so, because later backups store again only what is missing. Raises
    StoreError, ServerError."""
    wrong, found = dict[str, str](), dict[str, list[str]]()
    backups = {name: _digests(await read(store, name)) for name in await names(store)}
    for digest in sorted(set().union(*backups.values())):
        try:
            await store.get_checked(f"objects/{digest}", digest)
        except (BlobMissing, BlobCorrupt) as error:
            wrong[digest] = str(error)
    for name, digests in backups.items():
        if bad := [wrong[digest] for digest in sorted(digests & wrong.keys())]:
            found[name] = bad
    return found


async def prune(place: str, keep: int) -> None:
    """Delete all but the newest backups, and objects that only the deleted ones had. Raises
    StoreError."""
    store = ObjectStore(place, create=False)
    every = await names(store)
    kept, old = every[-keep:], every[:-keep]
    needed = {digest for name in kept for digest in _digests(await read(store, name))}
    for name in old:
        digests = _digests(await read(store, name))
        await store.delete(f"backups/{name}.json")
        for digest in sorted(digests - needed):
            await store.delete(f"objects/{digest}")


def _digests(streams: Streams) -> set[str]:
    return {part.digest for saved in streams.values() for part in saved.parts if part.digest}


async def load(place: str, name: str | None = None) -> Source:
    """The streams of a backup, by default of the newest. Every object is read and compared with its
    digest before anything is restored. Raises ServerError if there is none, or one is damaged."""
    if (Path(place) / OLD_MANIFEST).exists():
        return _load_old(Path(place))
    store = ObjectStore(place, create=False)
    every = await names(store)
    if not every:
        remedy = f"`ringrift cluster backup --to {place}` makes one"
        raise ServerError(f"{place} holds no finished backup: {remedy}")
    if name is not None and name not in every:
        raise ServerError(f"{place} has no backup {name}; it has {', '.join(every)}")
    streams = await read(store, name or every[-1])
    try:
        for digest in sorted(_digests(streams)):
            await store.get_checked(f"objects/{digest}", digest)
    except BlobMissing as error:
        raise ServerError(f"{error}: restore another backup") from error
    return {stream: partial(_snapshot, store, saved) for stream, saved in streams.items()}


async def _snapshot(store: ObjectStore, saved: Saved) -> Snapshot:
    from ringrift.server import s2  # compiled

    async def parts() -> AsyncIterator[bytes]:
        for part in saved.parts:
            yield await _content(store, part)

    async def chunks() -> Any:
        yield s2.IDENTIFIER
        waiting = b""
        async for data in parts():
            waiting += data
            while len(waiting) >= s2.FRAME_BYTES_MAX:
                frame = s2.framed(waiting[: s2.FRAME_BYTES_MAX])
                waiting = waiting[s2.FRAME_BYTES_MAX :]
                for at in range(0, len(frame), CHUNK_BYTES):
                    yield frame[at : at + CHUNK_BYTES]
        if waiting:
            frame = s2.framed(waiting)
            for at in range(0, len(frame), CHUNK_BYTES):
                yield frame[at : at + CHUNK_BYTES]

    return Snapshot(saved.config, saved.state, chunks())


class _OldSaved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    sha256: str
    size_bytes: int


def _load_old(directory: Path) -> Source:
    """The streams of a directory that an earlier version wrote: a snapshot file for each."""
    file, source = directory / OLD_MANIFEST, {}
    try:
        streams = msgspec.json.decode(file.read_bytes(), type=dict[str, _OldSaved])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"{file} is not the manifest of a backup: {error}") from error
    for name, saved in streams.items():
        path = directory / f"{name}.snapshot"
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256")
        except FileNotFoundError as error:
            raise ServerError(f"{path} is missing: take another backup") from error
        if digest.hexdigest() != saved.sha256:
            raise ServerError(f"{path} is damaged: take another backup")
        source[name] = partial(_old_snapshot, path, saved)
    return source


async def _old_snapshot(path: Path, saved: _OldSaved) -> Snapshot:
    async def chunks() -> Any:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    return Snapshot(saved.config, saved.state, chunks())
