"""A cluster of real servers on the loopback address of one machine, in the background. Its servers
can be killed and cut off, for trials and tests.

<data>/cluster.json     ports and process ids of the servers
<data>/links.json       routes through `ringrift.cluster.cuts`
<data>/cut.json         names of the servers that are cut off
<data>/voters/<name>/   files of one server, see `ringrift.cluster.files`, and its log, nats.log
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import msgspec
from msgspec import Struct

from ringrift.cluster.cuts import Link
from ringrift.cluster.files import write_voters
from ringrift.errors import CommandError
from ringrift.log.errors import DiskFull
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.server import reserve
from ringrift.server.accounts import write_secret
from ringrift.server.binary import find_binary
from ringrift.server.configuration import Voter
from ringrift.server.voter import check, configured, read_made

READY_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 15.0
HEALTH_SECONDS_MAX = 2.0
ROOM_BYTES_MIN = 1024**2
"""a server that starts writes some kilobytes"""
NO_ANSWER = "no answer"
_UNREACHABLE = "127.0.0.1:1"
"""advertised as the address of every server, so that all routes go through links that can be cut"""

_started: dict[int, subprocess.Popen[bytes]] = {}
"""child processes of this one, which stay zombies until they are polled"""


class Member(Struct):
    """One server of the cluster; its `pid` is 0 while it is stopped."""

    name: str
    port: int
    monitor_port: int
    pid: int = 0


class _State(Struct):
    """The content of `cluster.json`."""

    members: list[Member]
    tls: bool
    users: bool
    links_pid: int = 0


class LocalCluster:
    """The cluster below the directory `data`."""

    def __init__(self, data: Path, state: _State) -> None:
        self.data, self._state = data, state

    @classmethod
    def read(cls, data: Path) -> LocalCluster:
        """The cluster that was created in `data`. Raises CommandError if there is none."""
        path = data / "cluster.json"
        try:
            return cls(data, msgspec.json.decode(path.read_bytes(), type=_State))
        except FileNotFoundError as error:
            raise CommandError(
                f"there is no cluster in {data}: `ringrift cluster up --data {data}` creates one"
            ) from error
        except msgspec.DecodeError as error:
            raise CommandError(f"{path} is damaged ({error}); delete it") from error

    @classmethod
    def create(cls, data: Path, count: int, *, users: bool, tls: bool) -> LocalCluster:
        """Write the files of a new cluster of `count` servers on free ports, without starting it.
        Raises CommandError."""
        if count not in (3, 5):
            raise CommandError(f"{count} voters: give 3 or 5; `ringrift up` alone has one")
        names = [f"n{number}" for number in range(1, count + 1)]
        ports = iter(_free_ports(3 * count + count * (count - 1)))
        members = [Member(name, next(ports), next(ports)) for name in names]
        route_ports = {name: next(ports) for name in names}
        links = [
            Link(dialer, listener, next(ports), route_ports[listener])
            for dialer, listener in permutations(names, 2)
        ]
        voters = [
            Voter(
                name=member.name,
                port=member.port,
                monitor_port=member.monitor_port,
                route_port=route_ports[member.name],
                route_advertise=_UNREACHABLE,
                users=users,
                tls=tls,
                store="./nats",
                advertise=f"127.0.0.1:{member.port}",
                routes=tuple(f"127.0.0.1:{at.port}" for at in links if at.dialer == member.name),
            )
            for member in members
        ]
        write_voters(data, voters, dict.fromkeys(names, "127.0.0.1"))
        write_secret(data / "links.json", msgspec.json.encode(links).decode())
        write_secret(data / "cut.json", "[]")
        cluster = cls(data, _State(members, tls, users))
        cluster._save()
        return cluster

    def _save(self) -> None:
        """Write `cluster.json`; a process that has ended gets the id 0."""
        for member in self.members:
            member.pid = member.pid if runs(member.pid, self._home(member)) else 0
        text = msgspec.json.format(msgspec.json.encode(self._state), indent=2).decode()
        write_secret(self.data / "cluster.json", text + "\n")

    @property
    def members(self) -> Sequence[Member]:
        """The servers."""
        return self._state.members

    @property
    def new(self) -> bool:
        """Whether no server was ever started."""
        return all(made and made.new for made in map(read_made, map(self._home, self.members)))

    @property
    def url(self) -> str:
        """The addresses of all servers, for `--server`."""
        scheme = "tls" if self._state.tls else "nats"
        return ",".join(f"{scheme}://127.0.0.1:{member.port}" for member in self.members)

    def member(self, name: str) -> Member:
        """The server called `name`. Raises CommandError."""
        members = {member.name: member for member in self.members}
        if name not in members:
            names = ", ".join(members)
            raise CommandError(f"there is no voter {name!r}: the voters are {names}")
        return members[name]

    def environment(self, role: str) -> dict[str, str]:
        """Environment variables that a client needs to connect as `role`."""
        found = {}
        if self._state.users:
            found[CREDENTIALS] = str(self.data / "credentials" / f"{role}.creds")
        if self._state.tls:
            found[AUTHORITY] = str(self.data / "authority" / "ca.pem")
        return found

    def as_role(self, role: str) -> contextlib.AbstractContextManager[None]:
        """Connections opened in the block are made as `role`."""
        return environment(self.environment(role))

    def _home(self, member: Member) -> Path:
        return self.data / "voters" / member.name

    def keep_reserves(self, report: Callable[[str], None]) -> None:
        """Keep some room on the disk for each server, or give it up if the disk is full. Raises
        DiskFull if that is not enough to start."""
        for member in self.members:
            _, store = configured(self._home(member))
            if store.is_dir() and (text := reserve.keep(store)):
                report(text)
        if shutil.disk_usage(self.data).free < ROOM_BYTES_MIN:
            remedy = "free some and start again; acknowledged messages are safe"
            raise DiskFull(f"no space left for {self.data}: {remedy}")

    def start(self) -> None:
        """Start the links and all servers that do not run; return before they are ready."""
        if not runs(self._state.links_pid, self.data):
            words = [sys.executable, "-m", "ringrift.cluster.cuts", str(self.data.resolve())]
            self._state.links_pid = _spawn(words, self.data, self.data / "links.log")
            self._save()
        for member in self.members:
            self.start_member(member.name)

    def start_member(self, name: str) -> None:
        """Start one server unless it runs. Raises ServerError if its store would be deleted."""
        member = self.member(name)
        home = self._home(member)
        if not runs(member.pid, home):
            check(home)
            words = [str(find_binary()), "-c", "nats.conf"]
            member.pid = _spawn(words, home, home / "nats.log")
            self._save()

    def stop(self) -> None:
        """Stop servers and links; kill those that take longer than `STOP_SECONDS_MAX`."""
        _end({**self._running(*self.members), self._state.links_pid: self.data})
        self._state.links_pid = 0
        with contextlib.suppress(OSError):  # a full disk; the ids of ended processes do no harm
            self._save()

    def stop_member(self, name: str) -> None:
        """Stop one server; kill it if that takes longer than `STOP_SECONDS_MAX`."""
        _end(self._running(self.member(name)))
        self._save()

    def hand_over(self, name: str) -> None:
        """Let one server hand its leaderships to others and refuse new clients."""
        _signal(self._running(self.member(name)), signal.SIGUSR2)

    def kill(self, name: str) -> None:
        """Kill one server. Raises CommandError if it does not run."""
        running = self._running(self.member(name))
        if not _alive(running):
            raise CommandError(f"{name} does not run; `ringrift cluster up` starts it")
        _kill(running)
        self._save()

    def _running(self, *members: Member) -> dict[int, Path]:
        return {member.pid: self._home(member) for member in members}

    def cut(self, names: Sequence[str]) -> None:
        """Cut exactly the named servers off from all others. Raises CommandError."""
        for name in names:
            self.member(name)
        links = {self._state.links_pid: self.data}
        if not _alive(links):
            raise CommandError("the cluster does not run; `ringrift cluster up` starts it")
        write_secret(self.data / "cut.json", msgspec.json.encode(names).decode())
        _signal(links, signal.SIGHUP)

    def cut_off(self) -> list[str]:
        """Names of the servers that are cut off."""
        return msgspec.json.decode((self.data / "cut.json").read_bytes(), type=list[str])

    async def wait_until_healthy(self) -> None:
        """Return when all servers are healthy. Raises CommandError after `READY_SECONDS_MAX`."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                for member in self.members:
                    while await health(member) != "ok":  # noqa: ASYNC110  another process's state
                        await asyncio.sleep(0.05)
        except TimeoutError as error:
            states = ", ".join([f"{each.name}: {await health(each)}" for each in self.members])
            raise CommandError(
                f"not ready after {READY_SECONDS_MAX:g} s: {states}; "
                f"see {self.data}/voters/*/nats.log"
            ) from error


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables until the block ends."""
    before = {name: os.environ[name] for name in values if name in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]
        os.environ.update(before)


async def health(member: Member) -> str:
    """`ok`, the problem that the server reports, or `NO_ANSWER`."""
    try:
        async with asyncio.timeout(HEALTH_SECONDS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", member.monitor_port)
            try:
                writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return NO_ANSWER
    body = answer.partition(b"\r\n\r\n")[2]
    report: dict[str, object] = msgspec.json.decode(body) if body.startswith(b"{") else {}
    if report.get("status") == "ok":
        return "ok"
    return str(report.get("error") or report.get("status") or NO_ANSWER)


def runs(pid: int, home: Path) -> bool:
    """Whether the process `pid` that was started in the directory `home` runs."""
    if pid <= 0 or (pid in _started and _started[pid].poll() is not None):
        return False
    try:
        os.kill(pid, 0)
        here = Path(f"/proc/{pid}/cwd")
        # in another directory it is a later process with the same id
        return not here.exists() or here.resolve() == home.resolve()
    except FileNotFoundError:  # it is about to end
        return True
    except (ProcessLookupError, PermissionError):
        return False


def _alive(running: dict[int, Path]) -> bool:
    return any(runs(pid, home) for pid, home in running.items())


def _signal(running: dict[int, Path], number: signal.Signals) -> None:
    for pid, home in running.items():
        if runs(pid, home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _end(running: dict[int, Path]) -> None:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    _signal(running, signal.SIGTERM)
    while _alive(running) and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill(running)


def _kill(running: dict[int, Path]) -> None:
    _signal(running, signal.SIGKILL)
    while _alive(running):
        time.sleep(0.005)


def _spawn(words: list[str], home: Path, log: Path) -> int:
    """Start a process that outlives this one; return its id."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            words,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _started[process.pid] = process
    return process.pid


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
