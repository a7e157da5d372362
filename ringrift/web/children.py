"""Work that a page starts and that may be large: in a child process with limits of time, memory and
output, one at a time of each kind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from starlette.exceptions import HTTPException

MEMORY_BYTES_MAX = 6 << 30
"""of addresses; libraries reserve much more than they use"""
FILE_BYTES_MAX = 1 << 30
OUTPUT_BYTES_MAX = 16 << 20
WAITING_MAX = 4
"""requests that wait for a child of a kind; any more are refused"""


class Children:
    """Runs Python modules of this program, one at a time; `what` names them for people."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float,
        given: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, str]:
        """Return exit status, output and errors of a child that gets `given` on its input.

        Raises HTTPException if too many wait, and if it takes too long or says too much."""
        if self._waiting >= WAITING_MAX:
            raise HTTPException(503, f"{self.what}: {WAITING_MAX} requests wait; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._run(arguments, seconds, given, environment)
        finally:
            self._waiting -= 1

    async def _run(
        self,
        arguments: Sequence[str],
        seconds: float,
        given: bytes,
        environment: Mapping[str, str] | None,
    ) -> tuple[int, bytes, str]:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _limited(int(seconds) + 5),
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            async with asyncio.timeout(seconds):
                child.stdin.write(given)
                child.stdin.close()
                said = asyncio.create_task(child.stderr.read(1 << 16))
                output = b"".join([part async for part in _bounded(child.stdout)])
                return await child.wait(), output, (await said).decode(errors="replace").strip()
        except TimeoutError as error:
            why = f"{self.what}: ended after {seconds:g} s; ask for less"
            raise HTTPException(503, why) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def _bounded(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    left = OUTPUT_BYTES_MAX
    while part := await stream.read(1 << 16):
        left -= len(part)
        if left < 0:
            raise HTTPException(413, f"the answer has more than {OUTPUT_BYTES_MAX >> 20} MiB")
        yield part


def _limited(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
