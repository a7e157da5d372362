"""Trying again, waiting for an answer, and holding back: one mechanism each, all of it described
here.

Trying again     `Backoff`: pauses that double up to a bound, with jitter, until a budget of time is
used up. The log has `QUICK`,
                 by `retried`; what is followed for ever has `PATIENT`. Work has its own delays,
                 kept by the server and so outliving the worker:
                 `ringrift.runtime.work.RETRY_DELAYS_SECONDS`; dead letters theirs, kept as facts:
                 `ringrift.deciders.fleet.dead_letters`.
Waiting          every question to the server has a limit (`*_SECONDS_MAX` beside it) and lies
within the budget of its backoff,
                 so a whole chain ends in time: a worker tells the server that it lives
                 (`WORK_ACK_SECONDS`) or loses its ticket.
Holding back     the work queue refuses when it is full (`WORK_TICKETS_MAX`) and the dispatcher
waits; a worker takes one ticket at
                 a time and none under pressure; games in flight are bounded (`IN_FLIGHT_MAX`), as
                 are computed ones (`QUEUE_MAX`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import nats.errors
from msgspec import Struct

from ringrift.log import api
from ringrift.log.connect import MOVE_SECONDS, Connection
from ringrift.log.errors import LeaderChanged, LogUnavailable, ServerRefused

JITTER = (0.5, 1.5)
"""factor on every pause, so that those who failed together do not come back together"""
IN_FLIGHT_SECONDS = 0.002
"""a conflict with a message still on its way to the replicas: it is decided within about a
millisecond"""

T = TypeVar("T")


class Backoff(Struct, frozen=True, kw_only=True):
    """Pauses of `first_seconds`, then twice as long each time up to `longest_seconds`, within
    `budget_seconds` (None: for ever)."""

    first_seconds: float
    longest_seconds: float
    budget_seconds: float | None

    def pauses(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> Iterator[float]:
        """The pauses to make, one before every further try; ends when the next would end beyond the
        budget."""
        end = None if self.budget_seconds is None else now() + self.budget_seconds
        pause = self.first_seconds
        while end is None or now() + pause <= end:
            yield pause * chance(*JITTER)
            pause = min(pause * 2, self.longest_seconds)


QUICK = Backoff(first_seconds=0.05, longest_seconds=1.0, budget_seconds=30.0)
"""the log: a cluster that lost its leader takes 4 to 9 s, a restarted server less"""
PATIENT = Backoff(first_seconds=0.5, longest_seconds=2.0, budget_seconds=None)
"""what has nothing better to do than to come back"""


async def retried(
    attempt: Callable[[], Coroutine[Any, Any, T | None]],
    what: str,
    client: Connection | None = None,
) -> T:
    """The first result of `attempt` that is not None, tried again while the server is away, for a
    bounded time: with a `client` at once when a stream has a new leader, and on another server
    after `MOVE_SECONDS` without a result.

    Raises LogUnavailable when the budget of `QUICK` is used up, at once what another try would not
    change."""
    why, waiting_since = "refused again and again", time.monotonic()
    for pause in QUICK.pauses():
        try:
            result = await attempt()
            if result is not None:
                return result
        except ServerRefused as error:
            if error.code in api.IN_FLIGHT:
                pause = IN_FLIGHT_SECONDS * random.uniform(*JITTER)
            elif error.status != 503:
                raise
            why = str(error)
        except (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError) as error:
            raise LogUnavailable(f"{what}: this process has closed its connection") from error
        except LeaderChanged as error:
            pause, why = 0.0, str(error)
        except (nats.errors.Error, LogUnavailable, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
        if client is not None and time.monotonic() - waiting_since >= MOVE_SECONDS:
            await client.move()
            waiting_since = time.monotonic()
        await (asyncio.sleep if client is None else client.rest)(pause)
    raise LogUnavailable(f"{what}: not acknowledged within {QUICK.budget_seconds:g} s ({why})")
