"""The embedded server: nats-server as a child process over a data directory that one instance owns.

<data>/embedded.conf its configuration, written at every start
<data>/nats/         its storage
<data>/nats.log      its output
<data>/server.json   address and process id while it runs, for other commands

This process and the child lock the directory itself, so that no second instance starts, even after
this process was killed, and whatever file is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ringrift.log.errors import AnotherInstance, DiskFull, PortInUse, ServerError
from ringrift.server import address as addresses, reserve
from ringrift.server.binary import end_with_parent, find_binary
from ringrift.server.configuration import Voter, fitted, server_conf
from ringrift.server.voter import check

READY_SECONDS_MAX = 60.0
"""a server that recovers a large store needs seconds; a minute of nothing is a failure"""
STOP_SECONDS_MAX = 15.0
DISK_FREE_BYTES_MIN = 512 * 1024 * 1024
PORT_TRIES_MAX = 5
LOCK_TRIES_MAX = 20
LOCK_RETRY_SECONDS = 0.1
"""two seconds in all, while the server of an instance that was just killed shuts down"""
LOG_BYTES_MAX = 16 * 1024 * 1024
CONF_FILE = "embedded.conf"
"""a name of its own: a data directory may also hold a `nats.conf` that the user wrote"""
MEMORY_AIM = "320MiB"
"""Above it the server collects garbage more often (`GOMEMLIMIT` of Go, a soft limit; a value in the
environment wins). Without, that of a loop had 600 MB after five minutes; with it 320 MB after
twenty minutes of twelve configs, for as much processor time."""
_FATAL = ("[FTL]", "no space left", "out of space", "out of resources")


class EmbeddedServer:
    """nats-server as a child process."""

    def __init__(self, data: Path, binary: Path, lock: int, room: int) -> None:
        self.data = data
        self._room = room
        self._binary = binary
        self._lock = lock
        self._port = 0
        self._process: asyncio.subprocess.Process
        self._listener: asyncio.Task[None]
        self._ready = asyncio.Event()
        self._faulty = asyncio.Event()
        self._problem = ""
        """the line of its output that reported a fatal problem, such as a full disk"""
        self._last_line = ""

    @classmethod
    async def start(
        cls, data: Path, *, port: int | None = None, room: int | None = None
    ) -> EmbeddedServer:
        """Start a server over `data`; without `port` it takes that of the directory, or a free one.
        `room`: bytes that must be free, for what is going to be written.

        Raises AnotherInstance, PortInUse, DiskFull, ServerMissing, ServerTooOld, ServerError."""
        binary = find_binary()
        lock = await _locked(data)
        try:
            server = cls(data, binary, lock, DISK_FREE_BYTES_MIN if room is None else room)
            await server._start(port)
        except BaseException:
            os.close(lock)
            raise
        return server

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child runs."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the end of the child; return its exit status, which is negative for a signal."""
        status = await self._process.wait()
        await self._listener
        return status

    async def fault(self) -> ServerError:
        """Wait until a running server reports a fatal problem; return it. A server with a full disk
        keeps running, but stores nothing."""
        await self._faulty.wait()
        return self._failure()

    async def restart(self) -> None:
        """Start the child again after it ended, at the same address. Raises as `start`."""
        if self.running:
            raise ServerError("the server still runs")
        await self._launch(self._port)

    async def keep(self, report: Callable[[str], None]) -> None:
        """Restart the child whenever it ends, until cancelled. Raises as `start`."""
        while True:
            status = await self.wait()
            report(f"the server ended with status {status}; restarting it")
            await self.restart()

    async def stop(self) -> None:
        """Stop the child and release the data directory."""
        if self.running:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await self.wait()
            await self._kill()
        addresses.write_address(self.data, None)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _start(self, port: int | None) -> None:
        if port is not None:
            return await self._launch(port)
        previous = addresses.read_address(self.data)
        wanted = previous.port if previous else addresses.usual_port(self.data)
        candidates = [wanted] if addresses.is_free(wanted) else []
        for _ in range(PORT_TRIES_MAX):
            with contextlib.suppress(PortInUse):  # taken by another process meanwhile
                return await self._launch(candidates.pop() if candidates else addresses.free_port())
        tries = f"{PORT_TRIES_MAX} tries"
        raise PortInUse(f"found no free port in {tries}; end programs that use ports")

    async def _launch(self, port: int) -> None:
        _check_space(self.data, self._room)
        self._port = port
        if not addresses.is_free(port):
            raise self._port_in_use()
        self._problem = self._last_line = ""
        self._ready.clear()
        self._faulty.clear()
        config = self.data / CONF_FILE
        storage = str((self.data / "nats").resolve())
        text = server_conf(Voter(store=storage, port=port, monitor_port=None))
        text = fitted(text, self.data)
        config.write_text(text, encoding="utf-8", errors="surrogateescape")
        _, store = check(self.data, conf=CONF_FILE)
        if (store / reserve.FILE).exists():
            reserve.keep(store)
        self._process = await asyncio.create_subprocess_exec(
            self._binary,
            "-c",
            config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"GOMEMLIMIT": MEMORY_AIM, **os.environ},
            pass_fds=(self._lock,),
            preexec_fn=end_with_parent(),
            start_new_session=True,
        )
        self._listener = asyncio.create_task(self._listen())
        await self._wait_until_ready()
        identity = await addresses.server_id(self.url), addresses.identity_of(self.data)
        addresses.write_address(self.data, addresses.ServerAddress(self.url, self.pid, *identity))

    async def _wait_until_ready(self) -> None:
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            {ready, self._listener}, timeout=READY_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        if ready.done():
            return
        ready.cancel()
        await self._kill()
        raise self._failure()

    async def _kill(self) -> None:
        """Kill the child, if it still runs, and wait for its end."""
        if self.running:
            self._process.kill()
        await self.wait()

    def _failure(self) -> ServerError:
        line = self._problem or self._last_line or "it wrote nothing"
        if "address already in use" in line:
            return self._port_in_use()
        if "no space left" in line:
            remedy = "free some and start again; acknowledged messages are safe"
            return DiskFull(f"no space left for {self.data}: {remedy}")
        output = self.data / "nats.log"
        return ServerError(f"nats-server cannot run: {line} (its output is in {output})")

    def _port_in_use(self) -> PortInUse:
        remedy = "stop its process or choose another port"
        return PortInUse(f"port {self._port} on 127.0.0.1 is taken: {remedy}")

    async def _listen(self) -> None:
        """Copy the output of the server to its log file and look for problems."""
        assert self._process.stderr is not None
        path = self.data / "nats.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab", buffering=0) as log:
            async for line in self._process.stderr:
                with contextlib.suppress(OSError):  # a full disk must not end the task
                    log.write(line)
                self._take(line.decode(errors="replace").strip())

    def _take(self, line: str) -> None:
        self._last_line = line
        if "Server is ready" in line:
            self._ready.set()
        elif any(words in line for words in _FATAL):
            self._problem = line
            self._faulty.set()


async def _locked(data: Path) -> int:
    """The data directory's lock, inheritable by the child. Raises AnotherInstance, ServerError."""
    lock = _open_lock(data)
    for _ in range(LOCK_TRIES_MAX):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(LOCK_RETRY_SECONDS)
        else:
            return lock
    os.close(lock)
    address = addresses.read_address(data)
    who = f" (its server is process {address.pid} at {address.url})" if address else ""
    remedy = "stop it, or name another directory with --data"
    raise AnotherInstance(f"another instance uses {data}{who}: {remedy}")


def _open_lock(data: Path) -> int:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        reason = error.strerror or error
        raise ServerError(f"the data directory {data} cannot be used: {reason}") from error


def _check_space(data: Path, room: int) -> None:
    free = shutil.disk_usage(data).free
    if free < room:
        lack = f"at least {room // 1024**2} MB are needed"
        remedy = "free some, or name another directory with --data"
        raise DiskFull(f"{free // 1024**2} MB free for {data}, {lack}: {remedy}")
