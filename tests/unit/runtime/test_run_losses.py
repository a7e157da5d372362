"""A process after the server lost acknowledged events."""

from __future__ import annotations

import asyncio

from support.system import System, running, until

from ringrift.events import Fact
from ringrift.events.facts import ConsumerStarted, LostEventsRepublished, PipelinePaused
from ringrift.runtime.run import republish_lost


def started(number: int) -> Fact:
    return ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")


async def test_its_lost_observations_are_republished_and_the_loss_is_recorded(
    system: System,
) -> None:
    process = system.process()
    async with running(republish_lost(process)):
        for number in (1, 2):
            await asyncio.sleep(1.0)
            await process.append(started(number), key=number)
        system.broker.crash(unsynced_seconds=0.5)
        loss, _ = await system.first(LostEventsRepublished)
    assert (loss.first_seq, loss.last_seq, loss.republished, loss.orphaned) == (2, 2, 1, 0)
    assert await system.facts(ConsumerStarted) == [started(1), started(2)]


async def test_its_controls_are_read_again(system: System) -> None:
    process = system.process()
    await system.write(started(1))
    await asyncio.sleep(1.0)
    await system.write(started(2))
    position = await process.controls.load()
    async with running(process.controls.follow(position)):
        await asyncio.sleep(0.1)
        system.broker.crash(unsynced_seconds=0.5)
        await system.write(PipelinePaused(scope="all", kind="selfplay", why="test"))
        await until(lambda: process.controls.pauses.stops("hex8_2p", "selfplay"))
