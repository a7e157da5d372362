"""Leaving alone what fails again and again: the pure breaker of `ringrift.deciders.fleet.breaker`
over the shared bucket.

if process.breakers.allows(target):
    ... use it ...
    await process.breakers.worked(target)        # or: await process.breakers.failed(target, why)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec

from ringrift.deciders.fleet.breaker import Breaker, threshold
from ringrift.events import Fact
from ringrift.events.facts import BreakerOpened, BreakerReset
from ringrift.log.breakers import BreakerBucket

Tell = Callable[[Fact, str], Awaitable[None]]
"""Appends a fact under a key of its own."""


class Breakers:
    """Breakers by target. Failures that do not open one yet are this process's own; an open one is
    everybody's."""

    def __init__(
        self, bucket: BreakerBucket, tell: Tell, now: Callable[[], float] = time.time
    ) -> None:
        self._bucket, self._tell, self._now = bucket, tell, now
        self._own: dict[str, Breaker] = {}

    async def follow(self) -> None:
        """Keep up with what others find, for ever."""
        await self._bucket.follow()

    def all(self) -> dict[str, Breaker]:
        """Targets that are not closed, as all see them."""
        found = {}
        for target, body in self._bucket.values(self._now()).items():
            try:
                found[target] = msgspec.json.decode(body, type=Breaker)
            except msgspec.DecodeError:  # not ours: a newer build's, or written by hand
                found[target] = Breaker(
                    state="open",
                    until=float("inf"),
                    why="unreadable; `ringrift breakers reset` forgets it",
                )
        return found

    def allows(self, target: str) -> bool:
        """Whether the target may be used now."""
        shared = self.all().get(target)
        return shared is None or shared.allows(self._now())

    async def probing(self, target: str) -> None:
        """Say that we are about to try the target, if it is one that needs trying. Raises
        StreamError."""
        shared = self.all().get(target)
        if shared is not None:
            await self._put(target, shared.probed(self._now()))

    async def failed(self, target: str, why: str, *, targets: int = 1) -> None:
        """The target failed once more; `targets` of its kind exist. Raises StreamError."""
        shared = self.all()
        before = shared.get(target) or self._own.get(target, Breaker())
        kind = target.partition("-")[0]
        sick = sum(name.startswith(f"{kind}-") for name in shared) / max(targets, 1)
        border = threshold(sick)
        after = before.failed(self._now(), border, why)
        if after.state == "closed":
            self._own[target] = after
            return
        self._own.pop(target, None)
        await self._put(target, after)
        if target not in shared:
            fact = BreakerOpened(target=target, failures=after.failures, threshold=border, why=why)
            await self._tell(fact, f"{target}.{after.until:.6f}")

    async def worked(self, target: str) -> None:
        """The target did what it should. Raises StreamError."""
        self._own.pop(target, None)
        shared = self.all().get(target)
        if shared is not None:
            await self._put(target, None)
            await self._tell(
                BreakerReset(target=target, why="a probe succeeded"), f"{target}.{self._now():.6f}"
            )

    async def reset(self, target: str) -> None:
        """Forget the target's failures. Raises StreamError."""
        self._own.pop(target, None)
        await self._put(target, None)

    async def _put(self, target: str, breaker: Breaker | None) -> None:
        await self._bucket.put(target, b"" if breaker is None else msgspec.json.encode(breaker))
