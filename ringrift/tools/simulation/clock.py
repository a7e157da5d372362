"""The virtual clock of both simulators: time passes only from one callback to the next, so hours
cost nothing and every run is the same."""

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment at which a simulation begins."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualClock:
    """A clock and its scheduled callbacks. Those of the same moment run in the order in which they
    were scheduled."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Since `START`."""
        self._agenda: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    @property
    def time(self) -> datetime:
        """The virtual moment."""
        return START + timedelta(seconds=self.seconds)

    @property
    def timestamp(self) -> float:
        """The virtual moment in seconds since 1970."""
        return START.timestamp() + self.seconds

    def call_at(self, seconds: float, act: Callable[..., object], *arguments: Any) -> None:
        """Call `act` at this moment, in seconds since `START`."""
        heapq.heappush(self._agenda, (seconds, next(self._order), act, arguments))

    def call_later(self, seconds: float, act: Callable[..., object], *arguments: Any) -> None:
        """Call `act` after this time."""
        self.call_at(self.seconds + seconds, act, *arguments)

    def step(self, end: float | None = None) -> bool:
        """Advance to the next callback and run it; False if there is none, or none until `end`."""
        if not self._agenda or (end is not None and self._agenda[0][0] > end):
            return False
        due, _, act, arguments = heapq.heappop(self._agenda)
        self.seconds = max(self.seconds, due)
        act(*arguments)
        return True


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock: where a real loop waits, this one advances the clock."""

    def __init__(self, clock: VirtualClock, selector: selectors.BaseSelector | None = None) -> None:
        self.clock = clock
        super().__init__(selector or _NoSelector(clock))

    def time(self) -> float:
        """See `VirtualClock.seconds`."""
        return self.clock.seconds

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule on the clock."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)

        def run() -> None:
            if not handle.cancelled():
                callback(*args)

        self.clock.call_at(when, lambda: self.call_soon(run, context=context))
        return handle


class _NoSelector(selectors.SelectSelector):
    """There are no sockets to wait for, only the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        # None: nothing is ready to run, so the next step of the clock must make something ready
        if timeout is None and not self._clock.step():
            raise RuntimeError("all tasks wait and nothing is scheduled")
        return []


def run(main: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """`asyncio.run` on a virtual clock."""
    loop = VirtualLoop(clock)
    try:
        return loop.run_until_complete(main)
    finally:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
