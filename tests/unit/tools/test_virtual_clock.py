"""The virtual clock advances from one callback to the next, also under asyncio."""

from __future__ import annotations

import asyncio

import pytest

from ringrift.tools.simulation.clock import START, VirtualClock, run


def test_callbacks_run_in_order_of_time_then_of_scheduling() -> None:
    clock, called = VirtualClock(), list[str]()
    clock.call_later(2.0, called.append, "late")
    clock.call_later(1.0, called.append, "first")
    clock.call_at(1.0, called.append, "second")
    while clock.step():
        pass
    assert called == ["first", "second", "late"]
    assert clock.seconds == 2.0
    assert (clock.time - START).total_seconds() == 2.0


def test_a_step_does_not_pass_the_end() -> None:
    clock = VirtualClock()
    clock.call_later(2.0, print)
    assert not clock.step(end=1.0)
    assert clock.seconds == 0.0


def test_a_loop_advances_the_clock_instead_of_waiting() -> None:
    clock = VirtualClock()

    async def wait() -> float:
        await asyncio.gather(asyncio.sleep(3600.0), asyncio.sleep(7200.0))
        return asyncio.get_running_loop().time()

    assert run(wait(), clock) == clock.seconds == 7200.0


def test_sleepers_of_one_moment_wake_in_order() -> None:
    woken: list[int] = []

    async def sleep(number: int) -> None:
        await asyncio.sleep(1.0)
        woken.append(number)

    async def sleep_together() -> None:
        await asyncio.gather(*map(sleep, range(20)))

    run(sleep_together(), VirtualClock())
    assert woken == list(range(20))


def test_a_cancelled_timer_is_not_called() -> None:
    called: list[int] = []

    async def cancel() -> None:
        loop = asyncio.get_running_loop()
        first, _ = loop.call_later(1.0, called.append, 1), loop.call_later(1.0, called.append, 2)
        first.cancel()
        await asyncio.sleep(2.0)

    run(cancel(), VirtualClock())
    assert called == [2]


def test_a_loop_in_which_all_tasks_wait_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="all tasks wait"):
        run(asyncio.Event().wait(), VirtualClock())
