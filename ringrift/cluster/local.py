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
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ringrift.cluster.cuts import Link
from ringrift.cluster.files import write_secret, write_voters
from ringrift.errors import CommandError
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.server.configuration import Tls, Voter
from ringrift.server.embedded import find_binary

READY_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 15.0
NO_ANSWER = "no answer"
_UNREACHABLE_PORT = 1
"""advertised as the address of every server, so that all routes go through links that can be cut"""

_started: dict[int, subprocess.Popen[bytes]] = {}
"""child processes of this one, which stay zombies until they are polled"""


class Member(Struct):
    """One server of the cluster; its `pid` is 0 while it is stopped."""

    name: str
    port: int
    monitor_port: int
    pid: int = 0


class LocalCluster(Struct):
    """The content of `cluster.json`."""

    members: list[Member]
    tls: bool
    users: bool
    links_pid: int = 0

    @property
    def url(self) -> str:
        """The addresses of all servers, for `--server`."""
        scheme = "tls" if self.tls else "nats"
        return ",".join(f"{scheme}://127.0.0.1:{member.port}" for member in self.members)

    def member(self, name: str) -> Member:
        """The server called `name`. Raises CommandError."""
        for member in self.members:
            if member.name == name:
                return member
        names = ", ".join(member.name for member in self.members)
        raise CommandError(f"there is no voter {name!r}: the voters are {names}")


def environment(data: Path, cluster: LocalCluster, role: str) -> dict[str, str]:
    """Environment variables that a client needs to connect as `role`."""
    found = {}
    if cluster.users:
        found[CREDENTIALS] = str(data / "credentials" / f"{role}.txt")
    if cluster.tls:
        found[AUTHORITY] = str(data / "authority" / "ca.pem")
    return found


@contextlib.contextmanager
def as_role(data: Path, cluster: LocalCluster, role: str) -> Iterator[None]:
    """Connections opened in the block are made as `role`."""
    values = environment(data, cluster, role)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def read(data: Path) -> LocalCluster:
    """The cluster of a data directory. Raises CommandError if there is none."""
    try:
        return msgspec.json.decode((data / "cluster.json").read_bytes(), type=LocalCluster)
    except FileNotFoundError as error:
        raise CommandError(
            f"there is no cluster in {data}: `ringrift cluster up --data {data}` creates one"
        ) from error
    except msgspec.DecodeError as error:
        raise CommandError(f"{data / 'cluster.json'} is damaged ({error}); delete it") from error


def create(data: Path, count: int, *, users: bool, tls: bool) -> LocalCluster:
    """Write the files of a new cluster on free ports, without starting it. Raises CommandError."""
    if count not in (3, 5):
        raise CommandError(f"{count} voters: give 3 or 5; `ringrift up` alone has one")
    names = [f"n{number}" for number in range(1, count + 1)]
    ports = _free_ports(3 * count + count * (count - 1))
    clients, route_ports, monitors = (ports[at * count : (at + 1) * count] for at in range(3))
    between = ports[3 * count :]
    links = [
        Link(dialer, listener, between.pop(), route_ports[number])
        for dialer in names
        for number, listener in enumerate(names)
        if dialer != listener
    ]
    voters = [
        Voter(
            name=name,
            port=clients[number],
            monitor_port=monitors[number],
            route_port=route_ports[number],
            route_advertise=f"127.0.0.1:{_UNREACHABLE_PORT}",
            users=users,
            tls=Tls() if tls else None,
            store="./nats",
            advertise=f"127.0.0.1:{clients[number]}",
            routes=tuple(f"127.0.0.1:{link.port}" for link in links if link.dialer == name),
        )
        for number, name in enumerate(names)
    ]
    data.mkdir(parents=True, exist_ok=True)
    write_voters(data, voters, dict.fromkeys(names, "127.0.0.1"))
    write_secret(data / "links.json", msgspec.json.encode(links).decode())
    write_secret(data / "cut.json", "[]")
    cluster = LocalCluster(
        [Member(*row) for row in zip(names, clients, monitors, strict=True)], tls, users
    )
    save(data, cluster)
    return cluster


def save(data: Path, cluster: LocalCluster) -> None:
    """Write `cluster.json`."""
    write_secret(
        data / "cluster.json",
        msgspec.json.format(msgspec.json.encode(cluster), indent=2).decode() + "\n",
    )


