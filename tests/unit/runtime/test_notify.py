"""Reports to a supervisor, received on a socket of our own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.system import System

from ringrift.runtime.condition import STALLED_SECONDS_MAX, Condition
from ringrift.runtime.notify import ALIVE, READY, STOPPING, Watchdog, keep_alive, notify


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def received(systemd: socket.socket) -> list[str]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(systemd.recv(64).decode())
    return found


def test_a_state_is_received(systemd: socket.socket) -> None:
    notify(READY)
    assert received(systemd) == ["READY=1"]


async def test_a_process_reports_once_that_it_stops(systemd: socket.socket, system: System) -> None:
    process = system.process()
    process.stop()
    process.stop()
    assert received(systemd) == [STOPPING]


async def test_the_watchdog_is_notified_while_the_process_is_alive(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    looks = iter([True, False, False, True])
    with contextlib.suppress(RuntimeError):  # after four looks
        await asyncio.create_task(keep_alive(lambda: next(looks)))
    assert received(systemd) == [ALIVE, ALIVE]


async def test_the_watchdog_is_not_notified_by_a_stalled_decider(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    condition, stalled = Condition(), 2.0 + STALLED_SECONDS_MAX
    condition.observed(5, 6, 2.0)
    looks = iter([2.0, 3.0, stalled, stalled + 1])
    with contextlib.suppress(RuntimeError):  # after four looks
        await asyncio.create_task(keep_alive(lambda: condition.alive(next(looks))))
    assert received(systemd) == [ALIVE, ALIVE]


@pytest.mark.parametrize("interval", [None, "", "0", "soon"])
async def test_without_a_watchdog_nothing_is_sent(
    interval: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if interval is not None:
        monkeypatch.setenv("WATCHDOG_USEC", interval)
    await keep_alive(lambda: pytest.fail("looked"))


def test_a_missing_receiver_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY)
    for address in (str(tmp_path / "gone"), "@ringrift-test-nobody"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify(READY)


def test_a_child_is_silent_once_its_states_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    with Watchdog(10.0, lambda: now) as watchdog:
        now = 1000.0
        assert not watchdog.silent(), "it starts"
        for name, value in watchdog.environment.items():
            monkeypatch.setenv(name, value)
        notify(READY)
        assert not watchdog.silent()
        now += 5.0
        assert not watchdog.silent()
        now += 4.0
        notify(ALIVE)
        assert not watchdog.silent()
        for _ in range(10):
            now += 1.0
            assert not watchdog.silent()
        now += 1.0
        assert watchdog.silent()


def test_a_watchdog_counts_no_time_in_which_everything_was_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    with Watchdog(120.0, lambda: now) as watchdog:
        for name, value in watchdog.environment.items():
            monkeypatch.setenv(name, value)
        notify(READY)
        assert not watchdog.silent()
        now += 135.0
        assert not watchdog.silent()
        for _ in range(115):
            now += 1.0
            assert not watchdog.silent()
        now += 1.0
        assert watchdog.silent()


@pytest.mark.parametrize("folder", ["/tmp/" + "x" * 137, "/nonexistent"])
def test_a_watchdog_needs_no_temporary_folder(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Watchdog(10.0, lambda: 0.0) as watchdog:
        assert watchdog.environment["NOTIFY_SOCKET"].startswith("@")


def test_a_child_learns_the_interval_of_its_watchdog() -> None:
    with Watchdog(10.0) as watchdog:
        assert watchdog.environment["WATCHDOG_USEC"] == "10000000"
