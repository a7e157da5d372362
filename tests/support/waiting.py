"""Waiting for servers and other processes, which do not report when they are ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ringrift.log.errors import LogUnavailable

T = TypeVar("T")


async def eventually(
    found: Callable[[], Awaitable[T]], seconds_max: float, every_seconds: float = 0.1
) -> T:
    """The first true result of `found`. Raises TimeoutError if there is none in `seconds_max`."""
    end = asyncio.get_running_loop().time() + seconds_max
    async with asyncio.timeout(seconds_max):
        while not (result := await found()):
            if asyncio.get_running_loop().time() > end:  # `found` has caught the cancellation
                raise TimeoutError
            await asyncio.sleep(every_seconds)
    return result


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """The result of a call to the log, repeated while the log is away. Raises other
    StreamErrors."""
    while True:
        with contextlib.suppress(LogUnavailable):
            return await call()
