"""Relief of pressure on memory, disk and file descriptors."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from support.system import System, running, until

from ringrift.deciders.fleet.pressure import batch_size, takes_work, worst
from ringrift.events.facts import NodePressureChanged
from ringrift.runtime import heartbeat, host
from ringrift.runtime.heartbeat import relieve
from ringrift.runtime.process import Process


async def test_a_new_tier_is_recorded_once_per_node(system: System) -> None:
    for process in (system.process(), system.process("evaluator")):
        await relieve(process, {"ram": 0.72, "disk": 0.1, "files": 0.0})
        await relieve(process, {"ram": 0.71, "disk": 0.1, "files": 0.0})
    (fact,) = await system.facts(NodePressureChanged)
    assert (fact.node, fact.resource, fact.consumer) == ("test", "ram", "")
    assert (fact.previous, fact.tier) == ("normal", "warning")


async def test_a_tier_falls_with_hysteresis(system: System) -> None:
    process, tiers = system.process(), []
    for used in (0.72, 0.66, 0.1):
        await relieve(process, {"ram": used})
        tiers.append((worst(process.tiers)[1], takes_work(process.tiers)))
    assert tiers == [("warning", False), ("warning", False), ("normal", True)]
    assert process.metrics.value("ringrift_resource_used_ratio", "ram") == 0.1
    assert [fact.tier for fact in await system.facts(NodePressureChanged)] == ["warning", "normal"]


@pytest.mark.parametrize(("used", "games"), [(0.5, 64), (0.72, 32), (0.85, 16)])
async def test_tighter_memory_searches_fewer_games_at_once(
    system: System, used: float, games: int
) -> None:
    process = system.process()
    await relieve(process, {"vram": used})
    assert batch_size(64, process.tiers) == games


async def test_an_emergency_of_memory_stops_the_process(system: System) -> None:
    process = system.process()
    await relieve(process, {"ram": 0.5})
    await relieve(process, {"ram": 0.95})
    assert process.stopping
    assert process.why_stopped == "ram is in its emergency tier"


async def test_a_process_that_starts_in_an_emergency_waits(system: System) -> None:
    process = system.process()
    await relieve(process, {"ram": 0.95})
    assert not process.stopping


async def test_an_emergency_of_the_disk_stops_no_process(system: System) -> None:
    process = system.process()
    await relieve(process, {"disk": 0.5})
    await relieve(process, {"disk": 0.999})
    assert not process.stopping


async def test_an_emergency_hands_over_the_lease_before_it_expires(system: System) -> None:
    async def lead(process: Process) -> None:
        async with process.lease("planner"):
            held.append((process.node, system.loop.time()))
            await process.wait_for_stop()

    held: list[tuple[str, float]] = []
    first, second = system.process("planner", "a"), system.process("planner", "b")
    async with running(lead(first)):
        await until(lambda: held)
        async with running(lead(second)):
            await until(lambda: second.standing_by)
            await relieve(first, {"ram": 0.5})
            await relieve(first, {"ram": 0.95})
            await until(lambda: len(held) == 2)
    (_, began), (node, taken) = held
    assert node == "b"
    assert taken - began < 5.0


async def test_critical_gpu_memory_empties_the_caches(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Gpu(used=85, cached=40)))
    monkeypatch.setattr(heartbeat, "used_shares", lambda data: {"vram": host.vram()})
    process = system.process()
    await relieve(process)
    assert process.tiers == {"vram": "critical"}
    await relieve(process)
    assert process.tiers == {"vram": "normal"}


class Gpu:
    """A GPU with 100 units of memory, of which `used` are in use, `cached` of them by caches."""

    def __init__(self, used: int, cached: int) -> None:
        self.used, self.cached = used, cached

    def is_available(self) -> bool:
        return True

    def mem_get_info(self) -> tuple[int, int]:
        return 100 - self.used, 100

    def empty_cache(self) -> None:
        self.used, self.cached = self.used - self.cached, 0
