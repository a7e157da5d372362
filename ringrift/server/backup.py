"""Incremental backups of all streams in a directory or an object store, and back.

    objects/<digest>      parts of streams; one that an earlier backup stored is not stored again
    backups/<time>.json   a backup: configuration, state and parts of each stream; written last, so
                          that an unfinished one does not exist, and the next one continues it

A backup consists of the server's own snapshots, which keep sequences, times, headers and
deduplicated ids. A snapshot is a list of messages, which is cut into parts. A stream without
changes is not even read. The facts are saved first, so that the backup of a working cluster
contains everything that its facts name. It may contain games without the facts that planned them;
where that matters, run `ringrift pause` first.

Directories of earlier versions, with `backup.json`, can still be restored."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log.errors import BlobMissing, ServerError
from ringrift.log.object_store import ObjectStore
from ringrift.server.grow import CHUNK_BYTES, Report, Snapshot, Source

OLD_MANIFEST = "backup.json"
MAGIC = b"NATSARC1"
INLINE_BYTES_MAX = 2048
"""parts of at most this size are in the manifest"""
PART_BYTES_MIN, PART_BYTES_MAX = 256 * 1024, 8 * 1024 * 1024
CUT_EVERY = 64
"""a part ends with a message whose sequence this divides"""
_NAME = re.compile(r"backups/(\d{8}T\d{6}\.\d{6}Z)\.json")


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a stream's snapshot: its bytes, or the digest of an object."""

    inline: bytes = b""
    digest: str = ""
    size_bytes: int = 0


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
        snapshot = await take()
        saved = before.get(name)
        if saved is not None and _same(saved, snapshot):
            await snapshot.chunks.aclose()
            streams[name] = saved
        else:
            parts = [part async for part in _stored(store, snapshot, known)]
            streams[name] = Saved(config=snapshot.config, state=snapshot.state, parts=tuple(parts))
        new = sum(part.size_bytes for part in streams[name].parts if part.digest not in had)
        report(f"{name}: {snapshot.state['messages']} messages, {new / 1e6:.1f} MB new")
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


def _same(saved: Saved, snapshot: Snapshot) -> bool:
    """Whether a stream has not changed since it was saved."""
    ignored = ("consumer_count",)
    states = [
        {name: value for name, value in state.items() if name not in ignored}
        for state in (saved.state, snapshot.state)
    ]
    return states[0] == states[1] and saved.config == snapshot.config


async def _stored(
    store: ObjectStore, snapshot: Snapshot, known: dict[str, int]
) -> AsyncIterator[Part]:
    """Store the parts of a snapshot that are not known, and yield all."""
    from ringrift.server import s2  # compiled

    async for data in _split(s2.decoded(snapshot.chunks)):
        if len(data) <= INLINE_BYTES_MAX:
            yield Part(inline=data)
            continue
        digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
        if known.get(digest) != len(data):
            await store.put(f"objects/{digest}", data)
            known[digest] = len(data)
        yield Part(digest=digest, size_bytes=len(data))


async def _split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a snapshot into parts at places that depend on its content, so that equal messages are in
    equal parts whatever is added, or deleted elsewhere."""
    waiting, at, cut, magic = bytearray(), 0, 0, len(MAGIC)
    async for chunk in chunks:
        waiting += chunk
        if magic and len(waiting) >= magic:
            if not waiting.startswith(MAGIC):
                raise ServerError(
                    "the server's snapshots have another format: use nats-server 2.15"
                )
            at, magic = magic, 0
        while (found := _record(waiting, at)) is not None:
            end, seq = found
            small = end - cut < PART_BYTES_MIN or seq % CUT_EVERY
            at = end
            if seq and small and end - cut < PART_BYTES_MAX:
                continue
            yield bytes(waiting[cut:end])
            cut = end
        del waiting[:cut]
        at, cut = at - cut, 0
    if waiting:
        yield bytes(waiting)


def _record(data: bytearray, at: int) -> tuple[int, int] | None:
    """The end and the sequence of the record at a place of a snapshot, 0 for one that is no
    message; None if it is not complete. It consists of five variable-length numbers (size of the
    name, time, sequence, sizes of headers and body), name, headers and body."""
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


async def prune(place: str, keep: int) -> None:
    """Delete all but the newest backups, and objects that only the deleted ones had. Raises
    StoreError."""
    store = ObjectStore(place)
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
    store = ObjectStore(place)
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
            yield part.inline or await store.get_checked(f"objects/{part.digest}", part.digest)

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
