"""Words to systemd, heard on a socket of our own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime.condition import STALLED_SECONDS_MAX, Condition
from ringrift.runtime.notify import ALIVE, READY, STOPPING, Watchdog, keep_alive, notify
from ringrift.runtime.process import Process


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield ear


def test_what_is_said_is_heard(systemd: socket.socket) -> None:
    notify(READY)
    assert systemd.recv(64) == b"READY=1"


def test_a_process_that_stops_says_so_once(systemd: socket.socket) -> None:
    log = MemoryLog(MemoryBroker())
    process = Process("rater", "test", log)
    process.stop()
    process.stop()
    notify(READY)
    assert [systemd.recv(64), systemd.recv(64)] == [STOPPING.encode(), READY.encode()]


async def test_the_watchdog_hears_of_us_while_we_live(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    looks = iter([True, False, False, True])
    told = asyncio.create_task(keep_alive(lambda: next(looks)))
    with contextlib.suppress(RuntimeError):  # it has looked four times
        await told
    systemd.setblocking(False)
    assert [systemd.recv(64), systemd.recv(64)] == [ALIVE.encode()] * 2
    with pytest.raises(BlockingIOError):
        systemd.recv(64)


async def test_the_watchdog_hears_nothing_more_once_a_decider_is_stuck(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    condition, now = (
        Condition(),
        iter([1.0, 2.0, 3.0 + STALLED_SECONDS_MAX, 4.0 + STALLED_SECONDS_MAX]),
    )
    condition.observed(5, 6, 2.0)  # behind, and at the same place from here on
    with contextlib.suppress(RuntimeError):  # it has looked four times
        await asyncio.create_task(keep_alive(lambda: condition.alive(next(now))))
    systemd.setblocking(False)
    assert [systemd.recv(64), systemd.recv(64)] == [ALIVE.encode()] * 2
    with pytest.raises(BlockingIOError):
        systemd.recv(64)


def test_a_child_is_silent_once_it_was_ready_and_says_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    with Watchdog(10.0, lambda: clock[0]) as ear:
        clock[0] = 1000.0
        assert not ear.silent(), "it starts"
        for name, value in ear.environment.items():
            monkeypatch.setenv(name, value)
        assert ear.environment["WATCHDOG_USEC"] == "10000000"
        notify(READY)
        assert not ear.silent()
        clock[0] += 9.0
        notify(ALIVE)
        assert not ear.silent()
        clock[0] += 10.5
        assert ear.silent()
    notify(ALIVE)  # nobody listens any more


@pytest.mark.parametrize("wanted", [None, "", "0", "soon"])
async def test_without_a_watchdog_nobody_is_told(
    wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if wanted is not None:
        monkeypatch.setenv("WATCHDOG_USEC", wanted)
    await keep_alive(lambda: pytest.fail("nobody asked"))


def test_nobody_listening_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "@ringrift-test-nobody")
    notify(READY)
