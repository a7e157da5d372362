"""Who is there: every consumer process writes a heartbeat into the bucket `nodes`; keys that are
not renewed expire."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.log.topology import CONTROL_BUCKET, NODE_BUCKET

HEARTBEAT_SECONDS = 2.0
HEARTBEATS_MISSED_MAX = 5
"""a process that missed as many is not shown any more"""


class Machine(Struct, frozen=True, kw_only=True):
    """A node's hardware, what it costs and what it is for; the heartbeat of `ringrift node run`
    tells of it."""

    roles: tuple[str, ...]
    cores: int
    memory_bytes: int
    gpu: str = ""
    vram_bytes: int = 0
    provider: str = ""
    price_per_hour: float = 0.0
    """in the operator's currency"""
    version: str = ""
    """of the program, with the commit where it runs from a checkout"""
    consumers: tuple[str, ...] = ()
    """what it keeps running, one entry a process"""
    update: str = ""
    """id of the update that it has carried out last"""
    update_problem: str = ""


class UpdateRequest(Struct, frozen=True, kw_only=True):
    """What the operator asks of a node, in the bucket `control`. It names no command: the node runs
    its own."""

    id: str
    action: Literal["update", "rollback"]


def update_subject(node: str) -> str:
    """Where requests to a node are."""
    return f"$KV.{CONTROL_BUCKET}.update.{node}"


class Heartbeat(Struct, frozen=True, kw_only=True):
    """One process: what it is, where it runs, what it does, and how far it has folded `EVENTS`
    (`folds`: digest by decider)."""

    consumer: str
    node: str
    instance: str
    pid: int
    doing: str
    seq: int
    errors: int
    folds: dict[str, str]
    left: bool = False
    health: str = ""
    """where this process answers `GET /health`, such as `127.0.0.1:8790`"""
    tier: str = "normal"
    """the tightest of its resources, see `ringrift.deciders.fleet.pressure`"""
    machine: Machine | None = None


class Seen(Struct, frozen=True):
    """A node by its heartbeats: processes that run, whether all others said goodbye, seconds since
    the newest heartbeat."""

    processes: int = 0
    left: bool = True
    silent_seconds: float = math.inf

    def with_beat(self, beat: Heartbeat, at: float, now: float, oldest: float) -> Seen:
        """With one more process's newest heartbeat, written `at`; before `oldest` it counts as
        silence."""
        runs = not beat.left and at >= oldest
        return Seen(
            self.processes + runs,
            self.left and beat.left,
            min(self.silent_seconds, max(0.0, now - at)),
        )


class Presence:
    """The bucket `nodes` as seen through a log's connection."""

    def __init__(self, log: Log, now: Callable[[], float] = time.time) -> None:
        self._log, self._now = log, now

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Write this process's heartbeat. Raises StreamError."""
        await self._log.publish(
            f"KV_{NODE_BUCKET}",
            f"$KV.{NODE_BUCKET}.{heartbeat.instance}",
            msgspec.json.encode(heartbeat),
        )

    async def all(self) -> list[Heartbeat]:
        """The processes that have written lately and have not left."""
        oldest = self._now() - HEARTBEATS_MISSED_MAX * HEARTBEAT_SECONDS
        found: dict[str, Heartbeat] = {}
        async for batch in self._log.read(f"KV_{NODE_BUCKET}"):
            for entry in batch:
                heartbeat = _heartbeat(entry)
                if heartbeat is not None and entry.time.timestamp() >= oldest:
                    found[heartbeat.instance] = heartbeat
        return [heartbeat for heartbeat in found.values() if not heartbeat.left]

    async def nodes(self) -> dict[str, Seen]:
        """Every node that has a heartbeat in the bucket, also an old one or one that says
        goodbye."""
        found: dict[str, Seen] = {}
        now = self._now()
        oldest = now - HEARTBEATS_MISSED_MAX * HEARTBEAT_SECONDS
        async for batch in self._log.read(f"KV_{NODE_BUCKET}"):
            for entry in batch:
                beat = _heartbeat(entry)
                if beat is not None:
                    found[beat.node] = found.get(beat.node, Seen()).with_beat(
                        beat, entry.time.timestamp(), now, oldest
                    )
        return found


def _heartbeat(entry: Entry) -> Heartbeat | None:
    """The heartbeat in an entry; None for a deleted key and for bytes that are none: every role
    writes here, none may harm all."""
    try:
        return msgspec.json.decode(entry.body, type=Heartbeat) if entry.body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
