"""The machine of the server dies and its newest writes with it: an older copy of the store is
restored, and clients republish the events that it lacks."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from support.waiting import eventually

from ringrift.events import Draft, Recorded, draft
from ringrift.events.facts import ConsumerStarted, LostEventsRepublished
from ringrift.log import read
from ringrift.log.errors import LogRewound
from ringrift.log.jetstream import JetStreamLog
from ringrift.runtime.process import Process
from ringrift.runtime.run import republish_lost
from ringrift.server.embedded import EmbeddedServer

WAIT_SECONDS_MAX = 30.0


def event(number: int) -> Draft:
    fact = ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="t", key=number)


async def power_cut(server: EmbeddedServer, copy: Path) -> None:
    """Kill the server, replace its store by the copy and start it again."""
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    shutil.rmtree(server.data / "nats")
    shutil.copytree(copy, server.data / "nats")
    await server.restart()


async def test_events_that_an_older_store_lacks_are_republished_once(
    server: EmbeddedServer, log: JetStreamLog, tmp_path: Path
) -> None:
    # given ten acknowledged events, of which the copy of the store has six
    drafts = [event(number) for number in range(10)]
    republishing = asyncio.create_task(republish_lost(Process("selfplay", "n", log)))
    for item in drafts[:6]:
        await log.append([item])
    shutil.copytree(server.data / "nats", tmp_path / "copy")
    for item in drafts[6:]:
        await log.append([item])
    followed = log.follow("EVENTS")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        for _ in drafts:
            await anext(followed)
    # when the server restarts on the copy
    await power_cut(server, tmp_path / "copy")
    # then followers are notified, and all events are stored again, once
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(LogRewound):
            await anext(followed)

    async def all_stored() -> list[Recorded]:
        found = [item async for item in read.facts(log)]
        return found if len(found) > len(drafts) else []

    *found, (fact, _) = await eventually(all_stored, WAIT_SECONDS_MAX)
    republishing.cancel()
    assert [meta.id for _, meta in found] == [item.id for item in drafts]
    assert fact == LostEventsRepublished(
        node="n",
        consumer="selfplay",
        stream="EVENTS",
        first_seq=7,
        last_seq=10,
        republished=4,
        orphaned=0,
    )
