"""Streams that nobody leads any more, made anew where the log gives back what they held.

The servers sync the log of a replicated stream and not always its store (nats-server 2.15.1). When
all of them lose power at once the stores may all be older than the log's newest snapshot; then each
waits for another to bring it up to date ("catchup aborted, no leader" in `nats.log`), for ever.
What holds nothing that facts do not give is deleted and made again; the others are left to people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import nats.errors

from ringrift.log import api
from ringrift.log.errors import LogUnavailable, ServerRefused
from ringrift.log.protocol import Remade
from ringrift.log.topology import (
    BREAKER_BUCKET,
    CONTROL_BUCKET,
    EVENTS,
    LEASE_BUCKET,
    NODE_BUCKET,
    SHARD_BUCKET,
    SNAPSHOT_BUCKET,
    STREAMS,
    WORK,
)
from ringrift.server.ensure import create, ensure, replicas_there

REMADE = (
    WORK,
    *(f"KV_{name}" for name in (LEASE_BUCKET, NODE_BUCKET, CONTROL_BUCKET, BREAKER_BUCKET)),
    *(f"OBJ_{name}" for name in (SHARD_BUCKET, SNAPSHOT_BUCKET)),
)
"""tickets are asked for again by the dispatcher, leases taken, heartbeats written and quarantines
found anew; shards are made again from the games, byte for byte; states of folds from the log, and a
training whose checkpoint is gone starts over; a request to nodes to update, the one thing lost,
ends by its timeout"""
LEADERLESS_SECONDS_MAX = 60.0
"""an election takes 4 to 9 s, a cluster that lost power was back after 8 to 17 s"""

Leading = Literal["led", "leaderless", "missing", "unknown"]


class Remaker:
    """Looks at the streams now and then; `now` is its clock."""

    def __init__(self, ask: api.Ask, now: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._now = ask, now
        self._looked: float | None = None
        self._lacking: dict[str, float] = {}
        """seconds for which each was seen without a leader, looks in between included if EVENTS had
        one all the while"""

    async def look(self) -> list[Remade]:
        """What lacks a leader for `LEADERLESS_SECONDS_MAX` is made anew, if the cluster works
        otherwise: EVENTS has one.

        Two that do so at once do no harm: each tells of it afterwards, and what is missing then is
        brought back. Raises LogUnavailable, ServerRefused."""
        if await leading(self._ask, EVENTS) != "led":
            self._looked = None
            return []
        now = self._now()
        passed, self._looked = now - (now if self._looked is None else self._looked), now
        found = []
        for stream in REMADE:
            was = await leading(self._ask, stream)
            if was == "led":
                self._lacking.pop(stream, None)
            if was == "led" or was == "unknown":
                continue
            self._lacking[stream] = (
                self._lacking[stream] + passed if stream in self._lacking else 0.0
            )
            if self._lacking[stream] >= LEADERLESS_SECONDS_MAX:
                await remake(self._ask, stream)
                found.append(Remade(stream, was, self._lacking.pop(stream)))
        return found


async def leading(ask: api.Ask, stream: str) -> Leading:
    """Whether a stream has a leader; unknown without an answer, as in an election."""
    try:
        info = await api.call(ask, f"STREAM.INFO.{stream}")
    except ServerRefused as error:
        return "missing" if error.code == api.NO_STREAM else "unknown"
    except (LogUnavailable, TimeoutError, nats.errors.Error, OSError):
        return "unknown"
    return "leaderless" if leaderless(info) else "led"


def leaderless(info: Mapping[str, Any]) -> bool:
    """Whether what the servers say of a stream is that none of its replicas leads it."""
    group = info.get("cluster") or {}
    return bool(group.get("replicas")) and not group.get("leader")


async def remake(ask: api.Ask, stream: str) -> None:
    """Delete a stream, if it is there, and make it as declared, replicated as EVENTS is.

    Its sequences go on above all that were ever given, so that an answer to a message of before
    means none of now. Raises ServerRefused, LogUnavailable."""
    declared = next(each for each in STREAMS if each.name == stream)
    replicas = await replicas_there(ask)
    try:
        await api.call(ask, f"STREAM.DELETE.{stream}")
    except ServerRefused as error:
        if error.code != api.NO_STREAM:
            raise
    first_seq = time.time_ns() // 1_000_000
    await create(
        ask,
        stream,
        msgspec.to_builtins(declared) | {"num_replicas": replicas, "first_seq": first_seq},
    )
    if stream == WORK:
        await ensure(ask, replicas=replicas, streams=())
