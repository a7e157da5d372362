"""The machine under the server dies and its newest writes with it: an older copy of the store comes
back, and all is well again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringrift.events import Draft, Recorded, decode, draft
from ringrift.events.facts import ConsumerStarted, LostEventsRepublished
from ringrift.log.errors import LogRewound
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process
from ringrift.runtime.republish import republish_lost
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

WAIT_SECONDS_MAX = 30.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = await EmbeddedServer.start(tmp_path / "data")
    yield server
    if server.running:
        await server.stop()


def note(number: int) -> Draft:
    fact = ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="t", key=number)


async def history(log: JetStreamLog) -> list[Recorded]:
    return [
        decode(entry.body, stream="EVENTS", seq=entry.seq)
        async for batch in log.read("EVENTS")
        for entry in batch
    ]


async def power_cut(server: EmbeddedServer, copy: Path) -> None:
    """Kill the server, put the copy of its store in place and start it again."""
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    shutil.rmtree(server.data / "nats")
    shutil.copytree(copy, server.data / "nats")
    await server.restart()


async def test_what_an_older_store_lacks_is_written_again_once(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    process = Process("selfplay", "n", log)
    mending = asyncio.create_task(republish_lost(process))
    drafts = [note(number) for number in range(10)]
    for item in drafts[:6]:
        await log.append([item])
    shutil.copytree(server.data / "nats", tmp_path / "copy")
    for item in drafts[6:]:
        await log.append([item])
    followed = log.follow("EVENTS")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        for _ in drafts:
            await anext(followed)
    await power_cut(server, tmp_path / "copy")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(LogRewound):
            await anext(followed)
        while len(found := await history(log)) < len(drafts) + 1:  # noqa: ASYNC110  another task writes them
            await asyncio.sleep(0.05)
    mending.cancel()
    await log.close()
    assert [meta.id for _, meta in found[:-1]] == [item.id for item in drafts]
    event = found[-1].event
    assert isinstance(event, LostEventsRepublished)
    assert (event.stream, event.first_seq, event.last_seq, event.republished, event.orphaned) == (
        "EVENTS",
        7,
        10,
        4,
        0,
    )
