"""Telling systemd how this process is: a datagram to the socket it names in NOTIFY_SOCKET (man sd_notify). Elsewhere nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

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
        bell.sendto(state.encode(), address)


async def keep_alive(alive: Callable[[], bool]) -> None:
    """Say that we live twice as often as systemd wants to hear it, while it is true; for ever, or at once if it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return
    while True:
        if alive():
            notify(ALIVE)
        await asyncio.sleep(int(microseconds) / 2e6)
