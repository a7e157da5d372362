"""Heartbeats: each process stores one in the bucket `nodes`, where it expires unless renewed."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from typing import Literal

import msgspec
from msgspec import Struct

from ringrift.events.facts import Count, Text, Token
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.log.topology import CONTROL_BUCKET, NODE_BUCKET

HEARTBEAT_SECONDS = 2.0
HEARTBEATS_MISSED_MAX = 5
"""a process that missed this number is considered gone"""
SILENT_SECONDS = HEARTBEATS_MISSED_MAX * HEARTBEAT_SECONDS


class Machine(Struct, frozen=True, kw_only=True):
    """A node's hardware, price and roles, in the heartbeat of `ringrift node run`."""

    roles: tuple[str, ...]
    cores: int
    memory_bytes: int
    gpu: str = ""
    gpus: int = 0
    vram_bytes: int = 0
    """of each GPU"""
    provider: str = ""
    price_per_hour: float = 0.0
    """in the operator's currency"""
    version: str = ""
    """of the program, with the commit if it runs from a checkout"""
    consumers: tuple[str, ...] = ()
    """names of the processes that it keeps running"""
    update: str = ""
    """id of the last update that it carried out"""
    update_problem: str = ""


class UpdateRequest(Struct, frozen=True, kw_only=True):
    """A request of the operator to a node, in the bucket `control`. It contains no command, for the
    node runs its own."""

    id: str
    action: Literal["update", "rollback"]


def update_subject(node: str) -> str:
    """The key of requests to a node."""
    return f"$KV.{CONTROL_BUCKET}.update.{node}"


class Heartbeat(Struct, frozen=True, kw_only=True):
    """One process: its name, node and activity, and how far it has folded `EVENTS` (`folds`: digest
    by decider)."""

    consumer: Token
    node: Token
    instance: Token
    pid: int
    doing: Text
    seq: Count
    errors: Count
    folds: dict[str, str]
    left: bool = False
    draining: bool = False
    """whether it takes no more work and is about to leave"""
    health: Text = ""
    """address of `GET /health`, such as `127.0.0.1:8790`"""
    tier: str = "normal"
    """the tier of its scarcest resource, see `ringrift.deciders.fleet.pressure`"""
    scarce: Text = ""
    """that resource; empty without pressure"""
    machine: Machine | None = None
    code: str = ""
    """digest of the deciders that folded `folds`"""
    lag: int | None = None
    """messages of the stream it follows that it has not taken yet; None if it follows none"""
    cores: int = 0
    """of the node; 0 in a program that does not say"""
    threads: int = 1
    """that its work uses"""
    busy: bool | None = None
    """whether it works now; None if it is no worker"""

    def behind(self, tail: int) -> int | None:
        """How far it is behind: events of `EVENTS`, which ends at `tail`, if it folds them."""
        return max(0, tail - self.seq) if self.folds else self.lag


class Seen(Struct, frozen=True):
    """A node according to its heartbeats: running processes, whether all others stopped in order,
    seconds since the newest heartbeat."""

    processes: int = 0
    left: bool = True
    silent_seconds: float = math.inf

    def with_beat(self, beat: Heartbeat, at: float, now: float, oldest: float) -> Seen:
        """Add the newest heartbeat of one more process, stored `at`; before `oldest`, it counts as
        missing. One that drains has left as far as work is concerned."""
        leaves = beat.left or beat.draining
        runs = not leaves and at >= oldest
        silent_seconds = min(self.silent_seconds, max(0.0, now - at))
        return Seen(self.processes + runs, self.left and leaves, silent_seconds)


class Presence:
    """The bucket `nodes` of a log."""

    def __init__(self, log: Log, now: Callable[[], float] = time.time) -> None:
        self._log, self._now = log, now

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Store this process's heartbeat. Raises StreamError."""
        await self._log.publish(
            f"KV_{NODE_BUCKET}",
            f"$KV.{NODE_BUCKET}.{heartbeat.node}.{heartbeat.instance}",
            msgspec.json.encode(heartbeat),
        )

    async def all(self) -> list[Heartbeat]:
        """Return the heartbeats of running processes."""
        oldest = self._now() - SILENT_SECONDS
        found = {beat.instance: beat async for beat, at in self._stored() if at >= oldest}
        return [beat for beat in found.values() if not beat.left]

    async def nodes(self) -> dict[str, Seen]:
        """Return every node with a heartbeat in the bucket, including old and last ones."""
        found: dict[str, Seen] = {}
        now = self._now()
        async for beat, at in self._stored():
            seen = found.get(beat.node, Seen())
            found[beat.node] = seen.with_beat(beat, at, now, now - SILENT_SECONDS)
        return found

    async def _stored(self) -> AsyncIterator[tuple[Heartbeat, float]]:
        """Every heartbeat in the bucket with the time it was stored, in seconds since 1970.

        One that is renewed during a read is missing from it: the older one is gone, and the newer
        one is after its end. So what came meanwhile is read too."""
        newest, stream = dict[str, Entry](), f"KV_{NODE_BUCKET}"
        for _ in range(2):
            start = max((entry.seq for entry in newest.values()), default=0) + 1
            async for batch in self._log.read(stream, start_seq=start):
                newest |= {entry.subject: entry for entry in batch}
        for entry in newest.values():
            beat = _heartbeat(entry)
            if beat is not None:
                yield beat, entry.time.timestamp()


def _heartbeat(entry: Entry) -> Heartbeat | None:
    """The heartbeat in an entry; None for a deleted key and for invalid bytes, since every role
    writes here and none may harm the others."""
    try:
        return msgspec.json.decode(entry.body, type=Heartbeat) if entry.body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
