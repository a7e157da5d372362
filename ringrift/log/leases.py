"""Leases: each role has one holder, which is replaced soon after its end and fenced by the log.

A lease has two halves. Liveness is a key in the bucket `leases` that expires unless it is renewed.
Authority is the fact `LeaseAcquired`: its sequence is the fencing token, and the holder appends
under the expectation that it is still the newest of its subject (`Lease.expect`). The log refuses
the appends of a holder that was paused and replaced.

The order makes two streams safe: the newest epoch is read *before* the key is taken, and the new
epoch is appended under the expectation that it is still the newest. The epoch of a process that was
overtaken in between is refused."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Literal
from uuid import uuid4

import msgspec
from msgspec import Struct

from ringrift.events import draft, type_of
from ringrift.events.facts import LeaseAcquired
from ringrift.log.entry import Entry
from ringrift.log.errors import ConcurrencyError, LeaseLost, LogUnavailable, StreamError
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, LEASE_BUCKET, LEASE_SECONDS

RENEW_RETRY_SECONDS = 0.5
_STREAM = f"KV_{LEASE_BUCKET}"
Clock = Callable[[], float]
"""Seconds since any moment."""
Outcome = Literal["won", "lost", "adopted", "timeout"]
"""of one attempt: the lease is held; it was free, and another process took it; another one holds
it; the log did not answer"""
Told = Callable[[Outcome], None]


class Pace(Struct, frozen=True):
    """Times of a lease in seconds: the `ttl` of its key, the pause before it is renewed, and how
    long a renewal counts.

    A holder that could not renew for `sure` must assume that it lost the lease, because its clock
    may run slower than the server's."""

    ttl: int = LEASE_SECONDS
    renew: float = LEASE_SECONDS / 3
    sure: float = LEASE_SECONDS * 2 / 3


PACE = Pace()


class Lease(Struct, frozen=True):
    """A held role. `token` is the fencing token, which grows with every holder."""

    role: str
    holder: str
    token: int
    election_seconds: float = 0.0
    """from finding the lease free to holding it"""

    @property
    def expect(self) -> Expect:
        """The expectation with which the holder appends: no newer holder exists."""
        return Expect(_epoch_subject(self.role), self.token)


class Moved(LeaseLost):
    """The holder released the lease, because another node is to act."""


class _Claim:
    """The key of one role, held by one process and renewed by publishing it again; an update by the
    library would lose the TTL."""

    def __init__(self, log: Log, role: str, holder: str, pace: Pace, now: Clock) -> None:
        self._log = log
        self.pace = pace
        self._subject = f"$KV.{LEASE_BUCKET}.{role}"
        self._value = msgspec.json.encode({"holder": holder, "claim": uuid4().hex})
        self._now = now
        self.seq = 0
        """revision of the key at its last renewal"""
        self.sure_until = 0.0
        """by the holder's clock"""

    async def take(self, last_seq: int) -> None:
        """Write the key if `last_seq` is still its revision. Raises ConcurrencyError."""
        asked = self._now()  # before sending: the TTL begins later, never earlier
        self.seq = await self._write(self._value, last_seq)
        self.sure_until = asked + self.pace.sure

    async def renew(self) -> None:
        """Write the key again. Raises ConcurrencyError if another process has it."""
        await self.take(self.seq)

    async def release(self) -> None:
        """Delete the key, if it was taken, so that the next holder need not wait for it to expire.

        It is read first, because a renewal that was cancelled before its answer may be stored."""
        with contextlib.suppress(StreamError):  # the key expires
            key = await self._log.last(_STREAM, self._subject)
            if key is not None and key.body == self._value:
                await self._write(b"", key.seq)

    async def _write(self, value: bytes, last_seq: int) -> int:
        """Write the key, or delete it if the value is empty."""
        return await self._log.publish(
            _STREAM,
            self._subject,
            value,
            id=uuid4().hex,
            expect_last=last_seq,
            kept_seconds=self.pace.ttl if value else None,
            headers={} if value else {"KV-Operation": "DEL"},
        )


