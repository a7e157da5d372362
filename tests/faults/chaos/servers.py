"""A cluster with all streams, and faults of its servers: of one at a time, which a cluster of three
survives, or of all at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import nats.errors
import pytest
from support.waiting import eventually, insist

from chaos.disks import Disk, unavailable
from ringrift.cluster.local import LocalCluster, Member
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure

FAULT_SECONDS = (1.0, 8.0)
CALM_SECONDS = (0.5, 2.0)
STALL_SECONDS = (0.05, 1.0)
READY_SECONDS_MAX = 90.0
KINDS = {"kill": 3, "freeze": 3, "cut": 3, "all": 1}
"""Faults with weights: kill -9 of one server, SIGSTOP of one, silence of its routes, kill -9 of all
at once."""
DISK_KINDS = {"slow disk": 2, "power": 1}
"""Faults of servers with a disk each: one disk freezes again and again, or all servers lose power
at once, and with it what they had not synced."""
SYNC_OURS, SYNC_DEFAULT = "always", "2m"


class Servers(NamedTuple):
    """The servers, a connection, and the disk of each server, if it has one of its own."""

    data: Path
    cluster: LocalCluster
    log: JetStreamLog
    disks: Mapping[str, Disk]

    async def leader(self) -> str:
        """The name of the leader of EVENTS, once there is one. Raises TimeoutError."""

        async def leader() -> str:
            info = await insist(lambda: self.log.call(f"STREAM.INFO.{EVENTS}"))
            return str(info["cluster"].get("leader") or "")

        return await eventually(leader, READY_SECONDS_MAX)

    @property
    def names(self) -> list[str]:
        """The names of all servers."""
        return [member.name for member in self.cluster.members]

    def kill(self, names: Sequence[str]) -> None:
        """Kill -9 these servers together."""
        for name in names:
            self.cluster.kill(name)

    def start(self, names: Sequence[str]) -> None:
        """Start those of the servers that do not run."""
        for name in names:
            self.cluster.start_member(name)

    def cut(self, names: Sequence[str]) -> None:
        """Cut exactly these servers off from the others."""
        self.cluster.cut(list(names))

    def lose_power(self) -> None:
        """Stop all servers at one instant, drop what they had not synced, and kill them."""
        for member in self.cluster.members:
            os.kill(member.pid, signal.SIGSTOP)
        for disk in self.disks.values():
            disk.lose_power()
        self.kill(self.names)
        for disk in self.disks.values():
            disk.unmount()
            disk.mount()


@contextlib.asynccontextmanager
async def cluster(
    data: Path, count: int = 3, *, disks: bool = False, sync: str = SYNC_OURS
) -> AsyncIterator[Servers]:
    """`count` servers with all streams, one replica on each; `sync` is their `sync_interval`."""
    if disks and unavailable():
        pytest.skip(unavailable())
    made = LocalCluster.create(data, count, users=False, tls=False)
    homes = {member.name: data / "voters" / member.name for member in made.members}
    with contextlib.ExitStack() as stack:
        mounted = {}
        for name, home in homes.items():
            conf = (home / "nats.conf").read_text()
            ours, theirs = f"sync_interval: {SYNC_OURS}", f"sync_interval: {sync}"
            assert ours in conf
            (home / "nats.conf").write_text(conf.replace(ours, theirs))
            if disks:
                mounted[name] = Disk(data / f"{name}.img", home / "nats")
                stack.callback(mounted[name].unmount)
        stack.callback(made.stop)
        made.start()
        await made.wait_until_healthy()
        log = await JetStreamLog.open(made.url, name="chaos")
        try:
            await ensure(log, replicas=count)
            await recovered(log, count)
            yield Servers(data, made, log, mounted)
        finally:
            await log.close()


async def recovered(log: JetStreamLog, count: int = 3) -> None:
    """Return when EVENTS has a leader and all followers are current, so that the next fault is
    again the only one. Raises TimeoutError."""

    async def current() -> bool:
        with contextlib.suppress(StreamError, TimeoutError, OSError, nats.errors.Error):
            group = (await log.call(f"STREAM.INFO.{EVENTS}")).get("cluster") or {}
            replicas = group.get("replicas") or []
            followers = sum(replica.get("current", False) for replica in replicas)
            return bool(group.get("leader")) and followers == count - 1
        return False

    await eventually(current, READY_SECONDS_MAX)


async def inject(servers: Servers, kind: str, plan: random.Random) -> None:
    """Inject a fault of a server, or of all, and end it after a while."""
    member, seconds = plan.choice(servers.cluster.members), plan.uniform(*FAULT_SECONDS)
    match kind:
        case "kill":
            servers.kill([member.name])
        case "all":
            servers.kill(servers.names)
        case "power":
            servers.lose_power()
        case "freeze":
            os.kill(member.pid, signal.SIGSTOP)
        case "cut":
            servers.cut([member.name])
    try:
        if kind == "slow disk":
            await _stall(servers.disks[member.name], seconds, plan)
        else:
            await asyncio.sleep(seconds)
    finally:
        _end(servers, kind, member)


def _end(servers: Servers, kind: str, member: Member) -> None:
    if kind == "freeze":
        os.kill(member.pid, signal.SIGCONT)
    elif kind == "cut":
        servers.cut([])
    else:
        servers.start(servers.names)


async def _stall(disk: Disk, seconds: float, plan: random.Random) -> None:
    """Freeze the disk again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stall = plan.uniform(*STALL_SECONDS)
        with disk.frozen():
            await asyncio.sleep(stall)
        await asyncio.sleep(stall / 10)
