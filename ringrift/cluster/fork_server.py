"""Starts consumers as forks of one process that has imported what they need, so that they share
that memory: torch alone takes 270 MB, which each of them would hold.

    python -m ringrift.cluster.fork_server ringrift.consumers.selfplay ...

A line of JSON on standard input asks for a process, a `Request`; a line on standard output answers
with its id, and another one with the status with which it ended. The server imports, and does
nothing else: it has one thread, and no connection. Its forks end when it does, and it ends with its
standard input."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec import Struct

from ringrift.server.binary import end_with_parent

READ_BYTES = 65_536
LOST = -int(signal.SIGKILL)
"""status of a fork whose server has ended"""
NAME_CHARS_MAX = 15
_PR_SET_NAME = 15


class Request(Struct, frozen=True):
    """A process to start: Python's arguments from `-m` on, its environment and its log."""

    number: int
    words: tuple[str, ...]
    environment: dict[str, str]
    log: str


class Answer(Struct, frozen=True):
    """The id of a process that was started, or the status of one that ended; negative for a
    signal."""

    number: int
    pid: int
    status: int | None = None


def main(modules: Sequence[str]) -> None:
    """Serve; in each fork, run its module."""
    for name in modules:
        with contextlib.suppress(ImportError):  # its own process says so
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection writes to objects, and what is written is not shared any more
    request = _serve()
    if request is not None:
        _become(request)


def _serve() -> Request | None:
    """Fork until standard input ends; return the request in a fork, None in the server."""
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    prepare = end_with_parent()
    numbers: dict[int, int] = {}
    buffer = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, READ_BYTES)
            _report_ended(numbers)
        if 0 not in ready:
            continue
        read = os.read(0, READ_BYTES)
        if not read:
            return None
        *lines, buffer = (buffer + read).split(b"\n")
        for line in lines:
            request = msgspec.json.decode(line, type=Request)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                if prepare:
                    prepare()
                return request
            numbers[pid] = request.number
            _answer(Answer(request.number, pid))


def _report_ended(numbers: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):  # none is left
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if (number := numbers.pop(pid, None)) is not None:
                _answer(Answer(number, pid, os.waitstatus_to_exitcode(status)))


def _answer(answer: Answer) -> None:
    os.write(1, msgspec.json.encode(answer) + b"\n")


def _become(request: Request) -> None:
    """Run the module of a request as if this process had been started for it."""
    os.setsid()
    log = os.open(request.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request.environment)
    _, module, *arguments = request.words
    name = module.rpartition(".")[2].encode()[:NAME_CHARS_MAX]
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it is run, as the main module
    status: object = None
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001  as Python ends a program
        traceback.print_exc()
        status = 1
    _end(status)


def _end(status: object) -> NoReturn:
    """End this process without Python's finalization: it would write to every object that it frees,
    150 MB that were shared until then."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does
    atexit._run_exitfuncs()
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(status or 0)


class Fork:
    """A process started by the server; see `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid, self._ended = pid, ended

    @property
    def returncode(self) -> int | None:
        """Its status, None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Its status once it has ended."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        """Send it a signal. Raises ProcessLookupError."""
        if not self._ended.done():
            os.kill(self.pid, number)


class ForkServer:
    """The server as a child of this process, started when it is first needed, and again should it
    have ended."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._number = 0
        self._started: dict[int, asyncio.Future[Fork]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}

    async def start(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> Fork:
        """Start a process. Raises OSError if that fails."""
        log.open("ab").close()
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._launch()
        assert self._process is not None
        assert self._process.stdin is not None
        self._number += 1
        number, loop = self._number, asyncio.get_running_loop()
        self._started[number], self._ended[number] = loop.create_future(), loop.create_future()
        request = Request(number, tuple(words), dict(environment), str(log))
        self._process.stdin.write(msgspec.json.encode(request) + b"\n")
        return await self._started[number]

    async def _launch(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ringrift.cluster.fork_server", *self._modules),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            # Threads of one process share two arenas, so that memory that one frees serves another.
            # Searches have room for the longest list of legal moves and use little of it: in pages
            # of 2 MB, for which NumPy would ask, all of it would be taken.
            env={**os.environ, "MALLOC_ARENA_MAX": "2", "NUMPY_MADVISE_HUGEPAGE": "0"},
            preexec_fn=end_with_parent(),
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            answer = msgspec.json.decode(line, type=Answer)
            ended = self._ended[answer.number]
            if answer.status is None:
                self._started.pop(answer.number).set_result(Fork(answer.pid, ended))
            else:
                ended.set_result(answer.status)
                del self._ended[answer.number]
        await process.wait()
        for started in self._started.values():
            started.set_exception(OSError("the server of forks has ended"))
        for ended in self._ended.values():
            ended.set_result(LOST)
        self._started.clear()
        self._ended.clear()

    async def stop(self) -> None:
        """End the server, which has no forks any more."""
        if self._process is not None and self._reading is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._reading


if __name__ == "__main__":
    main(sys.argv[1:])
