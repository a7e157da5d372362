"""The bucket `breakers`, followed, so that every process knows a change within a moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from ringrift.log.protocol import Log
from ringrift.log.topology import BREAKER_BUCKET, BREAKER_SECONDS

_STREAM = f"KV_{BREAKER_BUCKET}"
_PREFIX = f"$KV.{BREAKER_BUCKET}."


class BreakerBucket:
    """Values by target, each with the time it was stored; they expire after 6 h, here as in the
    bucket."""

    def __init__(self, log: Log, now: Callable[[], float] = time.time) -> None:
        self._log, self.now = log, now
        self._values: dict[str, tuple[bytes, float]] = {}

    def values(self) -> Mapping[str, bytes]:
        """The values that are known and not expired."""
        oldest = self.now() - BREAKER_SECONDS
        return {target: body for target, (body, at) in self._values.items() if at > oldest}

    async def load(self) -> int:
        """Read the bucket; return the sequence from which to follow it."""
        start = await self._log.tail(_STREAM) + 1
        async for batch in self._log.read(_STREAM):
            for entry in batch:
                self._take(entry.subject, entry.body, entry.time.timestamp())
                start = max(start, entry.seq + 1)
        return start

    async def follow(self) -> None:
        """Keep up with the bucket until cancelled."""
        changes = self._log.follow(_STREAM, start_seq=await self.load())
        async with contextlib.aclosing(changes):
            async for entry in changes:
                self._take(entry.subject, entry.body, entry.time.timestamp())

    async def put(self, target: str, body: bytes) -> None:
        """Store a target's value; an empty one deletes it. Raises StreamError."""
        headers = {} if body else {"KV-Operation": "DEL"}
        await self._log.publish(_STREAM, _PREFIX + target, body, headers=headers)
        self._take(_PREFIX + target, body, self.now())  # need not wait for our own write

    def _take(self, subject: str, body: bytes, at: float) -> None:
        target = subject.removeprefix(_PREFIX)
        if body:
            self._values[target] = (body, at)
        else:
            self._values.pop(target, None)
