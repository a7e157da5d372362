"""Time as a process sees it; tests and the simulator pass a clock of their own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct


class Clock(Struct, frozen=True):
    """`monotonic` measures durations and leases, `wall` counts seconds since 1970."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def now(self) -> datetime:
        """The wall clock as a datetime in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)
