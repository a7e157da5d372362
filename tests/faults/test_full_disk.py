"""A disk that has no room left: who writes is told in one line, nothing acknowledged is damaged,
and with room it goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import servers
from chaos.disks import Disk, why_none
from chaos.servers import Servers, recovered
from chaos.writers import writing
from simulator import checker
from simulator.checker import history

from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import DiskFull, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server import embedded as server_module
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

DISK_BYTES = 64 * 1024**2
EVENT_BYTES = 64 * 1024
TELL_SECONDS_MAX = 60.0
WRITTEN = 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if why_none():
        pytest.skip(why_none())
    made = Disk(tmp_path / "image", tmp_path / "data", DISK_BYTES)
    yield made
    made.unmount()


def _big(number: int) -> ConsumerStarted:
    return ConsumerStarted(
        node="n", consumer="full", instance=str(number), version="x" * EVENT_BYTES
    )


@pytest.mark.slow  # fills a disk and starts two servers
async def test_a_server_whose_disk_is_full_says_so_and_loses_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        server_module, "DISK_FREE_BYTES_MIN", 0
    )  # it would not have started so near the end
    server = await EmbeddedServer.start(disk.at)
    log = await JetStreamLog.open(server.url, name="full")
    await ensure(log)
    fault = asyncio.create_task(server.fault())
    acknowledged: list[str] = []
    filler = disk.fill()
    writing = asyncio.create_task(_write(log, acknowledged))
    async with asyncio.timeout(TELL_SECONDS_MAX):
        error = await fault
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert isinstance(error, DiskFull)
    assert (
        str(error)
        == f"no space left for {disk.at}: free some and start again; what was acknowledged is safe"
    )
    await server.stop()
    filler.unlink()
    await _restarted_with_all(disk.at, acknowledged)


async def _write(log: JetStreamLog, acknowledged: list[str]) -> None:
    """Until the disk is full, and on."""
    for number in range(10_000):
        item = draft(_big(number), cause=None, source="full", key=number)
        with contextlib.suppress(StreamError):
            await log.append([item])
            acknowledged.append(item.id)


async def _restarted_with_all(data: Path, acknowledged: list[str]) -> None:
    server = await EmbeddedServer.start(data)
    try:
        log = await JetStreamLog.open(server.url, name="full")
        there = [entry.id async for batch in log.read(EVENTS) for entry in batch]
        assert set(acknowledged) <= set(there)
        assert len(there) == len(set(there))
        await log.append([draft(_big(-1), cause=None, source="full", key="after")])
        await log.close()
    finally:
        await server.stop()


@pytest.mark.slow  # a cluster, an election, a restart
async def test_a_cluster_goes_on_without_the_server_whose_disk_is_full(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, disks=True) as made:
        name = (await made.log.call(f"STREAM.INFO.{EVENTS}"))["cluster"]["leader"]
        async with writing(made.cluster.url, pause_seconds=0.01) as writers:
            filler = made.disks[name].fill()
            await _says_no_space(made, name)
            before = [len(writer.acknowledged) for writer in writers]
            async with asyncio.timeout(TELL_SECONDS_MAX):
                while any(  # noqa: ASYNC110
                    len(one.acknowledged) < count + WRITTEN
                    for one, count in zip(writers, before, strict=True)
                ):
                    await asyncio.sleep(0.1)
            filler.unlink()
            made.kill([name])
            made.start([name])
            await recovered(made.log)
        found, ledgers = await history(made.log), [writer.acknowledged for writer in writers]
    assert [
        *checker.lost(found, ledgers, at_seq=True),
        *checker.doubled(found),
        *checker.disordered(ledgers),
    ] == []


async def _says_no_space(made: Servers, name: str) -> None:
    """Returns when the server has written that its disk is full. Raises TimeoutError."""
    said = made.data / "voters" / name / "nats.log"
    async with asyncio.timeout(TELL_SECONDS_MAX):
        while "no space left" not in said.read_text():  # noqa: ASYNC110  another process, it tells us nothing by itself
            await asyncio.sleep(0.1)
