"""A cluster with all streams, and what befalls its servers: one at a time, as a cluster of three
promises, or all at once."""

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

from chaos.disks import Disk, why_none
from ringrift.cluster.local import LocalCluster, Member
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure

HARM_SECONDS = (1.0, 8.0)
CALM_SECONDS = (0.5, 2.0)
STALL_SECONDS = (0.05, 1.0)
READY_SECONDS_MAX = 90.0
KINDS = {"kill": 3, "freeze": 3, "cut": 3, "all": 1}
"""what befalls servers, with weights: kill -9 of one, SIGSTOP of one, silence of its routes, kill
-9 of all at once"""
DISK_KINDS = {"slow disk": 2, "power": 1}
"""on disks of their own: one stands still again and again, or all lose power at once and with it
what they had not synced"""
SYNC_OURS, SYNC_DEFAULT = "always", "2m"


class Servers(NamedTuple):
    """The servers, a connection, and the disk of each, if it has one of its own."""

    data: Path
    cluster: LocalCluster
    log: JetStreamLog
    disks: Mapping[str, Disk]

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        return [member.name for member in self.cluster.members]

    def kill(self, names: Sequence[str]) -> None:
        """Kill -9, all of them together."""
        for name in names:
            self.cluster.kill(name)

    def start(self, names: Sequence[str]) -> None:
        """Those that do not run."""
        for name in names:
            self.cluster.start_member(name)

    def cut(self, names: Sequence[str]) -> None:
        """Exactly these do not reach the others."""
        self.cluster.cut(list(names))

    def lose_power(self) -> None:
        """All at once: stopped at one instant, what they had not synced dropped, then gone."""
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
    if disks and why_none():
        pytest.skip(why_none())
    made = LocalCluster.create(data, count, users=False, tls=False)
    homes = {member.name: data / "voters" / member.name for member in made.members}
    with contextlib.ExitStack() as stack:
        mounted = {}
        for name, home in homes.items():
            conf = (home / "nats.conf").read_text()
            assert SYNC_OURS in conf
            (home / "nats.conf").write_text(
                conf.replace(f"sync_interval: {SYNC_OURS}", f"sync_interval: {sync}")
            )
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
    """EVENTS has a leader and all its followers keep up, so that the next harm is again the only
    one. Raises TimeoutError."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            with contextlib.suppress(StreamError, TimeoutError, OSError, nats.errors.Error):
                group = (await log.call(f"STREAM.INFO.{EVENTS}")).get("cluster") or {}
                followers = group.get("replicas") or []
                if (
                    group.get("leader")
                    and sum(peer.get("current", False) for peer in followers) == count - 1
                ):
                    return
            await asyncio.sleep(0.1)


async def harm(servers: Servers, how: str, plan: random.Random) -> None:
    """One server, or all, lose something for a while and get it back."""
    member, seconds = plan.choice(servers.cluster.members), plan.uniform(*HARM_SECONDS)
    match how:
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
        if how == "slow disk":
            await _stall(servers.disks[member.name], seconds, plan)
        else:
            await asyncio.sleep(seconds)
    finally:
        _heal(servers, how, member)


def _heal(servers: Servers, how: str, member: Member) -> None:
    if how == "freeze":
        os.kill(member.pid, signal.SIGCONT)
    elif how == "cut":
        servers.cut([])
    else:
        servers.start(servers.names)


async def _stall(disk: Disk, seconds: float, plan: random.Random) -> None:
    """The disk answers only now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stall = plan.uniform(*STALL_SECONDS)
        with disk.standing_still():
            await asyncio.sleep(stall)
        await asyncio.sleep(stall / 10)
