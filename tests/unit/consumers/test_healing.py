"""The dispatcher while the queue has no leader, and after it was made anew."""

from __future__ import annotations

import asyncio

import pytest
from test_steering import PLAN, facts, process, running, until, write

from ringrift.consumers import dispatcher
from ringrift.events.facts import StreamRecreated
from ringrift.log.entry import Entry
from ringrift.log.errors import LogUnavailable
from ringrift.log.memory import MemoryBroker
from ringrift.server.recreate import Recreated, Recreator


async def test_what_was_on_a_queue_that_is_made_anew_is_asked_for_again_at_once_and_more_than_three_times() -> (
    None
):
    broker = MemoryBroker()
    runner = process(broker, "dispatcher")
    await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        for time in range(dispatcher.VANISHED_MAX + 2):
            await until(lambda: len(broker.stream("WORK").entries) == 3)
            broker.stream("WORK").purge("ringrift.work.>")
            await write(
                broker,
                StreamRecreated(stream="KV_leases", reason="leaderless", unavailable_seconds=61.0),
                f"other-{time}",
            )
            await write(
                broker,
                StreamRecreated(stream="WORK", reason="leaderless", unavailable_seconds=61.0),
                f"remade-{time}",
            )
        await until(lambda: len(broker.stream("WORK").entries) == 3)


async def test_a_dispatcher_without_a_queue_lives_on_until_it_is_made_anew_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(dispatcher, "STREAM_CHECK_SECONDS", 0.001)
    broker = MemoryBroker()
    runner = process(broker, "dispatcher")
    tries, healed = list[str](), asyncio.Event()

    async def check(recreator: Recreator) -> list[Recreated]:
        if healed.is_set() or len(tries) < 3:
            return []
        healed.set()
        return [Recreated("WORK", "leaderless", 61.0)]

    async def queued() -> list[Entry]:
        if healed.is_set():
            return []
        tries.append(runner.doing)
        raise LogUnavailable("queue: not acknowledged within 30 s")

    monkeypatch.setattr(Recreator, "check", check)
    monkeypatch.setattr(runner.log, "queued", queued)
    await write(broker, PLAN)
    async with running(dispatcher.main(runner)):
        await until(lambda: len(broker.stream("WORK").entries) == 3)
        await until(lambda: runner.doing == "dispatching")
    assert tries[2] == "waiting: the log does not answer"
    told = [item.event for item in await facts(broker, StreamRecreated)]
    assert told == [StreamRecreated(stream="WORK", reason="leaderless", unavailable_seconds=61.0)]
