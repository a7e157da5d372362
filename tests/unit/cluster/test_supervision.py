"""Children that cannot be started, terminals that are gone, and signals."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ringrift.cluster.supervisor import Child, stop_on_signals, supervise


class Recorded(Child):
    """A child without a process; `events` records what happens to it."""

    def __init__(self, events: list[str], failure: Exception | None = None) -> None:
        super().__init__("rater", "nats://127.0.0.1:1", Path("logs/rater.log"), {})
        self.events, self.failure = events, failure

    async def run(self, stopping: asyncio.Event, say: object) -> None:
        if self.failure:
            raise self.failure
        await stopping.wait()

    def signal(self, number: int) -> None:
        self.events.append(signal.Signals(number).name)


async def test_a_child_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    child = Child("rater", "nats://127.0.0.1:1", tmp_path / "missing" / "rater.log", {})
    stopping, said = asyncio.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        stopping.set()

    await supervise([child], stopping, say)
    assert said[0].startswith("rater cannot be started: [Errno 2]")
    assert child.problem.startswith("[Errno 2]")


async def test_children_get_their_signal_before_anything_is_printed() -> None:
    events: list[str] = []
    stopping = asyncio.Event()
    stopping.set()
    await supervise([Recorded(events)], stopping, events.append)
    assert events == ["SIGTERM", "draining: consumers finish or hand back their tickets"]


async def test_a_closed_terminal_does_not_keep_children_from_draining() -> None:
    def say(text: str) -> None:
        raise OSError(5, "Input/output error")

    events: list[str] = []
    stopping = asyncio.Event()
    stopping.set()
    await supervise([Recorded(events)], stopping, say)
    assert events == ["SIGTERM"]


async def test_what_ends_the_watch_over_a_child_drains_the_others_and_is_raised() -> None:
    events: list[str] = []
    children = [Recorded([], RuntimeError("a bug")), Recorded(events)]
    with pytest.raises(RuntimeError, match="a bug"):
        await supervise(children, asyncio.Event(), lambda text: None)
    assert events == ["SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops(number: signal.Signals) -> None:
    stopping = asyncio.Event()
    stop_on_signals(stopping.set)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await stopping.wait()


async def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop_on_signals(lambda: None)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
