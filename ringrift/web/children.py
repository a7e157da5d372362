"""Work that a page starts and that may be large: in a child process with limits of time, memory and
output, one at a time of each kind; the page shows the answer once it is there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from subprocess import SubprocessError
from typing import Generic, TypeVar

from starlette.exceptions import HTTPException

from ringrift.web.latest import Latest

MEMORY_BYTES_MAX = 6 << 30
"""of addresses; libraries reserve much more than they use"""
FILE_BYTES_MAX = 1 << 30
OUTPUT_BYTES_MAX = 64 << 20
WAITING_MAX = 4
"""requests that wait for a child of a kind; any more are refused"""
ANSWERS_MAX = 8
"""kept of each kind of work"""
SIZE_BYTES = 8
"""of the number that precedes a message to or from a child that answers many"""

T = TypeVar("T")


class Answers(Generic[T]):
    """Answers to what pages ask, by key; `touch` is called when one is there."""

    def __init__(self, touch: Callable[[], None]) -> None:
        self._touch = touch
        self._tasks = Latest[Hashable, asyncio.Task[T]](ANSWERS_MAX)

    async def get(self, key: Hashable, work: Callable[[], Awaitable[T]], wait: float) -> T | None:
        """Return the answer, None if it is not there within `wait` seconds; the work goes on.

        Raises what it raised."""
        if (task := self._tasks.get(key)) is None:
            task = asyncio.create_task(self._run(work))
            if oldest := self._tasks.put(key, task):
                oldest.cancel()
        await asyncio.wait([task], timeout=wait)
        return await task if task.done() else None

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            self._touch()

    async def close(self) -> None:
        """End all work."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


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
        async with self.turn():
            return await self._run(arguments, seconds, given, environment)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn of a request. Raises HTTPException if too many wait."""
        if self._waiting >= WAITING_MAX:
            raise HTTPException(503, f"{self.what}: {WAITING_MAX} requests wait; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    async def _run(
        self,
        arguments: Sequence[str],
        seconds: float,
        given: bytes,
        environment: Mapping[str, str] | None,
    ) -> tuple[int, bytes, str]:
        async with _child(arguments, environment, int(seconds) + 5) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is not None
            async with self._in_time(seconds):
                child.stdin.write(given)
                child.stdin.close()
                said = asyncio.create_task(_end_of(child.stderr))
                output = b"".join([part async for part in _bounded(child.stdout)])
                return await child.wait(), output, (await said).decode(errors="replace").strip()

    @contextlib.asynccontextmanager
    async def _in_time(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            why = f"{self.what}: ended after {seconds:g} s; ask for less"
            raise HTTPException(503, why) from error


class Server(Children):
    """A child that answers one message after another, so that its start is waited for once. It is
    ended when an answer takes too long or is too large, and the next message starts another."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._stack = contextlib.AsyncExitStack()
        self._child: Process | None = None

    async def ask(self, arguments: Sequence[str], given: bytes, seconds: float) -> bytes | None:
        """Return the answer to a message, None if the child has died. Raises HTTPException."""
        async with self.turn():
            try:
                async with self._in_time(seconds):
                    child = self._child or await self._start(arguments)
                    assert child.stdin is not None
                    assert child.stdout is not None
                    child.stdin.write(len(given).to_bytes(SIZE_BYTES) + given)
                    size = int.from_bytes(await child.stdout.readexactly(SIZE_BYTES))
                    if size > OUTPUT_BYTES_MAX:
                        raise _too_much()
                    answer = await child.stdout.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                await self.end()
                return None
            except BaseException:
                await self.end()
                raise
            return answer

    async def _start(self, arguments: Sequence[str]) -> Process:
        self._child = await self._stack.enter_async_context(_child(arguments, plain_environment()))
        return self._child

    async def renew(self, arguments: Sequence[str]) -> None:
        """Start another child once the present one is idle."""
        async with self._turn:
            await self.end()
            await self._start(arguments)

    async def end(self) -> None:
        """End the child; the next message starts another."""
        self._child = None
        await self._stack.aclose()


def reason(said: str) -> str:
    """Return in one line why a child failed, from what it wrote about that: the last line, without
    the path of an error of this program."""
    line = said.rstrip().rpartition("\n")[2].removeprefix("ringrift: ")
    return re.sub(r"^(\w+\.)+\w+: ", "", line)[:400] or "it failed"


def plain_environment() -> dict[str, str]:
    """Return the part of the environment that says where this program is, without any secret."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


@contextlib.asynccontextmanager
async def _child(
    arguments: Sequence[str], environment: Mapping[str, str] | None, seconds: int | None = None
) -> AsyncIterator[Process]:
    """A child process, killed with its children at the end of the block. Raises HTTPException."""
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=None if seconds is None else PIPE,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _limited(seconds),
        )
    except (OSError, SubprocessError) as error:
        remedy = "look at the limits of memory and processes of the user that runs the pages"
        raise HTTPException(503, f"no process can be started: {error}; {remedy}") from error
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


async def _bounded(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    left = OUTPUT_BYTES_MAX
    while part := await stream.read(1 << 16):
        left -= len(part)
        if left < 0:
            raise _too_much()
        yield part


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """The end of a stream, all of which is read, so that the child never waits for this."""
    end = b""
    while part := await stream.read(1 << 16):
        end = (end + part)[-(1 << 16) :]
    return end


def _too_much() -> HTTPException:
    return HTTPException(413, f"the answer has more than {OUTPUT_BYTES_MAX >> 20} MiB")


def _limited(seconds: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