def start(data: Path, cluster: LocalCluster) -> None:
    """Start the links and all servers that do not run; return before they are ready."""
    if not is_alive(cluster.links_pid, data):
        words = [sys.executable, "-m", "ringrift.cluster.cuts", str(data.resolve())]
        cluster.links_pid = _spawn(words, data, data / "links.log")
    for member in cluster.members:
        start_member(data, cluster, member.name)
    save(data, cluster)


def start_member(data: Path, cluster: LocalCluster, name: str) -> None:
    """Start one server unless it runs."""
    member, home = cluster.member(name), data / "voters" / name
    if not is_alive(member.pid, home):
        member.pid = _spawn([str(find_binary()), "-c", "nats.conf"], home, home / "nats.log")
        save(data, cluster)


def stop(data: Path, cluster: LocalCluster) -> None:
    """Stop servers and links; kill those that take longer than `STOP_SECONDS_MAX`."""
    running = {member.pid: data / "voters" / member.name for member in cluster.members} | {
        cluster.links_pid: data
    }
    deadline = time.monotonic() + STOP_SECONDS_MAX
    _signal_all(running, signal.SIGTERM)
    while any(is_alive(pid, home) for pid, home in running.items()) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_all(running, signal.SIGKILL)
    cluster.links_pid = 0
    for member in cluster.members:
        member.pid = 0
    save(data, cluster)


def hand_over(data: Path, cluster: LocalCluster, name: str) -> None:
    """Let one server hand its leaderships to others and refuse new clients."""
    _signal_all({cluster.member(name).pid: data / "voters" / name}, signal.SIGUSR2)


def stop_member(data: Path, cluster: LocalCluster, name: str) -> None:
    """Stop one server; kill it if that takes longer than `STOP_SECONDS_MAX`."""
    member, home = cluster.member(name), data / "voters" / name
    deadline = time.monotonic() + STOP_SECONDS_MAX
    _signal_all({member.pid: home}, signal.SIGTERM)
    while is_alive(member.pid, home) and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_all({member.pid: home}, signal.SIGKILL)
    while is_alive(member.pid, home):
        time.sleep(0.005)
    member.pid = 0
    save(data, cluster)


def kill(data: Path, cluster: LocalCluster, name: str) -> None:
    """Kill one server. Raises CommandError if it does not run."""
    member, home = cluster.member(name), data / "voters" / name
    if not is_alive(member.pid, home):
        raise CommandError(f"{name} does not run; `ringrift cluster up` starts it")
    _signal(member.pid, signal.SIGKILL)
    while is_alive(member.pid, home):
        time.sleep(0.005)
    member.pid = 0
    save(data, cluster)


def cut(data: Path, cluster: LocalCluster, names: list[str]) -> None:
    """Cut exactly the named servers off from all others. Raises CommandError."""
    for name in names:
        cluster.member(name)
    if not is_alive(cluster.links_pid, data):
        raise CommandError("the cluster does not run; `ringrift cluster up` starts it")
    write_secret(data / "cut.json", msgspec.json.encode(names).decode())
    _signal(cluster.links_pid, signal.SIGHUP)


def cut_off(data: Path) -> list[str]:
    """Names of the servers that are cut off."""
    try:
        return msgspec.json.decode((data / "cut.json").read_bytes(), type=list[str])
    except FileNotFoundError:
        return []


async def health(member: Member) -> str:
    """`ok`, the problem that the server reports, or `NO_ANSWER`."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", member.monitor_port)
            try:
                writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return NO_ANSWER
    _, _, body = answer.partition(b"\r\n\r\n")
    report: dict[str, object] = msgspec.json.decode(body) if body.startswith(b"{") else {}
    if report.get("status") == "ok":
        return "ok"
    return str(report.get("error") or report.get("status") or NO_ANSWER)


async def wait_until_healthy(data: Path, cluster: LocalCluster) -> None:
    """Return when all servers are healthy. Raises CommandError after `READY_SECONDS_MAX`."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            for member in cluster.members:
                while await health(member) != "ok":  # noqa: ASYNC110  another process's state
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        states = ", ".join([f"{member.name}: {await health(member)}" for member in cluster.members])
        raise CommandError(
            f"not ready after {READY_SECONDS_MAX:g} s: {states}; see {data}/voters/*/nats.log"
        ) from error


def is_alive(pid: int, home: Path) -> bool:
    """Whether process `pid`, started in the directory `home`, runs."""
    if pid <= 0:
        return False
    if pid in _started and _started[pid].poll() is not None:
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


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_all(running: Mapping[int, Path], number: signal.Signals) -> None:
    for pid, home in running.items():
        if is_alive(pid, home):
            _signal(pid, number)


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
