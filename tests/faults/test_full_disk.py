"""A full disk: the server reports it in one line, nothing acknowledged is damaged, and the server
continues once there is space."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import servers
from chaos.disks import Disk, unavailable
from chaos.servers import Servers, recovered
from chaos.writers import write_on, writing
from simulator import checker
from support.waiting import eventually

from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.events.facts.vocabulary import TEXT_CHARS_MAX
from ringrift.log.errors import DiskFull, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server import embedded as server_module
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

DISK_BYTES = 64 * 1024**2
REPORT_SECONDS_MAX = 60.0
WRITTEN = 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if unavailable():
        pytest.skip(unavailable())
    made = Disk(tmp_path / "image", tmp_path / "data", DISK_BYTES)
    yield made
    made.unmount()


def large_event(number: int) -> ConsumerStarted:
    text = "x" * TEXT_CHARS_MAX
    return ConsumerStarted(node="n", consumer="full", instance=str(number), version=text)


async def write_until_cancelled(log: JetStreamLog, acknowledged: list[str]) -> None:
    """Append large events, also after the disk is full."""
    for number in range(10_000):
        item = draft(large_event(number), cause=None, source="full", key=number)
        with contextlib.suppress(StreamError):
            await log.append([item])
            acknowledged.append(item.id)


@pytest.mark.slow  # fills a disk and starts two servers
async def test_a_server_reports_a_full_disk_and_loses_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a server that is allowed to start with almost no space left
    monkeypatch.setattr(server_module, "DISK_FREE_BYTES_MIN", 0)
    server = await EmbeddedServer.start(disk.at)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        log = await JetStreamLog.open(server.url, name="full")
        stack.push_async_callback(log.close)
        await ensure(log)
        fault = asyncio.create_task(server.fault())
        # when its disk is full while a client writes
        acknowledged: list[str] = []
        filler = disk.fill()
        writing = asyncio.create_task(write_until_cancelled(log, acknowledged))
        async with asyncio.timeout(REPORT_SECONDS_MAX):
            error = await fault
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    # then it reports it in one line
    assert isinstance(error, DiskFull)
    remedy = "free some and start again; acknowledged messages are safe"
    assert str(error) == f"no space left for {disk.at}: {remedy}"
    # and after a restart with space all acknowledged events are stored, and it can be written to
    filler.unlink()
    await assert_stored_after_restart(disk.at, acknowledged)


async def assert_stored_after_restart(data: Path, acknowledged: list[str]) -> None:
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="full")
        stored = [entry.id async for batch in log.read(EVENTS) for entry in batch]
        assert set(acknowledged) <= set(stored)
        assert len(stored) == len(set(stored))
        await log.append([draft(large_event(-1), cause=None, source="full", key="after")])
        await log.close()
    finally:
        await server.stop()


@pytest.mark.slow  # a cluster, an election, a restart
async def test_a_cluster_continues_without_the_server_with_a_full_disk(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, disks=True) as made:
        name = await made.leader()
        async with writing(made.cluster.url, pause_seconds=0.01) as writers:
            filler = made.disks[name].fill()
            await reported_no_space(made, name)
            await write_on(writers, WRITTEN, REPORT_SECONDS_MAX)
            filler.unlink()
            made.kill([name])
            made.start([name])
            await recovered(made.log)
        found = await checker.history(made.log)
    assert checker.damaged(found, [writer.acknowledged for writer in writers]) == []


async def reported_no_space(made: Servers, name: str) -> None:
    """Return when the server has logged that its disk is full. Raises TimeoutError."""
    log_file = made.data / "voters" / name / "nats.log"

    async def reported() -> bool:
        return "no space left" in log_file.read_text()

    await eventually(reported, REPORT_SECONDS_MAX)
