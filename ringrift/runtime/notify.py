"""Telling who watches over this process how it is: a datagram to the socket that NOTIFY_SOCKET
names (man sd_notify).

systemd listens to its units, `ringrift up` and `ringrift node run` to their children. Elsewhere
nothing is said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""addressed to one process, so its children must not have them"""


def notify(state: str) -> None:
    """Say one of the words above. Whoever cannot be told does without."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # a name outside the file system
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)  # whoever does not listen must not keep us
        bell.sendto(state.encode(), address)


async def keep_alive(alive: Callable[[], bool]) -> None:
    """Say that we live twice as often as systemd wants to hear it, while it is true; for ever, or
    at once if it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return
    while True:
        if alive():
            notify(ALIVE)
        await asyncio.sleep(int(microseconds) / 2e6)


class Ear:
    """Hears a child as systemd hears a unit: whether it has lately said that it lives. Use as a
    context."""

    def __init__(self, silent_seconds_max: float) -> None:
        self._silent_seconds_max = silent_seconds_max
        self._folder = tempfile.TemporaryDirectory(prefix="ringrift-")
        self._path = str(Path(self._folder.name) / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        self._socket.setblocking(False)
        self._heard_at: float | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the child has to be told."""
        return {
            "NOTIFY_SOCKET": self._path,
            "WATCHDOG_USEC": str(round(self._silent_seconds_max * 1e6)),
        }

    def silent(self) -> bool:
        """Whether a child that was ready has said nothing for too long."""
        now = time.monotonic()
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(64)
                self._heard_at = now
        return self._heard_at is not None and now - self._heard_at > self._silent_seconds_max

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._folder.cleanup()
