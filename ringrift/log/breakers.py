"""The bucket `breakers` as everybody sees it: followed, so that what one process learns all others
know within a moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from ringrift.log.protocol import Log
from ringrift.log.topology import BREAKER_BUCKET, BREAKER_SECONDS

_STREAM = f"KV_{BREAKER_BUCKET}"
_PREFIX = f"$KV.{BREAKER_BUCKET}."


class BreakerBucket:
    """Values by target, each with the time it was stored; keys are forgotten after 6 h, also
    here."""

    def __init__(self, log: Log, now: Callable[[], float] = time.time) -> None:
        self._log, self.now = log, now
        self._values: dict[str, tuple[bytes, float]] = {}

    def values(self) -> Mapping[str, bytes]:
        """What is known and not expired."""
        now = self.now()
        return {
            target: body
            for target, (body, stored) in self._values.items()
            if now - stored < BREAKER_SECONDS
        }

    async def load(self) -> int:
        """Read the bucket; the sequence after it."""
        start = await self._log.tail(_STREAM) + 1
        async for batch in self._log.read(_STREAM):
            for entry in batch:
                self._take(entry.subject, entry.body, entry.time.timestamp())
                start = max(start, entry.seq + 1)
        return start

    async def follow(self) -> None:
        """Keep up with the bucket, for ever."""
        changes = self._log.follow(_STREAM, start_seq=await self.load())
        async with contextlib.aclosing(changes):
            async for entry in changes:
                self._take(entry.subject, entry.body, entry.time.timestamp())

    async def put(self, target: str, body: bytes) -> None:
        """Write a target's value; an empty one forgets it. Raises StreamError."""
        headers = {} if body else {"KV-Operation": "DEL"}
        await self._log.publish(_STREAM, _PREFIX + target, body, headers=headers)
        self._take(_PREFIX + target, body, self.now())  # need not wait for our own write

    def _take(self, subject: str, body: bytes, stored: float) -> None:
        target = subject.removeprefix(_PREFIX)
        if body:
            self._values[target] = (body, stored)
        else:
            self._values.pop(target, None)
