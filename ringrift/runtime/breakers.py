"""Circuit breakers that all processes share through the bucket `breakers`.

    if process.breakers.allows(target):
        await process.breakers.probing(target)
        ... use the target ...
        await process.breakers.worked(target)    # or: await process.breakers.failed(target, why)

The rules are those of `ringrift.deciders.fleet.breaker`. Times are seconds since 1970."""

import contextlib
import time
from collections.abc import Awaitable, Callable

import msgspec

from ringrift.deciders.fleet.breaker import Breaker, threshold
from ringrift.events.facts import BreakerEscalated, BreakerOpened, BreakerReset
from ringrift.events.settings import OperationSettings
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.topology import BREAKER_BUCKET, BREAKER_SECONDS

STREAM, PREFIX = f"KV_{BREAKER_BUCKET}", f"$KV.{BREAKER_BUCKET}."
UNREADABLE = "unreadable; `ringrift breakers reset` removes it"
Append = Callable[..., Awaitable[int]]
"""`Process.append`; the module of `Process` imports this one"""


class SharedBreakers:
    """The breakers in the bucket: those that are open or being probed. They expire after 6 h."""

    def __init__(self, log: Log, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._log = log
        self._known: dict[str, tuple[Breaker, float]] = {}
        """with the time at which each was stored"""

    async def load(self) -> int:
        """Read the bucket; the sequence from which to follow it."""
        start = await self._log.tail(STREAM) + 1
        async for batch in self._log.read(STREAM):
            for entry in batch:
                self._take(entry)
                # stored after the tail was read
                start = max(start, entry.seq + 1)
        return start

    async def follow(self) -> None:
        """Follow the bucket, until cancelled."""
        changes = self._log.follow(STREAM, start_seq=await self.load())
        async with contextlib.aclosing(changes):
            async for entry in changes:
                self._take(entry)

    def all(self, lasts_seconds: float = BREAKER_SECONDS) -> dict[str, Breaker]:
        """The breakers by target, but for those that are older."""
        oldest = self.now() - lasts_seconds
        return {target: breaker for target, (breaker, at) in self._known.items() if at > oldest}

    async def put(self, target: str, breaker: Breaker | None) -> None:
        """Store a breaker; None closes it. Raises StreamError."""
        body = msgspec.json.encode(breaker) if breaker else b""
        headers = {} if breaker else {"KV-Operation": "DEL"}
        before = dict(self._known)
        # known at once, so that no other task of this process probes too
        self._take(Entry(0, PREFIX + target, int(self.now() * 1e9), body))
        try:
            await self._log.publish(STREAM, PREFIX + target, body, headers=headers)
        except StreamError:
            self._known = before
            raise

    def _take(self, entry: Entry) -> None:
        target = entry.subject.removeprefix(PREFIX)
        if not entry.body:
            self._known.pop(target, None)
            return
        try:
            breaker = msgspec.json.decode(entry.body, type=Breaker)
        except msgspec.DecodeError:  # written by a newer build or by hand
            breaker = Breaker(state="open", until=float("inf"), why=UNREADABLE)
        self._known[target] = breaker, entry.time.timestamp()


class Breakers:
    """The breakers as one process uses them. Failures below the threshold are counted by this
    process alone."""

    def __init__(
        self,
        shared: SharedBreakers,
        append: Append,
        settings: Callable[[], OperationSettings] = OperationSettings,
    ) -> None:
        self.shared = shared
        self._append, self._now, self._settings = append, shared.now, settings
        self._own: dict[str, Breaker] = {}

    def _all(self) -> dict[str, Breaker]:
        return self.shared.all(self._settings().breaker_hours * 3600.0)

    def allows(self, target: str) -> bool:
        """Whether the target may be used now."""
        breaker = self._all().get(target)
        return breaker is None or breaker.allows(self._now())

    async def probing(self, target: str) -> None:
        """Announce that the target is about to be used, if its breaker waits for a probe. Raises
        StreamError."""
        breaker = self._all().get(target)
        if breaker is not None:
            await self.shared.put(target, breaker.probed(self._now()))

    async def failed(self, target: str, why: str, *, targets: int = 1) -> None:
        """Count a failure of the target, one of `targets` of its kind. Raises StreamError."""
        shared = self._all()
        before = shared.get(target) or self._own.get(target, Breaker())
        kind = target.partition("-")[0]
        sick = sum(name.startswith(f"{kind}-") for name in shared) / max(targets, 1)
        now, settings = self._now(), self._settings()
        limit = threshold(sick, settings)
        after = before.failed(now, limit, why, settings.breaker_waits)
        if after.state == "closed":
            self._own[target] = after
            return
        self._own.pop(target, None)
        await self.shared.put(target, after)
        fact: BreakerOpened | BreakerEscalated
        if target not in shared:
            fact = BreakerOpened(target=target, failures=after.failures, threshold=limit, why=why)
        elif after.until != before.until:
            fact = BreakerEscalated(
                target=target,
                tier=after.tier,
                failures=after.failures,
                retry_seconds=after.until - now,
                why=why,
            )
        else:
            return
        await self._append(fact, key=f"{target}.{after.until:.6f}")

    async def worked(self, target: str) -> None:
        """Close the target's breaker after a success. Raises StreamError."""
        self._own.pop(target, None)
        if target in self._all():
            await self.shared.put(target, None)
            fact = BreakerReset(target=target, why="a probe succeeded")
            await self._append(fact, key=f"{target}.{self._now():.6f}")

    async def reset(self, target: str) -> None:
        """Forget the target's failures. Raises StreamError."""
        self._own.pop(target, None)
        await self.shared.put(target, None)
