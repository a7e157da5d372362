"""Disks that change what was written: the damaged copy is named, replaced and reported.

Slow: three servers start twice, and a stream needs several blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.waiting import eventually

from ringrift.cluster.local import LocalCluster
from ringrift.consumers import monitor
from ringrift.consumers.scrubbing import look_twice
from ringrift.consumers.verification.streams import damaged_copies
from ringrift.events.facts import ReplicaDamaged, ReplicaRepaired
from ringrift.log import read
from ringrift.log.holdings import damages, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import GAMES
from ringrift.runtime.cluster_view import troubles_in_force
from ringrift.runtime.process import Process, cancel
from ringrift.server.ensure import ensure
from ringrift.server.grow import set_replicas, wait_until_current

NUMBER, SIZE_BYTES = 900, 20_000
"""three blocks of a stream: damage to the last one is repaired by the servers"""
WAIT_SECONDS_MAX = 120.0


@contextlib.asynccontextmanager
async def rotten(data: Path) -> AsyncIterator[tuple[LocalCluster, JetStreamLog]]:
    """A cluster in which `n1` has changed bytes in the middle of a block of `GAMES`."""
    cluster = LocalCluster.create(data, 3, users=True, tls=False)
    cluster.start()
    try:
        await cluster.wait_until_healthy()
        with cluster.as_role("operator"):
            log = await JetStreamLog.open(cluster.url, name="test")
            await ensure(log, replicas=1)
            for number in range(NUMBER):
                body = bytes([number % 251]) * SIZE_BYTES
                await log.client.request("ringrift.game.hex8_2p.completed", body, timeout=5)
            await set_replicas(log, 3)
            assert await look_twice(log) == []
            for member in cluster.members:
                cluster.kill(member.name)
            block = sorted((data / "voters" / "n1" / "nats").rglob(f"streams/{GAMES}/msgs/*.blk"))[
                0
            ]
            content = bytearray(block.read_bytes())
            middle = len(content) // 2
            content[middle : middle + 3] = b"\xff\xfe\xfd"
            block.write_bytes(content)
            cluster.start()
            await cluster.wait_until_healthy()
            await wait_until_current(log, GAMES, 3)
            yield cluster, log
            await log.close()
    finally:
        cluster.stop()


@pytest.mark.slow
async def test_a_damaged_copy_is_named_reported_and_replaced(tmp_path: Path) -> None:
    async with rotten(tmp_path) as (_, log):
        # given a copy with a hole that no server reports
        assert [each.server for each in damages(await holdings(log.servers) or ())] == ["n1"]
        named = [problem.text async for problem in damaged_copies(log)]
        assert len(named) == 1
        assert named[0].startswith("voter n1 has lost ")
        # when the monitor runs
        process = Process("monitor", "node", log)
        async with _running(process):
            (repaired,) = await eventually(lambda: _facts(log, ReplicaRepaired), WAIT_SECONDS_MAX)
        # then it has recorded and replaced the copy
        (damaged,) = await _facts(log, ReplicaDamaged)
        assert (damaged.voter, damaged.stream, damaged.whole) == ("n1", GAMES, NUMBER)
        assert (repaired.voter, repaired.replaced) == ("n1", True)
        assert await look_twice(log) == []
        assert await troubles_in_force(log) == []
        held = await holdings(log.servers) or []
        assert [each.streams[GAMES].messages for each in held] == [NUMBER] * 3


@contextlib.asynccontextmanager
async def _running(process: Process) -> AsyncIterator[None]:
    task = asyncio.create_task(monitor.main(process))
    try:
        yield
    finally:
        await cancel(task)


async def _facts(log: JetStreamLog, kind: type) -> list:
    return [event async for event, _ in read.facts(log, kind)]
