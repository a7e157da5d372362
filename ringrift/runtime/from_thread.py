"""Items computed in a thread, consumed in the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from ringrift.runtime.process import Process

QUEUE_MAX = 64
"""items computed ahead of their consumer"""
Item = TypeVar("Item")


async def from_thread(process: Process, make: Callable[[], Iterator[Item]]) -> AsyncIterator[Item]:
    """Yield the items of a slow iterator, which runs in a thread.

    Raises what the iterator raises, and Drained when the process must hand back its work."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Item | BaseException | None] = asyncio.Queue(QUEUE_MAX)
    quitting = threading.Event()

    def put(item: Item | BaseException | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    def produce() -> None:
        try:
            for item in make():
                put(item)
                if quitting.is_set():
                    return
        except Exception as error:  # noqa: BLE001  raised again on the consumer's side
            put(error)
        else:
            put(None)

    running = asyncio.ensure_future(asyncio.to_thread(produce))
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            process.check_stop()
    finally:
        quitting.set()
        while not running.done():  # make room, so that the thread sees the flag
            while not queue.empty():
                queue.get_nowait()
            await asyncio.wait({running}, timeout=0.05)
