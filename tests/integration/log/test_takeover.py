"""Takeover of leases with a TTL of 2 s on a real server: after a release, a kill, and a pause."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import Pace, hold
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

TTL_SECONDS = 2
PACE = Pace(TTL_SECONDS, TTL_SECONDS / 3, TTL_SECONDS * 2 / 3)
HOLDER = f"""
import asyncio, sys
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log import leases
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog

pace = leases.Pace({TTL_SECONDS}, {TTL_SECONDS} / 3, {TTL_SECONDS} * 2 / 3)

async def main():
    log = await JetStreamLog.open(sys.argv[1], name="holder")
    # not `hold`: this holder ignores its clock, so that only the log can stop it
    lease, claim = await leases.try_acquire(log, "role", "child", "test", pace=pace)
    print(lease.token, flush=True)
    async def renew():
        while True:
            await asyncio.sleep(pace.renew)
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


@contextlib.asynccontextmanager
async def server_and_holder(
    root: Path,
) -> AsyncIterator[tuple[EmbeddedServer, JetStreamLog, asyncio.subprocess.Process, int]]:
    """A server, a connection to it, and another process that holds the role with a token."""
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


async def test_a_released_lease_is_taken_over_within_a_second(tmp_path: Path) -> None:
    server = await EmbeddedServer.start(tmp_path)
    one, two = [await JetStreamLog.open(server.url, name=name) for name in ("one", "two")]
    try:
        await ensure(one)
        async with hold(one, "role", "a", "test", pace=PACE):
            waiting = asyncio.create_task(_seconds_until_held(two))
            await asyncio.sleep(0.2)  # it waits for the lease
            began = time.monotonic()
        assert await waiting - began < 1.0
    finally:
        await one.close()
        await two.close()
        await server.stop()


async def test_a_killed_holder_is_replaced_within_its_ttl_and_a_second(tmp_path: Path) -> None:
    async with server_and_holder(tmp_path) as (_, log, holder, _token):
        waiting = asyncio.create_task(_seconds_until_held(log))
        await asyncio.sleep(0.2)
        holder.kill()
        began = time.monotonic()
        assert await waiting - began < TTL_SECONDS + 1.0


async def test_the_log_refuses_appends_of_a_paused_holder(tmp_path: Path) -> None:
    async with server_and_holder(tmp_path) as (_, log, holder, token):
        os.kill(holder.pid, signal.SIGSTOP)
        async with (
            asyncio.timeout(TTL_SECONDS + 5),
            hold(log, "role", "b", "test", pace=PACE) as lease,
        ):
            assert lease.token > token
            os.kill(holder.pid, signal.SIGCONT)
            holder.stdin.write(b"write now\n")
            assert await holder.stdout.readline() == b"ConcurrencyError\n"
            assert await log.last("EVENTS", "ringrift.consumer.n.started") is None


async def _seconds_until_held(log: JetStreamLog) -> float:
    """The monotonic time at which this process holds the role."""
    async with hold(log, "role", "b", "test", pace=PACE):
        return time.monotonic()
