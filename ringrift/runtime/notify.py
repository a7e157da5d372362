"""Reports the state of a process to its supervisor: a datagram to the socket that NOTIFY_SOCKET
names (man sd_notify).

systemd listens to its units, `ringrift up` and `ringrift node run` to their children. Without the
variable nothing is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
AWAKE_SECONDS_MAX = 5.0
"""between two looks of a watchdog; more is sleep, and does not count"""
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""meant for one process, so its children must not inherit them"""


def notify(state: str) -> None:
    """Send an sd_notify state. Errors are ignored."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)  # a full socket must not block the process
        sender.sendto(state.encode(), _path(address))


def _path(address: str) -> str:
    """The path of a socket. A name in Linux's abstract namespace begins with @; it needs no folder,
    so that a long or full TMPDIR does no harm."""
    return "\0" + address[1:] if address.startswith("@") else address


async def keep_alive(alive: Callable[[], bool]) -> None:
    """Send ALIVE twice per watchdog interval while `alive()` is true, until cancelled. Returns at
    once if no watchdog is configured."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return
    while True:
        if alive():
            notify(ALIVE)
        await asyncio.sleep(int(microseconds) / 2e6)


class Watchdog:
    """The supervisor's end: receives a child's states and detects its silence. A context manager.
    `now` is a monotonic clock in seconds."""

    def __init__(
        self, silent_seconds_max: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._silent_seconds_max, self._now = silent_seconds_max, now
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = f"@ringrift-{secrets.token_hex(16)}"
        if sys.platform != "linux":
            self._address = f"/tmp/{self._address}"
        self._socket.bind(_path(self._address))
        self._socket.setblocking(False)
        self._silent_seconds: float | None = None
        """None: nothing was heard yet"""
        self._looked_at = now()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the child."""
        microseconds = round(self._silent_seconds_max * 1e6)
        return {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": str(microseconds)}

    def silent(self) -> bool:
        """Whether a child that has sent a state before has been silent for too long.

        Called about once a second; while the machine slept, or everything was stopped, the child
        could not send, and this process did not look."""
        now = self._now()
        looked_at, self._looked_at = self._looked_at, now
        if self._silent_seconds is not None:
            self._silent_seconds += min(now - looked_at, AWAKE_SECONDS_MAX)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(64)
                self._silent_seconds = 0.0
        return (self._silent_seconds or 0.0) > self._silent_seconds_max

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        Path(self._address).unlink(missing_ok=True)
