"""An event loop on virtual time, so that tests which wait take no time.

    def pytest_asyncio_loop_factories(config, item):  # in the conftest.py of a directory
        return virtual_time.loop_factories(item)

Unlike the loop of the simulators it permits threads. A test marked `real_time` runs on a real event
loop, because it uses sockets."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ringrift.tools.simulation import clock

THREAD_SECONDS = 2.0
"""real time for threads to finish before the clock moves on; a thread that waits for the loop needs
all of it"""
DEADLOCK_SECONDS = 5.0
"""real time without an event and without a timer after which a test is stuck"""


class VirtualLoop(clock.VirtualLoop):
    """A virtual loop with threads: the clock stands still while they work."""

    def __init__(self) -> None:
        self.threads = 0
        super().__init__(clock.VirtualClock(), _Selector(self))

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.clock.timestamp

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: object) -> None:
        self.threads -= 1


class _Selector(selectors.DefaultSelector):
    """Waits for events of threads and sockets in real time, then advances the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout == 0:  # something is ready to run
            return super().select(0)
        events = super().select(THREAD_SECONDS if self._loop.threads else 0)
        while not events and self._loop.threads and _threads_run():
            events = super().select(THREAD_SECONDS)
        if events or self._loop.clock.step():
            return events
        if events := super().select(DEADLOCK_SECONDS):
            return events
        raise RuntimeError("all tasks wait and no timer is set")


def _threads_run() -> bool:
    """Whether another thread of this process computes or waits for the disk. On a loaded machine
    `THREAD_SECONDS` may pass before it gets a core."""
    own = str(threading.get_native_id())
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):
            state = (task / "stat").read_text().rpartition(") ")[2][:1]
            if state in "RD" and task.name != own:
                return True
    return False


def loop_factories(item: Any) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop that a test runs on, for the hook of pytest-asyncio."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualLoop}
