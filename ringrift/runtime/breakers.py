"""Circuit breakers: the pure breaker of `ringrift.deciders.fleet.breaker` over the shared bucket.

if process.breakers.allows(target):
    ... use the target ...
    await process.breakers.worked(target)    # or: await process.breakers.failed(target, why)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from ringrift.deciders.fleet.breaker import Breaker, threshold
from ringrift.events import Fact
from ringrift.events.facts import BreakerOpened, BreakerReset
from ringrift.log.breakers import BreakerBucket

Record = Callable[[Fact, str], Awaitable[None]]
"""Appends a fact under a key of its own."""


def not_closed(bucket: BreakerBucket) -> dict[str, Breaker]:
    """The open and probing breakers in the bucket, by target."""
    found = {}
    for target, body in bucket.values().items():
        try:
            found[target] = msgspec.json.decode(body, type=Breaker)
        except msgspec.DecodeError:  # written by a newer build or by hand
            why = "unreadable; `ringrift breakers reset` removes it"
            found[target] = Breaker(state="open", until=float("inf"), why=why)
    return {target: breaker for target, breaker in found.items() if breaker.state != "closed"}


class Breakers:
    """Breakers by target. Failures below the threshold are counted by this process alone; an open
    breaker is shared by all."""

    def __init__(self, bucket: BreakerBucket, record: Record) -> None:
        self._bucket, self._record, self._now = bucket, record, bucket.now
        self._own: dict[str, Breaker] = {}

    async def follow(self) -> None:
        """Follow the bucket, until cancelled."""
        await self._bucket.follow()

    def shared(self) -> dict[str, Breaker]:
        """Breakers that are not closed, by target."""
        return not_closed(self._bucket)

    def allows(self, target: str) -> bool:
        """Whether the target may be used now."""
        breaker = self.shared().get(target)
        return breaker is None or breaker.allows(self._now())

    async def probing(self, target: str) -> None:
        """Announce that the target is about to be used, if its breaker waits for a probe. Raises
        StreamError."""
        breaker = self.shared().get(target)
        if breaker is not None:
            await self._put(target, breaker.probed(self._now()))

    async def failed(self, target: str, why: str, *, targets: int = 1) -> None:
        """Count a failure of the target, one of `targets` of its kind. Raises StreamError."""
        shared = self.shared()
        before = shared.get(target) or self._own.get(target, Breaker())
        kind = target.partition("-")[0]
        sick = sum(name.startswith(f"{kind}-") for name in shared) / max(targets, 1)
        limit = threshold(sick)
        after = before.failed(self._now(), limit, why)
        if after.state == "closed":
            self._own[target] = after
            return
        self._own.pop(target, None)
        await self._put(target, after)
        if target not in shared:
            fact = BreakerOpened(target=target, failures=after.failures, threshold=limit, why=why)
            await self._record(fact, f"{target}.{after.until:.6f}")

    async def worked(self, target: str) -> None:
        """Close the target's breaker after a success. Raises StreamError."""
        self._own.pop(target, None)
        if target in self.shared():
            await self._put(target, None)
            fact = BreakerReset(target=target, why="a probe succeeded")
            await self._record(fact, f"{target}.{self._now():.6f}")

    async def reset(self, target: str) -> None:
        """Forget the target's failures. Raises StreamError."""
        self._own.pop(target, None)
        await self._put(target, None)

    async def _put(self, target: str, breaker: Breaker | None) -> None:
        await self._bucket.put(target, b"" if breaker is None else msgspec.json.encode(breaker))
