"""Items computed in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from support.system import System

from ringrift.consumers.games.playing import from_thread
from ringrift.runtime.process import Drained, Process


async def test_items_arrive_in_order_and_the_error_after_them(system: System) -> None:
    def numbers() -> Iterator[int]:
        yield from range(100)
        raise ValueError("spent")

    seen: list[int] = []
    with pytest.raises(ValueError, match="spent"):
        await collect(system.process(), numbers(), seen)
    assert seen == list(range(100))


async def test_the_thread_ends_when_the_process_drains(system: System) -> None:
    def numbers() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            ended.set()

    ended, process = threading.Event(), system.process()
    with pytest.raises(Drained):
        await collect(process, numbers(), [], stop_at=10)
    assert ended.wait(5)


async def collect(
    process: Process, items: Iterator[int], into: list[int], stop_at: int = -1
) -> None:
    async for number in from_thread(process, items):
        into.append(number)
        if number == stop_at:
            process.stop()
