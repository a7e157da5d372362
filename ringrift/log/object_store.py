"""An object store beside the log: S3 and what speaks it, GCS, Azure, or a directory.

A place is a URL such as `s3://bucket/prefix`, `gs://bucket`, `az://container`, or a directory.
Credentials come from the usual environment variables of the store (`AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and `_KEY`, ...),
from `~/.aws/credentials`, or from the machine's own identity."""

import asyncio
import configparser
import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ringrift.log.errors import BlobCorrupt, BlobMissing, StoreError

ANSWER_SECONDS_MAX = 60.0
"""of one attempt; a segment of 64 MB arrives in this time at 9 Mbit/s"""
RETRY_SECONDS_MAX = 120.0
RETRIES_MAX = 4
IDENTITY_PATHS = ("/latest/api/token", "/computeMetadata/", "/metadata/identity/")
"""where a rented machine is asked for its own identity, if there are no credentials"""
TEXT_CHARS_MAX = 300
"""of the library's own words in an error"""


class ObjectStore:
    """Objects by name under one place. Every method raises StoreError in one line."""

    def __init__(self, place: str, *, create: bool = True) -> None:
        """Open a place, and create a directory unless it is only read. Raises StoreError if it is
        none, is not there, or its credentials cannot be read."""
        self.place = place
        with _one_line_errors(place):
            self._store = _open(place, create)

    async def put(self, name: str, data: bytes) -> None:
        """Store an object, in place of an earlier one of this name."""
        import obstore

        try:
            with _one_line_errors(f"{self.place}/{name}"):
                await asyncio.to_thread(obstore.put, self._store, name, data)
        except BlobMissing as error:
            raise StoreError(f"{self.place}: no such bucket; create it") from error

    async def get(self, name: str) -> bytes:
        """Return an object. Raises BlobMissing."""
        import obstore

        with _one_line_errors(f"{self.place}/{name}"):
            found = await asyncio.to_thread(obstore.get, self._store, name)
            return bytes(await asyncio.to_thread(found.bytes))

    async def get_checked(self, name: str, digest: str) -> bytes:
        """Return an object with this SHA-256. Raises BlobMissing, BlobCorrupt."""
        data = await self.get(name)
        found = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        if found != digest:
            wanted = f"{len(data)} bytes with digest {found:.12}, wanted {digest:.12}"
            raise BlobCorrupt(f"{self.place}/{name}: the store returned {wanted}")
        return data

    async def names(self, under: str = "") -> dict[str, int]:
        """Return the sizes in bytes of the objects under a prefix, by name."""
        import obstore

        def listed() -> dict[str, int]:
            batches = obstore.list(self._store, under or None)
            return {item["path"]: item["size"] for batch in batches for item in batch}

        with _one_line_errors(f"{self.place}/{under}"):
            return await asyncio.to_thread(listed)

    async def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        import obstore

        with contextlib.suppress(BlobMissing), _one_line_errors(f"{self.place}/{name}"):
            await asyncio.to_thread(obstore.delete, self._store, name)

    async def check(self) -> None:
        """Write, read and delete a small object, which shows that the place can be used."""
        name = f"check-{os.getpid()}"
        await self.put(name, b"ringrift")
        await self.get(name)
        await self.delete(name)


def _open(place: str, create: bool) -> Any:
    from obstore.store import LocalStore, from_url

    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        folder = Path(parts.path).expanduser()
        if not parts.path:
            raise StoreError(f"{place!r} is no place: give a directory or a URL like s3://bucket")
        if not create and not folder.is_dir():
            raise StoreError(f"there is no directory {folder}")
        return LocalStore(folder.absolute(), mkdir=True)
    timeout, patience = (
        timedelta(seconds=each) for each in (ANSWER_SECONDS_MAX, RETRY_SECONDS_MAX)
    )
    options: dict[str, Any] = {
        "client_options": {"timeout": timeout, "allow_http": True},
        "retry_config": {"max_retries": RETRIES_MAX, "retry_timeout": patience},
    }
    if parts.scheme in ("s3", "s3a"):
        options["config"] = _aws()
    return from_url(place, **options)


def _aws() -> dict[str, str]:
    """Region and keys that the environment lacks, from the files of the AWS tools."""
    found = {} if _set("AWS_REGION", "AWS_DEFAULT_REGION") else {"region": "us-east-1"}
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    if _set("AWS_ACCESS_KEY_ID") or not file.is_file():
        return found
    profiles, name = configparser.ConfigParser(), os.environ.get("AWS_PROFILE", "default")
    try:
        profiles.read(file)
        profile = profiles[name]
        keys = {key: profile[f"aws_{key}"] for key in ("access_key_id", "secret_access_key")}
    except (configparser.Error, KeyError, OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{file}: no credentials of profile {name!r}: {_line(str(error))}"
        ) from error
    return found | keys


def _set(*names: str) -> bool:
    return any(os.environ.get(name) for name in names)


@contextlib.contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Raise what the library raises as an error of the log, in one line without its sources."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing(f"{what}: no such object") from error
    except Exception as error:
        if not isinstance(error, OSError | ValueError | BaseError):
            raise
        text = _line(str(error).split("\n\nDebug source")[0])
        if any(path in text for path in IDENTITY_PATHS):
            text = "no credentials are in the environment, and the machine has no identity there"
        raise StoreError(f"{what}: {text}") from error


def _line(text: str) -> str:
    return " ".join(text.split())[:TEXT_CHARS_MAX]
