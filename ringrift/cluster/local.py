"""A cluster on one machine: real servers on loopback, in the background, that can be killed and cut
off. For trials and tests.

<data>/cluster.json     its servers: ports, process ids <data>/links.json       routes through
`ringrift.cluster.cuts`; cut.json says who is cut off <data>/voters/<name>/   what a voter's machine
would have, see `cluster_files`; nats.log is what the server says"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ringrift.cluster.cuts import Link
from ringrift.cluster.files import write_secret, write_voters
from ringrift.errors import CommandError
from ringrift.server.configuration import Tls, Voter
from ringrift.server.embedded import find_binary

READY_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 15.0
NO_ANSWER = "no answer"
_UNREACHABLE_PORT = 1
"""what servers tell each other of their own addresses leads nowhere, so that every route goes
through a link that can be cut"""


_started: dict[int, subprocess.Popen[bytes]] = {}
"""those that are our own children, which have to be buried"""


class Member(Struct):
    """One server of the cluster; `pid` 0: it was stopped."""

    name: str
    port: int
    monitor_port: int
    pid: int = 0


class LocalCluster(Struct):
    """What `cluster.json` says."""

    members: list[Member]
    tls: bool
    users: bool
    links_pid: int = 0

    @property
    def url(self) -> str:
        """All addresses, for `--server`."""
        scheme = "tls" if self.tls else "nats"
        return ",".join(f"{scheme}://127.0.0.1:{member.port}" for member in self.members)

    def member(self, name: str) -> Member:
        """The server called `name`. Raises CommandError."""
        for member in self.members:
            if member.name == name:
                return member
        raise CommandError(
            f"no voter {name!r}: there are {', '.join(member.name for member in self.members)}"
        )


def read(data: Path) -> LocalCluster:
    """The cluster of a data directory. Raises CommandError if there is none."""
    try:
        return msgspec.json.decode((data / "cluster.json").read_bytes(), type=LocalCluster)
    except FileNotFoundError as error:
        raise CommandError(
            f"no cluster in {data}: `ringrift cluster up --data {data}` makes one"
        ) from error
    except msgspec.DecodeError as error:
        raise CommandError(f"{data / 'cluster.json'} is damaged ({error}); delete it") from error


def create(data: Path, count: int, *, users: bool, tls: bool) -> LocalCluster:
    """Chooses free ports and writes the files of a new cluster; starts nothing. Raises
    CommandError."""
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
    """Writes `cluster.json`."""
    write_secret(
        data / "cluster.json",
        msgspec.json.format(msgspec.json.encode(cluster), indent=2).decode() + "\n",
    )


def start(data: Path, cluster: LocalCluster) -> None:
    """Starts what does not run: the links, and every server. Returns before they are ready."""
    if not is_alive(cluster.links_pid, data):
        words = [sys.executable, "-m", "ringrift.cluster.cuts", str(data.resolve())]
        cluster.links_pid = _spawn(words, data, data / "links.log")
    for member in cluster.members:
        start_member(data, cluster, member.name)
    save(data, cluster)


def start_member(data: Path, cluster: LocalCluster, name: str) -> None:
    """Starts one server unless it runs."""
    member, home = cluster.member(name), data / "voters" / name
    if not is_alive(member.pid, home):
        member.pid = _spawn([str(find_binary()), "-c", "nats.conf"], home, home / "nats.log")
        save(data, cluster)


def stop(data: Path, cluster: LocalCluster) -> None:
    """Ends servers and links in order; those that take too long are killed."""
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
    """Tells one server that it will be stopped: it gives its leaderships to others, and takes no
    new client."""
    _signal_all({cluster.member(name).pid: data / "voters" / name}, signal.SIGUSR2)


def stop_member(data: Path, cluster: LocalCluster, name: str) -> None:
    """Ends one server in order; if that takes too long, it is killed."""
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
    """Kills one server without warning. Raises CommandError if it does not run."""
    member, home = cluster.member(name), data / "voters" / name
    if not is_alive(member.pid, home):
        raise CommandError(f"{name} does not run; `ringrift cluster up` starts it again")
    _signal(member.pid, signal.SIGKILL)
    while is_alive(member.pid, home):
        time.sleep(0.005)
    member.pid = 0
    save(data, cluster)


def cut(data: Path, cluster: LocalCluster, names: list[str]) -> None:
    """From now on exactly these servers cannot speak with the others; [] heals. Raises
    CommandError."""
    for name in names:
        cluster.member(name)
    if not is_alive(cluster.links_pid, data):
        raise CommandError("the cluster does not run; `ringrift cluster up` starts it")
    write_secret(data / "cut.json", msgspec.json.encode(names).decode())
    _signal(cluster.links_pid, signal.SIGHUP)


def cut_off(data: Path) -> list[str]:
    """The servers that are cut off now."""
    try:
        return msgspec.json.decode((data / "cut.json").read_bytes(), type=list[str])
    except FileNotFoundError:
        return []


async def is_healthy(member: Member) -> str:
    """`ok`, or what the server says is wrong with it, or that it says nothing."""
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
    said: dict[str, object] = msgspec.json.decode(body) if body.startswith(b"{") else {}
    return (
        "ok"
        if said.get("status") == "ok"
        else str(said.get("error") or said.get("status") or NO_ANSWER)
    )


async def wait_until_healthy(data: Path, cluster: LocalCluster) -> None:
    """Returns when every server says that it is well. Raises CommandError."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            for member in cluster.members:
                while await is_healthy(member) != "ok":  # noqa: ASYNC110  # another process, it tells us nothing by itself
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        said = [f"{member.name}: {await is_healthy(member)}" for member in cluster.members]
        raise CommandError(
            f"not ready within {READY_SECONDS_MAX:g} s: {', '.join(said)}; see {data}/voters/*/nats.log"
        ) from error


def is_alive(pid: int, home: Path) -> bool:
    """Whether our process `pid` runs, started in `home`; one that has ended and that we started is
    buried."""
    if pid <= 0:
        return False
    if pid in _started and _started[pid].poll() is not None:
        return False
    try:
        os.kill(pid, 0)
        here = Path(f"/proc/{pid}/cwd")
        return (
            not here.exists() or here.resolve() == home.resolve()
        )  # else the number is another process's by now
    except FileNotFoundError:  # it is just ending: the next look tells
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
    """Starts a process that outlives us; its number."""
    with log.open("ab") as said:
        process = subprocess.Popen(
            words,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
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
