"""Which node takes a free lease, if the operator prefers some."""

from __future__ import annotations

import asyncio

from support.system import System, running, until

from ringrift.events import Settings
from ringrift.events.facts import LeaseAcquired, RoleMoveRequested, SettingsChanged
from ringrift.events.settings import OperationSettings
from ringrift.log.errors import LeaseLost
from ringrift.runtime.controls import MOVE_SECONDS
from ringrift.runtime.process import Process

ELECTIONS = "ringrift_leader_elections_total"
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
    assert process.controls.patience("rater", system.clock.wall()) == 0.0


async def test_a_role_moves_to_the_node_that_is_asked_for(system: System) -> None:
    processes = {name: system.process("rater", name) for name in ("a", "b", "c")}
    lost: list[str] = []

    async def stay(process: Process) -> None:
        while True:
            try:
                await holds(process, asyncio.Event())
            except LeaseLost as error:
                lost.append(f"{process.node}: {error}")

    async def follow(process: Process) -> None:
        await process.controls.follow(await process.controls.load())

    following = [follow(process) for process in processes.values()]
    async with running(stay(processes["a"]), *following):
        await until(lambda: processes["a"].doing == ACTING)
        async with running(stay(processes["b"]), stay(processes["c"])):
            await until(lambda: processes["c"].doing == "standing by for rater")
            await system.write(RoleMoveRequested(role="rater", node="c", why="test"))
            await until(lambda: processes["c"].doing == ACTING)
            assert lost == ["a: rater: moved to c"]
            assert await acting(system) == ["a", "c"]
            adopted = processes["b"].metrics.value(ELECTIONS, "rater", "adopted")
            assert (adopted or 0) > 0
            await system.write(RoleMoveRequested(role="rater", node="gone", why="test"))
            await until(lambda: len(lost) == 2)
            began = system.loop.time()
            await until(lambda: any(one.doing == ACTING for one in processes.values()))
            assert system.loop.time() - began <= MOVE_SECONDS + 1.0, "any node may, after a while"
    facts = await system.facts(LeaseAcquired)
    assert all(fact.election_seconds is not None for fact in facts)
    won = [process.metrics.value(ELECTIONS, "rater", "won") for process in processes.values()]
    assert sum(filter(None, won)) == len(facts) == 3
