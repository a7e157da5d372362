"""All streams in a directory, and back: what is left where a cluster is not.

    <directory>/<stream>.json       configuration, state and the digest of its snapshot; written last
    <directory>/<stream>.snapshot   everything stored, as the server packs it

It is the server's own snapshot: sequences, times, headers and the ids it knows again come along. Facts are saved before what they
tell of, so that a backup of a cluster at work names nothing that it lacks; what was written meanwhile may be in it or not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from ringrift.streams.errors import ServerError
from ringrift.streams.grow import CHUNK_BYTES, Report, Snapshot, Source


class Saved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `<stream>.json` says."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    sha256: str
    size_bytes: int


async def save(source: Source, directory: Path, *, report: Report = lambda text: None) -> None:
    """Write all streams into a directory that is empty or new. Raises ServerError if it is not, ServerRefused, LogUnavailable."""
    _make_empty(directory)
    for name in await source.names():
        snapshot = await source.snapshot(name)
        digest, size = hashlib.sha256(), 0
        with (directory / f"{name}.snapshot").open("xb") as file:
            async for chunk in snapshot.chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            _sync(file)
        saved = Saved(config=snapshot.config, state=snapshot.state, sha256=digest.hexdigest(), size_bytes=size)
        with (directory / f"{name}.json").open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(saved)))
            _sync(file)
        report(f"{name}: {snapshot.state['messages']} messages, {size / 1e6:.1f} MB")


def _make_empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ServerError(f"{directory} is not empty: a backup takes a directory of its own")


class Backup:
    """A directory that `save` has written, as a `Source`."""

    def __init__(self, directory: Path) -> None:
        """Reads all of it once. Raises ServerError if it is no backup, or not whole."""
        self._directory = directory
        self._saved = {file.stem: _read(file) for file in sorted(directory.glob("*.json"))}
        if not self._saved:
            raise ServerError(f"{directory} holds no backup: `ringrift cluster backup --to {directory}` makes one")
        unfinished = sorted({file.stem for file in directory.glob("*.snapshot")} - set(self._saved))
        if unfinished:
            raise ServerError(f"the backup in {directory} ends with {', '.join(unfinished)}: it was broken off; take another")
        for name, saved in self._saved.items():
            self._check(name, saved)

    def _check(self, name: str, saved: Saved) -> None:
        digest, size = hashlib.sha256(), 0
        try:
            with self._file(name).open("rb") as file:
                for chunk in _chunks(file):
                    digest.update(chunk)
                    size += len(chunk)
        except FileNotFoundError as error:
            raise ServerError(f"{self._file(name)} is missing: take another backup") from error
        if (digest.hexdigest(), size) != (saved.sha256, saved.size_bytes):
            raise ServerError(f"{self._file(name)} is not what was written ({size} bytes of {saved.size_bytes}): take another")

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.snapshot"

    async def names(self) -> Sequence[str]:
        """Of all streams."""
        return list(self._saved)

    async def snapshot(self, stream: str) -> Snapshot:
        """See `Source.snapshot`."""

        async def chunks() -> AsyncIterator[bytes]:
            with self._file(stream).open("rb") as file:
                for chunk in _chunks(file):
                    yield chunk

        saved = self._saved[stream]
        return Snapshot(saved.config, saved.state, chunks())


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _read(file: Path) -> Saved:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Saved)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"{file} is no part of a backup: {error}") from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
