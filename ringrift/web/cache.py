"""What the pages have folded, kept in a file, so that the next start reads only what came later;
and next to it the tables of the SQL page, for the same reason.

    <XDG_CACHE_HOME or ~/.cache>/ringrift/web/<16 hex digits of the log>.fold
    <XDG_CACHE_HOME or ~/.cache>/ringrift/web/<16 hex digits of the log>.duckdb

The files may be deleted at any time. A fold is used only if this program wrote it over this log and
it is whole. Reading it creates facts, folds and plain containers, and nothing else, whatever its
bytes say."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.events import EventMeta, UndecodableEvent
from ringrift.log import read
from ringrift.log.diagnostics import logger
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.snapshots import Mark
from ringrift.log.topology import EVENTS
from ringrift.rules.cache import digest

ROOM = Path(__file__).parents[1]
PACKAGES = ("events", "deciders", "insight", "web")
"""whose classes are in a file, and whose code decides what they hold"""
PLAIN = {
    *(("datetime", name) for name in ("datetime", "timedelta", "timezone")),
    ("collections", "deque"),
    *(("array", name) for name in ("array", "_array_reconstructor")),
    ("msgspec._utils", "rebuild"),
}
"""what else a file may name"""
FILES_MAX = 4
"""logs that have a file"""
FILE_BYTES_MAX = 2 << 30
UNUSABLE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, EOFError),
    *(pickle.UnpicklingError, msgspec.MsgspecError),
)
"""what reading a file may raise"""
FLAGS = os.O_RDWR | os.O_CREAT | os.O_TRUNC
DIGEST_BYTES, HEAD_BYTES_MAX = 32, 4096


class Head(Struct, frozen=True):
    """The first line of a file, after the digest of all that follows."""

    mark: Mark
    code: str


@cache
def code_version() -> str:
    """Return what changes with every change of the code that a file depends on."""
    sources = (path for name in PACKAGES for path in (ROOM / name).rglob("*.py"))
    return f"{digest(sources)} {msgspec.__version__}"


def default_folder() -> Path | None:
    """Return where files are kept, None if the user has no home."""
    with contextlib.suppress(RuntimeError):
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "ringrift" / "web"
    return None


class Cache:
    """The file of a log in a folder."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log, self.folder = log, folder
        self._writing = asyncio.Lock()

    async def load(self) -> list[Any] | None:
        """Return the parts that were stored last, None if there are none that can be used."""
        path: Path | None = None
        try:
            path = await self.path(".fold")
            if path is None or not path.is_file():
                return None
            mark, body = await asyncio.to_thread(_checked, path)
            if not await self._has(mark):
                raise ValueError("it was written from another log")
            return await asyncio.to_thread(lambda: list(_parts(body)))
        except UNUSABLE as error:
            logger().warning("cache not used", file=str(path or self.folder), reason=str(error))
            return None

    async def store(self, parts: Callable[[], tuple[EventMeta, list[Any]]]) -> None:
        """Store parts, which may share objects, with the newest event in them. Others run between
        two parts, so only the first may change. An error is logged only: the file just saves
        time."""
        try:
            if (path := await self.path(".fold")) is not None:
                async with self._writing:
                    await self._write(path, *parts())
        except (OSError, StreamError, TimeoutError) as error:
            logger().warning("cache not written", folder=str(self.folder), reason=str(error))

    async def _write(self, path: Path, newest: EventMeta, parts: list[Any]) -> None:
        head = Head(Mark(newest.seq, newest.id, newest.time), code_version())
        new = path.with_suffix(f".{os.getpid()}")
        try:
            with os.fdopen(os.open(new, FLAGS, 0o600), "w+b") as file:
                file.write(bytes(DIGEST_BYTES) + msgspec.json.encode(head) + b"\n")
                pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
                for part in parts:
                    pickler.dump(part)
                    await asyncio.sleep(0)
                if file.tell() > FILE_BYTES_MAX:
                    return
                await asyncio.to_thread(_seal, file)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    async def path(self, suffix: str) -> Path | None:
        """Return the file of this log, which its first event names, None without one; older files
        of other logs are deleted. Raises OSError and StreamError."""
        with contextlib.suppress(UndecodableEvent):
            if first := await read.fact_at(self.log, f"{EVENTS}/1"):
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                name = f"{first.meta.id} {first.meta.time.isoformat()}"
                path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}{suffix}"
                others = [one for one in self.folder.glob(f"*{suffix}") if one != path]
                others.sort(key=lambda one: one.stat().st_mtime)
                for old in others[: 1 - FILES_MAX]:
                    old.unlink(missing_ok=True)
                return path
        return None

    async def _has(self, mark: Mark) -> bool:
        with contextlib.suppress(UndecodableEvent):
            if found := await read.fact_at(self.log, f"{EVENTS}/{mark.seq}"):
                return Mark(found.meta.seq, found.meta.id, found.meta.time) == mark
        return False


def _seal(file: BufferedRandom) -> None:
    """Write the digest of a file into its first bytes."""
    file.flush()
    file.seek(DIGEST_BYTES)
    found = hashlib.file_digest(file, "sha256")
    file.seek(0)
    file.write(found.digest())


def _checked(path: Path) -> tuple[Mark, memoryview]:
    """The newest event in a file, and its parts as bytes. Raises ValueError and OSError."""
    if path.stat().st_size > FILE_BYTES_MAX or path.stat().st_uid != os.geteuid():
        raise ValueError("it is too large, or of another user")
    data = memoryview(path.read_bytes())
    if hashlib.sha256(data[DIGEST_BYTES:]).digest() != bytes(data[:DIGEST_BYTES]):
        raise ValueError("it is damaged")
    line = bytes(data[DIGEST_BYTES : DIGEST_BYTES + HEAD_BYTES_MAX]).partition(b"\n")[0]
    head = msgspec.json.decode(line, type=Head)
    if head.code != code_version():
        raise ValueError("another version of this program wrote it")
    return head.mark, data[DIGEST_BYTES + len(line) + 1 :]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class of ours, or what is known to be harmless."""
        if (module, name) in PLAIN:
            return super().find_class(module, name)
        ours = tuple(f"ringrift.{package}." for package in PACKAGES)
        found = super().find_class(module, name) if module.startswith(ours) else None
        if not isinstance(found, type) or not found.__module__.startswith(ours):
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return found


def _parts(body: memoryview) -> Iterator[Any]:
    file = BytesIO(body)
    reader = _Unpickler(file)
    while file.tell() < len(body):
        yield reader.load()
