"""Recreates streams that lost their leader for good, if their content can be rebuilt from the log.

Servers sync the Raft log of a replicated stream, but not always its store (nats-server 2.15.1).
When all servers lose power at once, every store may be older than the newest snapshot of the Raft
log. Then each server waits for another one to catch up from ("catchup aborted, no leader" in
`nats.log`), and the stream never gets a leader again. Streams whose content follows from facts are
deleted and recreated; the others need an operator.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from ringrift.log import api, topology
from ringrift.log.errors import LogUnavailable, ServerRefused
from ringrift.log.protocol import Log
from ringrift.log.topology import CONSUMERS, EVENTS, STREAMS, WORK
from ringrift.server.ensure import create, ensure, replicas_there

RECREATED = (
    WORK,
    f"KV_{topology.LEASE_BUCKET}",
    f"KV_{topology.NODE_BUCKET}",
    f"KV_{topology.CONTROL_BUCKET}",
    f"KV_{topology.BREAKER_BUCKET}",
    f"KV_{topology.MARK_BUCKET}",
    f"OBJ_{topology.SHARD_BUCKET}",
    f"OBJ_{topology.FOLD_BUCKET}",
    f"OBJ_{topology.CHECKPOINT_BUCKET}",
)
"""streams that may be recreated: the dispatcher requests tickets again, leases are acquired,
heartbeats sent, quarantines found and marks noted again; shards are rebuilt from the games byte for
byte, and folds from the log; a training without its checkpoint starts over. Update requests to
nodes are lost, and end with their timeout"""
LEADERLESS_SECONDS_MAX = 60.0
"""an election takes 4 to 9 s; a cluster that lost power was back after 8 to 17 s"""

Leading = Literal["led", "leaderless", "missing", "unknown"]


class Recreated(Struct, frozen=True):
    """A stream, or a durable consumer of the queue (`WORK.<name>`), that was recreated, and for how
    long it was seen leaderless or missing."""

    stream: str
    reason: Literal["leaderless", "missing"]
    unavailable_seconds: float


class Recreator:
    """Checks the streams when asked, and measures how long each has had no leader."""

    def __init__(self, log: Log, now: Callable[[], float] = time.monotonic) -> None:
        self._log, self._now = log, now
        self._checked: float | None = None
        self._lacking: dict[str, float] = {}
        """seconds for which each stream was seen without a leader, while `EVENTS` had one"""

    async def check(self) -> list[Recreated]:
        """Recreate streams without a leader for `LEADERLESS_SECONDS_MAX`, provided that the cluster
        works otherwise: `EVENTS` has a leader.

        Two processes may do so at the same time: both report it, and missing messages are restored
        afterwards. Raises LogUnavailable, ServerRefused."""
        if await leading(self._log, EVENTS) != "led":
            self._checked = None
            return []
        now = self._now()
        passed = 0.0 if self._checked is None else now - self._checked
        self._checked = now
        found = []
        for stream in RECREATED:
            was = await leading(self._log, stream)
            if was == "led":
                self._lacking.pop(stream, None)
            if was == "led" or was == "unknown":
                continue
            before = self._lacking.get(stream)
            lacking = self._lacking[stream] = 0.0 if before is None else before + passed
            if lacking >= LEADERLESS_SECONDS_MAX:
                await recreate(self._log, stream)
                found.append(Recreated(stream, was, self._lacking.pop(stream)))
        return found


async def recreate_consumers(log: Log) -> list[Recreated]:
    """Create the durable consumers of the queue that were deleted, or lost with their server;
    without them no worker gets a ticket. Raises LogUnavailable, ServerRefused."""
    try:
        there = (await log.call(f"CONSUMER.NAMES.{WORK}", retry=False)).get("consumers") or ()
    except (ServerRefused, LogUnavailable):  # the queue itself is missing, or has no leader
        return []
    missing = [consumer for consumer in CONSUMERS if consumer.name not in there]
    await ensure(log, streams=(), consumers=missing)
    return [Recreated(f"{WORK}.{consumer.name}", "missing", 0.0) for consumer in missing]


async def leading(log: Log, stream: str) -> Leading:
    """Whether a stream has a leader; `unknown` without an answer, as in an election."""
    try:
        info = await log.call(f"STREAM.INFO.{stream}", retry=False)
    except ServerRefused as error:
        return "missing" if error.code == api.NO_STREAM else "unknown"
    except LogUnavailable:
        return "unknown"
    return "leaderless" if leaderless(info) else "led"


def leaderless(info: Mapping[str, Any]) -> bool:
    """Whether the servers' answer about a stream says that none of its replicas leads it."""
    group = info.get("cluster") or {}
    return bool(group.get("replicas")) and not group.get("leader")


async def recreate(log: Log, stream: str) -> None:
    """Delete a stream, if it exists, and create it as declared, with as many replicas as `EVENTS`.

    Its sequences start above all earlier ones, so that an acknowledgement of an old message never
    means a new one. Raises ServerRefused, LogUnavailable."""
    declared = next(each for each in STREAMS if each.name == stream)
    replicas = await replicas_there(log)
    try:
        await log.call(f"STREAM.DELETE.{stream}", retry=False)
    except ServerRefused as error:
        if error.code != api.NO_STREAM:
            raise
    first_seq = time.time_ns() // 1_000_000
    config = declared.with_replicas(replicas) | {"first_seq": first_seq}
    await create(log, stream, config)
    if stream == WORK:
        await ensure(log, replicas=replicas, streams=())
