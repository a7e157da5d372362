"""Which node takes a free lease, if the operator prefers some."""

from __future__ import annotations

import asyncio

from support.system import System, running, until

from ringrift.events import Settings
from ringrift.events.facts import LeaseAcquired, SettingsChanged
from ringrift.events.settings import OperationSettings
from ringrift.runtime.process import Process

ACTING = "acting as rater"


def prefer(*nodes: str) -> SettingsChanged:
    chosen = Settings(configs=(), operation=OperationSettings(coordinators=nodes))
    return SettingsChanged(version=1, settings=chosen, why="test")


async def holds(process: Process, release: asyncio.Event) -> None:
    async with process.lease("rater"):
        await release.wait()


async def acting(system: System) -> list[str]:
    return [fact.holder.partition(".")[0] for fact in await system.facts(LeaseAcquired)]


async def test_a_free_lease_goes_to_the_first_preferred_node_that_is_there(system: System) -> None:
    await system.write(prefer("best", "good"))
    release = {name: asyncio.Event() for name in ("other", "good", "best")}
    processes = {name: system.process("rater", name) for name in release}
    for process in processes.values():
        await process.controls.load()
    jobs = [holds(processes[name], release[name]) for name in release]
    async with running(*jobs):
        await until(lambda: processes["best"].doing == ACTING)
        assert await acting(system) == ["best"]
        release["best"].set()
        await until(lambda: processes["good"].doing == ACTING)
        release["good"].set()
        await until(lambda: processes["other"].doing == ACTING)
    assert await acting(system) == ["best", "good", "other"]


async def test_without_a_preference_the_first_one_takes_it_at_once(system: System) -> None:
    process = system.process("rater", "other")
    began = system.loop.time()
    async with process.lease("rater"):
        assert system.loop.time() - began < 1.0
    assert process.controls.patience() == 0.0
