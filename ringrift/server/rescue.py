"""Makes the store of a single server of one disk of a cluster, when the other disks are gone.

A single server refuses streams with replicas that it finds in its store, but takes their messages
over when they are created again with one replica (nats-server 2.15.1). The streams are copied
first: the original is never written."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log import marks
from ringrift.log.errors import ServerError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.server.embedded import DISK_FREE_BYTES_MIN, EmbeddedServer
from ringrift.server.ensure import create, ensure
from ringrift.server.grow import Report
from ringrift.server.voter import GLOBAL_ACCOUNT, streams_in

DEPTH_MAX = 4
"""directories between the one that is named and `jetstream`"""
_META = "meta.inf"
_LEFT_OUT = shutil.ignore_patterns("obs", _META, "meta.sum")
"""not copied: consumers, and the configuration with replicas, which creating a stream would leave,
so that the next start would refuse the stream again"""


class Rescued(Struct, frozen=True):
    """A stream that was taken over."""

    stream: str
    messages: int
    first: int
    last: int


class Rescue(Struct, frozen=True):
    """What a store held. `missing`: what the log is known to have lost at its end; `empty`:
    declared streams that the store does not have and that were created."""

    streams: tuple[Rescued, ...]
    missing: tuple[str, ...]
    empty: tuple[str, ...]


async def rescue(store: Path, target: Path, *, report: Report = lambda text: None) -> Rescue:
    """Copy the streams of a voter's store to the data directory `target` and make them those of a
    single server. Raises ServerError if there are none, `target` is not empty or too small, or a
    server still writes to the store; ServerRefused, LogUnavailable."""
    found = _streams(store)
    _copy(found, target, report)
    server = await EmbeddedServer.start(target)
    try:
        log = await JetStreamLog.open(server.url, name="rescue")
        try:
            return await _take_over(log, found)
        finally:
            await log.close()
    finally:
        await server.stop()


def _streams(store: Path) -> dict[str, Path]:
    """The directories of the streams below `store`. Raises ServerError."""
    if not store.is_dir():
        raise ServerError(f"{store} is no directory: name that of a voter, or its store")
    for depth in range(DEPTH_MAX + 1):
        for root in sorted(store.glob("*/" * depth + "jetstream")):
            found = {path.name: path for _, path in streams_in(root.parent)}
            if EVENTS in found:
                return found
    raise ServerError(f"{store} holds no stream {EVENTS}: name the directory of a voter")


def _copy(streams: Mapping[str, Path], target: Path, report: Report) -> None:
    """Copy the streams' messages. Raises ServerError."""
    if target.exists() and any(target.iterdir()):
        raise ServerError(f"{target} is not empty: give a new directory with --to")
    target.mkdir(parents=True, exist_ok=True)
    before = {name: _state(path) for name, path in streams.items()}
    size = sum(length for state in before.values() for length, _ in state.values())
    free = shutil.disk_usage(target).free
    if free < size + DISK_FREE_BYTES_MIN:
        need = f"{(size + DISK_FREE_BYTES_MIN) / 1e6:,.0f} MB are needed"
        raise ServerError(f"{free / 1e6:,.0f} MB free for {target}, {need}: use another disk")
    for name, path in streams.items():
        copied = target / "nats" / "jetstream" / GLOBAL_ACCOUNT / "streams" / name
        shutil.copytree(path, copied, ignore=_LEFT_OUT)
        report(f"{name}: copied")
    if any(_state(path) != before[name] for name, path in streams.items()):
        raise ServerError("a server still writes to the store: stop it, and give another --to")


def _state(path: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change of each file of a stream."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return {file: (status.st_size, status.st_mtime_ns) for file in files if (status := file.stat())}


async def _take_over(log: JetStreamLog, streams: Mapping[str, Path]) -> Rescue:
    kept = []
    for name, path in streams.items():
        # sequences continue by themselves; a first sequence would delete what is before it
        config = _config(path) | {"num_replicas": 1, "first_seq": 0}
        await create(log, name, config)
        state = (await log.call(f"STREAM.INFO.{name}"))["state"]
        counts = (int(state.get(field, 0)) for field in ("messages", "first_seq", "last_seq"))
        kept.append(Rescued(name, *counts))
    before = set((await log.call("STREAM.NAMES"))["streams"])
    await ensure(log, replicas=1)
    after = set((await log.call("STREAM.NAMES"))["streams"])
    missing = tuple(await marks.losses(log))
    return Rescue(tuple(kept), missing, tuple(sorted(after - before)))


def _config(path: Path) -> dict[str, Any]:
    """The configuration that a server stored beside a stream, else the declared one. Raises
    ServerError."""
    try:
        found: dict[str, Any] = msgspec.json.decode((path / _META).read_bytes(), type=dict)
    except (OSError, msgspec.DecodeError) as error:
        for stream in STREAMS:
            if stream.name == path.name:
                return dict(msgspec.to_builtins(stream))
        raise ServerError(f"{path / _META} cannot be read: {error}") from error
    found.pop("Created", None)
    return found