async def try_acquire(
    log: Log,
    role: str,
    holder: str,
    source: str,
    *,
    pace: Pace = PACE,
    now: Clock = time.monotonic,
    free_since: float | None = None,
    told: Told = lambda _: None,
) -> tuple[Lease, _Claim] | None:
    """Acquire the lease if it is free, else return None. Raises LogUnavailable."""
    free_since = now() if free_since is None else free_since
    epoch = await log.last(EVENTS, _epoch_subject(role))
    key = await log.last(_STREAM, f"$KV.{LEASE_BUCKET}.{role}")
    if not _is_free(key):
        told("adopted")
        return None
    claim = _Claim(log, role, holder, pace, now)
    try:
        await claim.take(key.seq if key else 0)
        waited = round(now() - free_since, 6)
        fact = LeaseAcquired(role=role, holder=holder, election_seconds=waited)
        item = draft(fact, cause=None, source=source, key=f"{role}:{holder}:{claim.seq}")
        (token,) = await log.append([item], Expect(_epoch_subject(role), epoch.seq if epoch else 0))
    except ConcurrencyError:
        # another process took the key, or its epoch was appended while this process was paused
        await claim.release()
        told("lost")
        return None
    told("won")
    return Lease(role, holder, token, now() - free_since), claim


@contextlib.asynccontextmanager
async def hold(
    log: Log,
    role: str,
    holder: str,
    source: str,
    *,
    pace: Pace = PACE,
    now: Clock = time.monotonic,
    patience: Callable[[], float] = lambda: 0.0,
    moved: Callable[[], Awaitable[str]] | None = None,
    told: Told = lambda _: None,
) -> AsyncIterator[Lease]:
    """Wait for the lease of `role`; renew it while the block runs, and release it afterwards. One
    that is free is left to others for the seconds of `patience`. `told` gets the outcome of each
    attempt; once `moved` returns a node, the lease is released for it.

    When the lease is lost or released, the block is cancelled and LeaseLost raised. Raises
    LogUnavailable while waiting."""
    free, acquired = now(), None
    try:
        await _leave_to_others(patience())
        trying = partial(try_acquire, log, role, holder, source, pace=pace, now=now, told=told)
        while (acquired := await trying(free_since=free)) is None:
            await _until_free(log, role, pace)
            free = now()
            await _leave_to_others(patience())
    except LogUnavailable:
        told("timeout")
        raise
    lease, claim = acquired
    body = asyncio.current_task()
    assert body is not None
    cancelling = body.cancelling()
    lost: list[LeaseLost] = []

    async def keep() -> None:
        try:
            await _keep(claim, role, now)
        except LeaseLost as error:
            lost.append(error)
            body.cancel()

    async def leave(moved: Callable[[], Awaitable[str]]) -> None:
        node = await moved()
        lost.append(Moved(f"{role}: moved to {node}"))
        body.cancel()

    keepers = [asyncio.create_task(keep())]
    keepers += [asyncio.create_task(leave(moved))] if moved is not None else []
    try:
        try:
            yield lease
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            if not lost or isinstance(lost[0], Moved):
                await claim.release()
    except asyncio.CancelledError:
        if lost and body.uncancel() <= cancelling:  # cancelled by `keep`, not from outside
            raise lost[0] from None
        raise


async def _leave_to_others(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


async def _keep(claim: _Claim, role: str, now: Clock) -> None:
    """Renew until cancelled. Raises LeaseLost if another process has the key, or may have it."""
    pause = claim.pace.renew
    while True:
        await asyncio.sleep(pause)
        left = claim.sure_until - now()
        try:
            async with asyncio.timeout(max(left, 0)):
                await claim.renew()
            pause = claim.pace.renew
        except ConcurrencyError as error:
            raise LeaseLost(f"{role}: another holder has the lease") from error
        except (StreamError, TimeoutError) as error:
            if now() >= claim.sure_until:
                raise LeaseLost(f"{role}: not renewed for {claim.pace.sure:g} s") from error
            pause = RENEW_RETRY_SECONDS


async def _until_free(log: Log, role: str, pace: Pace) -> None:
    """Return when the key was released or has expired, after its TTL at the latest."""
    subject = f"$KV.{LEASE_BUCKET}.{role}"
    key = await log.last(_STREAM, subject)
    if _is_free(key):
        return
    changes = log.follow(_STREAM, filters=[subject], start_seq=key.seq + 1 if key else 1)
    with contextlib.suppress(TimeoutError):
        async with contextlib.aclosing(changes), asyncio.timeout(pace.ttl):
            async for entry in changes:
                if _is_free(entry):
                    return


def _is_free(key: Entry | None) -> bool:
    """Whether there is no key, a deleted one, or the marker of an expired one."""
    return key is None or not key.body


def _epoch_subject(role: str) -> str:
    return type_of(LeaseAcquired).filter(role)
