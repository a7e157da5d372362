"""An event loop on virtual time, so that tests which wait take no time.

    def pytest_asyncio_loop_factories(config, item):  # in the conftest.py of a directory
        return virtual_time.loop_factories(item)

A test marked `real_time` runs on a real event loop: one that uses sockets needs it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

THREAD_SECONDS = 0.02
"""real time for threads to finish before timers run"""
DEADLOCK_SECONDS = 5.0
"""real time without an event and without a timer after which a test is stuck"""
EPOCH = 1_800_000_000.0
"""wall clock at virtual time 0, seconds since 1970"""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: once nothing is ready it advances to its next timer.
    Virtual time stands still while threads work."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.seconds

    def wall(self) -> float:
        """Seconds since 1970."""
        return EPOCH + self.seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: object) -> None:
        self.threads -= 1


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            events = super().select(DEADLOCK_SECONDS)
            if not events:
                raise RuntimeError("all tasks wait and no timer is set")
            return events
        patience = THREAD_SECONDS if self._loop.threads else 0.0
        events = super().select(min(timeout, patience))
        if not events:
            self._loop.seconds += timeout
        return events


def loop_factories(item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that a test runs on, for the hook of pytest-asyncio."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualLoop}
