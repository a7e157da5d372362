"""Where networks come from: the local cache (if `RINGRIFT_CACHE` is set, as `ringrift node run`
does), their bucket, the archive, and an operator's directory, in this order. What does not have the
digest is refused, wherever it comes from."""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ringrift.events.facts import Attempt, ModelArchived, Source
from ringrift.log import read
from ringrift.log.archive import Cache
from ringrift.log.errors import BlobCorrupt, BlobMissing, StreamError
from ringrift.log.protocol import Log
from ringrift.log.topology import MODEL_BUCKET

FOLDER = "RINGRIFT_BLOBS"
"""variable of the environment: a directory with files named by their digests, with any ending"""
BYTES_MIN = 256
"""a smaller file in the directory is no network: a failed download, or a pointer to one"""
Fetch = Callable[[], Awaitable[bytes]]
Fetched = Callable[[str, str, tuple[Attempt, ...]], Awaitable[None]]
"""Called with bucket, digest and attempts if a blob came from another source than its bucket."""


async def fetched(
    log: Log, cache: Cache, digest: str, bucket: Fetch, report: Fetched | None
) -> bytes:
    """Return a network from the first source that has it. Raises the error of the bucket if none
    has."""
    attempts: list[Attempt] = []
    failure: StreamError | None = None
    sources: dict[Source, Fetch] = {
        "bucket": bucket,
        "archive": lambda: _archived(log, cache, digest),
        "directory": lambda: asyncio.to_thread(_given, digest),
    }
    if cache.chosen:
        sources = {"cache": lambda: _cached(cache, digest), **sources}
    for source, fetch in sources.items():
        began, error = time.monotonic(), ""
        try:
            data = await fetch()
        except StreamError as reason:
            error = str(reason)
            failure = reason if source == "bucket" else failure
        attempts.append(
            Attempt(source=source, error=error, ms=round((time.monotonic() - began) * 1e3))
        )
        if not error:
            if source == "bucket" and cache.chosen:
                await asyncio.to_thread(cache.write, digest, data)
            if source in ("archive", "directory") and report is not None:
                await report(MODEL_BUCKET, digest, tuple(attempts))
            return data
    assert failure is not None
    raise failure


async def _cached(cache: Cache, digest: str) -> bytes:
    data = await asyncio.to_thread(cache.read, digest)
    if data is None:
        raise BlobMissing(f"{cache.folder}/{digest}: not in the cache")
    return data


async def _archived(log: Log, cache: Cache, digest: str) -> bytes:
    async for fact, _ in read.search(log, [digest.encode()], ModelArchived):
        if fact.model == digest:
            return await cache.fetch(fact.place, digest)
    raise BlobMissing(f"{digest:.12}: not in the archive")


def _given(digest: str) -> bytes:
    folder = os.environ.get(FOLDER)
    if not folder:
        raise BlobMissing(f"{FOLDER} is not set")
    for file in sorted(Path(folder).glob(f"{digest}*")):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BlobMissing(f"{file}: {error.strerror}") from error
        if len(data) < BYTES_MIN:
            raise BlobCorrupt(f"{file} has only {len(data)} bytes")
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobCorrupt(f"{file} has another digest than its name says")
        return data
    raise BlobMissing(f"{folder}: no file {digest:.12}...")
