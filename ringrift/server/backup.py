"""Backups: all streams in a directory, and back.

    <directory>/<stream>.snapshot   the content of a stream, as the server packs it
    <directory>/backup.json         configuration, state and digest of each stream; written last, so
                                    that an unfinished backup is recognised

A backup consists of the server's own snapshots, which keep sequences, times, headers and
deduplicated ids. The facts are saved first, so that the backup of a working cluster contains
everything that its facts name. It may contain games without the facts that planned them; where that
matters, run `ringrift pause` first."""

import hashlib
import os
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from ringrift.log.errors import ServerError
from ringrift.server.grow import CHUNK_BYTES, Report, Snapshot, Source

MANIFEST = "backup.json"


class Saved(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest's entry of a stream."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    sha256: str
    size_bytes: int


async def save(source: Source, directory: Path, *, report: Report = lambda text: None) -> None:
    """Write all streams into an empty or new directory. Raises ServerError for another one,
    ServerRefused, LogUnavailable."""
    _make_empty(directory)
    streams: dict[str, Saved] = {}
    for name, take in source.items():
        snapshot = await take()
        digest, size = hashlib.sha256(), 0
        with (directory / f"{name}.snapshot").open("xb") as file:
            async for chunk in snapshot.chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            _sync(file)
        streams[name] = Saved(
            config=snapshot.config, state=snapshot.state, sha256=digest.hexdigest(), size_bytes=size
        )
        report(f"{name}: {snapshot.state['messages']} messages, {size / 1e6:.1f} MB")
    with (directory / MANIFEST).open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(streams)))
        _sync(file)


def _make_empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ServerError(f"{directory} is not empty: a backup needs a directory of its own")


def load(directory: Path) -> Source:
    """Read a directory that `save` has written, all of it once. Raises ServerError if it is no
    backup, or damaged."""
    source = {}
    for name, saved in _read(directory).items():
        path = directory / f"{name}.snapshot"
        _check(path, saved)
        source[name] = partial(_snapshot, path, saved)
    return source


def _check(path: Path, saved: Saved) -> None:
    try:
        with path.open("rb") as file:
            digest, size = hashlib.file_digest(file, "sha256"), file.tell()
    except FileNotFoundError as error:
        raise ServerError(f"{path} is missing: take another backup") from error
    if digest.hexdigest() != saved.sha256:
        sizes = f"({size} bytes of {saved.size_bytes})"
        raise ServerError(f"{path} is damaged {sizes}: take another backup")


async def _snapshot(path: Path, saved: Saved) -> Snapshot:
    async def chunks() -> AsyncGenerator[bytes, None]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    return Snapshot(saved.config, saved.state, chunks())


def _read(directory: Path) -> dict[str, Saved]:
    file = directory / MANIFEST
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Saved])
    except FileNotFoundError as error:
        if any(directory.glob("*.snapshot")):
            why = "the backup is unfinished; take another"
            raise ServerError(f"{file} is missing: {why}") from error
        remedy = f"`ringrift cluster backup --to {directory}` makes one"
        raise ServerError(f"{directory} holds no backup: {remedy}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"{file} is not the manifest of a backup: {error}") from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
