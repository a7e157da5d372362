"""Retries, timeouts and backpressure: one mechanism for each.

Retries
    `Backoff` doubles its pauses up to a limit, with jitter, within a budget of time. Operations of
    the log use `QUICK` by `retried`; jobs that run until cancelled use `PATIENT`. The delays of
    tickets are kept by the server and outlive the worker
    (the setting `operation.ticket_waits`), those of dead letters are facts
    (`ringrift.deciders.fleet.dead_letters`).
Timeouts
    Each request to the server has a limit (`*_SECONDS_MAX`) within the budget of its backoff. A
    worker asks for more time (`WORK_ACK_SECONDS`) or loses its ticket.
Backpressure
    A full work queue refuses tickets (`WORK_TICKETS_MAX`) and the dispatcher waits; a worker takes
    one ticket at a time and none under pressure; games in flight are bounded (`IN_FLIGHT_MAX`), and
    so are computed ones (`QUEUE_MAX`).
"""

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
"""factor on every pause, so that processes that failed together do not retry together"""
IN_FLIGHT_SECONDS = 0.002
"""after a conflict with a message in flight to the replicas, which ends within a millisecond"""

T = TypeVar("T")


class Backoff(Struct, frozen=True, kw_only=True):
    """Pauses of `first_seconds`, doubled each time up to `longest_seconds`, within `budget_seconds`
    (None: no limit)."""

    first_seconds: float
    longest_seconds: float
    budget_seconds: float | None

    def pauses(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> Iterator[float]:
        """The pauses before each further attempt, while they end within the budget."""
        end = None if self.budget_seconds is None else now() + self.budget_seconds
        pause = self.first_seconds
        while end is None or now() + pause <= end:
            yield pause * chance(*JITTER)
            pause = min(pause * 2, self.longest_seconds)


QUICK = Backoff(first_seconds=0.05, longest_seconds=1.0, budget_seconds=30.0)
"""a cluster that lost its leader needs 4 to 9 s, a restarted server less"""
PATIENT = Backoff(first_seconds=0.5, longest_seconds=2.0, budget_seconds=None)
"""for jobs that run until cancelled"""


async def retried(
    attempt: Callable[[], Coroutine[Any, Any, T | None]], what: str, client: Connection
) -> T:
    """Return the first result of `attempt` that is not None; retry while the server is unavailable.

    Retry at once when a stream has a new leader, and on another server after `MOVE_SECONDS` without
    a result. Raises LogUnavailable when the budget of `QUICK` is used up;
    other errors, which a retry would not change, are raised at once."""
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
        if time.monotonic() - waiting_since >= MOVE_SECONDS:
            await client.move()
            waiting_since = time.monotonic()
        await client.rest(pause)
    raise LogUnavailable(f"{what}: not acknowledged within {QUICK.budget_seconds:g} s ({why})")
