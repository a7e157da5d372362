"""A client of a voter that is cut off from the others moves to another voter."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.clusters import event, leader_of

from ringrift.cluster.local import LocalCluster
from ringrift.log.connect import MOVE_SECONDS, Connection
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure

MOVED_SECONDS_MAX = 9.0
"""an answer is awaited for 5 s; the rest is for a machine with other load"""


def server(netloc: str, reconnects: int = 0) -> SimpleNamespace:
    return SimpleNamespace(uri=SimpleNamespace(netloc=netloc), reconnects=reconnects)


def test_a_client_moves_to_the_server_that_failed_least() -> None:
    client = Connection(None)
    a, b, c = server("a"), server("b", 2), server("c", 1)
    client._left = "a"
    assert client.choose([a, b, c], {}) == (c, 0.25)
    assert client.choose([a, b, c], {}) == (a, 0.0), "once, then any is as good"


async def test_a_new_client_and_one_without_alternatives_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, moves = Connection(None), list[str]()

    async def moved() -> None:
        moves.append("moved")

    monkeypatch.setattr(client, "force_reconnect", moved)
    client._current_server = server("a")  # type: ignore[assignment]
    client._server_pool = [client._current_server]  # type: ignore[list-item]
    client._connected_at -= MOVE_SECONDS
    await client.move()
    client._server_pool.append(server("b"))  # type: ignore[arg-type]
    await client.on_reconnect()
    await client.move()
    assert moves == []
    client._connected_at -= MOVE_SECONDS
    await client.move()
    await client.move()
    assert moves == ["moved"]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[LocalCluster]:
    made = LocalCluster.create(tmp_path, 3, users=False, tls=False)
    made.start()
    try:
        await made.wait_until_healthy()
        yield made
    finally:
        made.stop()


async def connected_to(cluster: LocalCluster, name: str) -> JetStreamLog:
    """A client that knows all voters and is connected to `name`."""
    while True:
        log = await JetStreamLog.open(cluster.url, name="test")
        url = log.client.connected_url
        if url is not None and url.port == cluster.member(name).port:
            return log
        await log.close()


async def heard(log: JetStreamLog, seq: int) -> None:
    async for entry in log.follow(EVENTS):
        if entry.seq == seq:
            return


@pytest.mark.slow
async def test_a_client_leaves_a_voter_that_is_cut_off_within_seconds(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    first = await JetStreamLog.open(cluster.url, name="test")
    await ensure(first, replicas=3)
    assert await first.append([event(1)]) == [1]
    leader = await leader_of(first)
    name = next(member.name for member in cluster.members if member.name != leader)
    log = await connected_to(cluster, name)
    following = [
        asyncio.create_task(heard(log, 2)) for _ in range(8)
    ]  # one in nine has its consumer on the voter it talks to
    await asyncio.sleep(1)
    cluster.cut([name])
    began = time.monotonic()
    try:
        assert await log.append([event(2)]) == [2]
        took = time.monotonic() - began
        url = log.client.connected_url
        assert url is not None
        assert url.port != cluster.member(name).port
        assert took < MOVED_SECONDS_MAX, took
        async with asyncio.timeout(20):
            await asyncio.gather(*following)
    finally:
        for task in following:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for each in (first, log):
            await each.close()
