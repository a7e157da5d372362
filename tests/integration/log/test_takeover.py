"""How long a role stays without a holder, on a real server: handed over, killed, stopped and woken
up; its time to live is 2 s."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringrift.log import leases
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

TTL_SECONDS = 2
HOLDER = f"""
import asyncio, sys
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log import leases
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog

leases.LEASE_SECONDS, leases.RENEW_SECONDS, leases.SURE_SECONDS = {TTL_SECONDS}, {TTL_SECONDS} / 3, {TTL_SECONDS} * 2 / 3

async def main():
    log = await JetStreamLog.open(sys.argv[1], name="holder")
    # not `hold`: a holder that believes in itself whatever its clock says, so that only the log can
    # stop it
    lease, claim = await leases.try_acquire(log, "role", "child", "test")
    print(lease.token, flush=True)
    async def renew():
        while True:
            await asyncio.sleep(leases.RENEW_SECONDS)
            await claim.renew()
    renewing = asyncio.create_task(renew())
    await asyncio.to_thread(sys.stdin.readline)
    fact = ConsumerStarted(node="n", consumer="test", instance="stale", version="1")
    try:
        await log.append([draft(fact, cause=None, source="test", key="stale")], lease.expect)
        print("written", flush=True)
    except StreamError as error:
        print(type(error).__name__, flush=True)
    renewing.cancel()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def short_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", TTL_SECONDS)
    monkeypatch.setattr(leases, "RENEW_SECONDS", TTL_SECONDS / 3)
    monkeypatch.setattr(leases, "SURE_SECONDS", TTL_SECONDS * 2 / 3)


@contextlib.asynccontextmanager
async def server_and_holder(
    root: Path,
) -> AsyncIterator[tuple[EmbeddedServer, JetStreamLog, asyncio.subprocess.Process, int]]:
    """A server, our connection, and another process that holds the role with this token."""
    server = await EmbeddedServer.start(root)
    log = await JetStreamLog.open(server.url, name="test")
    pipe = asyncio.subprocess.PIPE
    holder = None
    try:
        await ensure(log)
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, server.url, stdin=pipe, stdout=pipe
        )
        yield server, log, holder, int(await holder.stdout.readline())
    finally:
        if holder is not None and holder.returncode is None:
            os.kill(holder.pid, signal.SIGCONT)
            holder.kill()
            await holder.wait()
        await log.close()
        await server.stop()


async def test_a_drained_holder_hands_over_within_a_second(tmp_path: Path) -> None:
    server = await EmbeddedServer.start(tmp_path)
    one, two = [await JetStreamLog.open(server.url, name=name) for name in ("one", "two")]
    try:
        await ensure(one)
        async with hold(one, "role", "a", "test"):
            waiting = asyncio.create_task(_seconds_until_held(two))
            await asyncio.sleep(0.2)  # it stands by
            began = time.monotonic()
        assert await waiting - began < 1.0
    finally:
        await one.close()
        await two.close()
        await server.stop()


async def test_a_killed_holder_is_replaced_within_its_time_to_live_and_a_second(
    tmp_path: Path,
) -> None:
    async with server_and_holder(tmp_path) as (_, log, holder, _token):
        waiting = asyncio.create_task(_seconds_until_held(log))
        await asyncio.sleep(0.2)
        holder.kill()
        began = time.monotonic()
        assert await waiting - began < TTL_SECONDS + 1.0


async def test_a_stopped_holder_that_wakes_up_is_refused_by_the_log(tmp_path: Path) -> None:
    async with server_and_holder(tmp_path) as (_, log, holder, token):
        os.kill(holder.pid, signal.SIGSTOP)
        async with asyncio.timeout(TTL_SECONDS + 5), hold(log, "role", "b", "test") as lease:
            assert lease.token > token
            os.kill(holder.pid, signal.SIGCONT)
            holder.stdin.write(b"write now\n")
            assert await holder.stdout.readline() == b"ConcurrencyError\n"
            assert await log.last("EVENTS", "ringrift.consumer.n.started") is None


async def _seconds_until_held(log: JetStreamLog) -> float:
    """When the role was ours, on the monotonic clock."""
    async with hold(log, "role", "b", "test"):
        return time.monotonic()
