"""Blobs in JetStream object buckets: immutable ones named by SHA-256, mutable ones by a name. Every
read is verified.

The layout is that of NATS clients (`nats object get models <digest>` works): chunks on
`$O.<bucket>.C.<id>`, one record on `$O.<bucket>.M.<name in base64>`. Chunks are read with the bulk
reader, at 440 MB/s and more; the library's object store reads 20 MB/s."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import msgspec
from msgspec import Struct

from ringrift.log.archive import Cache
from ringrift.log.diagnostics import logger
from ringrift.log.errors import BlobCorrupt, BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.sources import Fetched, fetched
from ringrift.log.topology import MODEL_BUCKET

CHUNK_BYTES = 1024 * 1024
"""512 kB to 1 MB was fastest, and is far below the server's limit of a message"""
READS_MAX = 3
"""attempts to read a blob that is replaced meanwhile"""


class _Info(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record of one object in the format of NATS clients."""

    name: str
    bucket: str
    nuid: str
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str = "0001-01-01T00:00:00Z"
    deleted: bool = False
    options: Mapping[str, int] = msgspec.field(
        default_factory=lambda: {"max_chunk_size": CHUNK_BYTES}
    )


class Blobs:
    """Blobs in the object buckets of a log: models, shards and snapshots."""

    def __init__(self, log: Log, report: Fetched | None = None) -> None:
        self._log, self._report = log, report
        self._warned = False
        self._cache: Cache | None = None

    async def put(self, bucket: str, data: bytes) -> str:
        """Store `data` once; return its SHA-256 in hex, which is its name."""
        found = await _sha256(data)
        if not await self.has(bucket, found.hex()):
            await self._put(bucket, found.hex(), data, found)
        return found.hex()

    async def get(self, bucket: str, digest: str) -> bytes:
        """Return the blob with this SHA-256; networks also come from the other sources
        (`ringrift.log.sources`). Raises BlobMissing, BlobCorrupt."""
        if bucket != MODEL_BUCKET:
            return await self.stored(bucket, digest)
        self._cache = self._cache or Cache()
        stored = partial(self.stored, bucket, digest)
        return await fetched(self._log, self._cache, digest, stored, self._report)

    async def stored(self, bucket: str, digest: str) -> bytes:
        """Return the blob with this SHA-256 from its bucket. Raises BlobMissing, BlobCorrupt."""
        data, found = await self._get(bucket, digest)
        if found.hex() != digest:
            raise BlobCorrupt(f"{bucket}/{digest}: the stored bytes have another digest")
        return data

    async def has(self, bucket: str, digest: str) -> bool:
        """Return whether the blob is stored."""
        return await self._info(bucket, digest) is not None

    async def put_named(self, bucket: str, name: str, data: bytes) -> None:
        """Store `data` under a name, replacing the old blob."""
        await self._put(bucket, name, data, await _sha256(data))

    async def _put(self, bucket: str, name: str, data: bytes, digest: bytes) -> None:
        before = await self._info(bucket, name)
        nuid = uuid4().hex
        pieces = range(0, len(data), CHUNK_BYTES)
        # one after another: their order in the stream is their order in the blob
        for number, at in enumerate(pieces):
            piece = data[at : at + CHUNK_BYTES]
            await self._publish(bucket, f"C.{nuid}", piece, id=f"{nuid}-{number}")
        info = _Info(
            name=name,
            bucket=bucket,
            nuid=nuid,
            size=len(data),
            chunks=len(pieces),
            digest=_digest_field(digest),
            mtime=datetime.now(UTC).isoformat(),
        )
        await self._publish(bucket, _record(name), msgspec.json.encode(info))
        if before is not None:
            await self._purge(bucket, f"C.{before.nuid}")
            await self._purge(bucket, _record(name), keep=1)

    async def get_named(self, bucket: str, name: str) -> bytes:
        """Return the newest blob with a name. Raises BlobMissing, BlobCorrupt."""
        return (await self._get(bucket, name))[0]

    async def _get(self, bucket: str, name: str) -> tuple[bytes, bytes]:
        """Return a blob and its SHA-256, which is the recorded one."""
        for _ in range(READS_MAX):
            info = await self._info(bucket, name)
            if info is None:
                raise BlobMissing(f"{bucket}/{name}: no such blob")
            data, digest = await self._chunks(info)
            if len(data) == info.size and _digest_field(digest) == info.digest:
                return data, digest
            if await self._info(bucket, name) == info:  # it was not replaced meanwhile
                break
        remedy = "delete it and put it again"
        raise BlobCorrupt(f"{bucket}/{name}: the stored bytes have another digest; {remedy}")

    async def delete(self, bucket: str, name: str) -> None:
        """Delete a blob by digest or name, if it is stored."""
        info = await self._info(bucket, name)
        if info is not None:
            await self._purge(bucket, _record(name))
            await self._purge(bucket, f"C.{info.nuid}")

    async def names(self, bucket: str) -> list[str]:
        """Return the digests and names of the blobs in a bucket, sorted."""
        found = await self._log.subjects(f"OBJ_{bucket}", f"$O.{bucket}.M.>")
        names = {subject: _name(subject.removeprefix(f"$O.{bucket}.")) for subject in found}
        strange = [subject for subject, name in names.items() if name is None]
        if strange and not self._warned:
            self._warned = True
            logger().warning("names in a bucket are not ours", bucket=bucket, subjects=strange[:5])
        return sorted(name for name in names.values() if name is not None)

    async def _info(self, bucket: str, name: str) -> _Info | None:
        record = await self._log.last(f"OBJ_{bucket}", f"$O.{bucket}.{_record(name)}")
        if record is None:
            return None
        try:
            info = msgspec.json.decode(record.body, type=_Info)
        except msgspec.DecodeError as error:
            raise BlobCorrupt(f"{bucket}/{name}: its record cannot be read: {error}") from error
        return None if info.deleted else info

    async def _chunks(self, info: _Info) -> tuple[bytes, bytes]:
        """Return the stored bytes and their SHA-256, computed in a thread while more arrive."""
        pieces: list[bytes] = []
        digest = hashlib.sha256()
        if info.chunks:
            subject = f"$O.{info.bucket}.C.{info.nuid}"
            async for batch in self._log.read(f"OBJ_{info.bucket}", filters=[subject]):
                for entry in batch:
                    pieces.append(entry.body)
                    await asyncio.to_thread(digest.update, entry.body)
        return b"".join(pieces), digest.digest()

    async def _publish(self, bucket: str, tail: str, body: bytes, id: str | None = None) -> None:
        await self._log.publish(f"OBJ_{bucket}", f"$O.{bucket}.{tail}", body, id=id)

    async def _purge(self, bucket: str, tail: str, keep: int = 0) -> None:
        await self._log.purge(f"OBJ_{bucket}", f"$O.{bucket}.{tail}", keep=keep)


def _record(name: str) -> str:
    return f"M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _name(record: str) -> str | None:
    """The name in the subject of a record; None if no client of ours wrote it."""
    try:
        name = base64.urlsafe_b64decode(record.removeprefix("M.")).decode()
    except ValueError:
        return None
    return name if _record(name) == record else None


async def _sha256(data: bytes) -> bytes:
    """The digest, computed in a thread: at half a gigabyte per second it would delay heartbeats."""
    return (await asyncio.to_thread(hashlib.sha256, data)).digest()


def _digest_field(digest: bytes) -> str:
    return f"SHA-256={base64.urlsafe_b64encode(digest).decode()}"
