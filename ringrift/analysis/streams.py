"""The standard streams of the engine."""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final

from ringrift.analysis.engine import LINE_BYTES_MAX

BLOCK_BYTES: Final = 1 << 16
LINES_AHEAD: Final = 64
"""lines that are read before they are handled"""


def write(line: bytes) -> None:
    """Write a line to standard output. Raises OSError if that fails."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


async def lines() -> AsyncIterator[bytes]:
    """Lines of standard input, read in a thread that does not delay the end of the program."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()
    slots = threading.Semaphore(LINES_AHEAD)

    def put(line: bytes | None) -> None:
        slots.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the program ends
            read_all()

    def read_all() -> None:
        rest = b""
        while block := os.read(sys.stdin.fileno(), BLOCK_BYTES):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                put(line)
            rest = rest[: LINE_BYTES_MAX + 1]  # enough to be refused
        put(rest)
        put(None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        slots.release()
        yield line
