"""The dispatcher recreates streams without a leader, and refills the queue afterwards."""

from __future__ import annotations

import pytest
from support.system import PLAN, System, running, until

from ringrift.consumers import dispatcher
from ringrift.events.facts import StreamRecreated
from ringrift.log.entry import Entry
from ringrift.log.errors import LogUnavailable
from ringrift.server.recreate import Recreated, Recreator


def recreated(stream: str) -> StreamRecreated:
    return StreamRecreated(stream=stream, reason="leaderless", unavailable_seconds=61.0)


async def test_a_recreated_queue_is_refilled_at_once_each_time(system: System) -> None:
    await system.write(PLAN)
    async with running(dispatcher.main(system.process("dispatcher"))):
        for _ in range(dispatcher.VANISHED_MAX + 2):
            await until(lambda: len(system.queue.entries) == 3)
            system.queue.purge("ringrift.work.>")
            await system.write(recreated("KV_leases"), recreated("WORK"))
        await until(lambda: len(system.queue.entries) == 3)


async def test_a_dispatcher_without_a_queue_recreates_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, states, is_recreated = system.process("dispatcher"), list[str](), False

    async def check(recreator: Recreator) -> list[Recreated]:
        nonlocal is_recreated
        if is_recreated or len(states) < 3:
            return []
        is_recreated = True
        return [Recreated("WORK", "leaderless", 61.0)]

    async def queued() -> list[Entry]:
        if is_recreated:
            return []
        states.append(process.doing)
        raise LogUnavailable("queue: not acknowledged within 30 s")

    monkeypatch.setattr(Recreator, "check", check)
    monkeypatch.setattr(process.log, "queued", queued)
    await system.write(PLAN)
    async with running(dispatcher.main(process)):
        await until(lambda: len(system.queue.entries) == 3)
        await until(lambda: process.doing == "dispatching")
    assert states[2] == "waiting: the log does not answer"
    assert await system.facts(StreamRecreated) == [recreated("WORK")]
