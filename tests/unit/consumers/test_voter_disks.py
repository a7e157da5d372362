"""The disks of voters: the monitor records them, and no worker takes tickets while one is short;
it names copies of voters that take no part."""

from __future__ import annotations

import asyncio

import pytest
from support.system import System

from ringrift.consumers.scrubbing import START_SECONDS_MAX, Scrubber
from ringrift.events.facts import ReplicaDamaged, VoterDiskChanged
from ringrift.log.holdings import Damage, Held
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.cluster_view import troubles_in_force

MEMBERS = dict.fromkeys("abc", True)


@pytest.fixture
async def scrubber(system: System) -> Scrubber:
    return Scrubber(system.process("monitor"), Expect("lease", 0))


def held(used: float, members: dict[str, bool] = MEMBERS) -> list[Held]:
    return [
        Held("a", {}, members=members, disk=0.5),
        Held("b", {}, members=members),
        Held("c", {}, members=members, disk=used),
    ]


async def controls(system: System) -> dict[str, str]:
    worker = system.process("selfplay")
    await worker.controls.load()
    return worker.controls.short_voters


async def test_a_short_disk_stops_work_until_there_is_room(
    system: System, scrubber: Scrubber
) -> None:
    for used in (0.5, 0.951, 0.945, 0.96):
        await scrubber.look_at_disks(held(used))
    assert await controls(system) == {"c": "warning"}
    (trouble,) = await troubles_in_force(system.log)
    assert trouble.scope == "c"
    assert trouble.why.startswith("95% of its disk is in use, so no worker takes tickets")
    # a monitor that takes over knows it
    scrubber = Scrubber(system.process("monitor"), Expect("lease", 0))
    await scrubber.learn()
    await scrubber.look_at_disks(held(0.93))
    assert [fact.tier for fact in await system.facts(VoterDiskChanged)] == ["warning", "caution"]
    assert await controls(system) == {}
    assert await troubles_in_force(system.log) == []


async def test_a_voter_that_stopped_stays_short_until_it_has_left(
    system: System, scrubber: Scrubber
) -> None:
    await scrubber.look_at_disks(held(0.999))
    await scrubber.look_at_disks(held(0.999)[:2])
    assert await controls(system) == {"c": "emergency"}
    await scrubber.look_at_disks(held(0.999, {"a": True, "b": True})[:2])
    assert await controls(system) == {}
    assert await system.log.tail(EVENTS) == 2


async def test_a_voter_that_takes_no_part_is_reported_once_it_has_had_time_to_start(
    system: System, scrubber: Scrubber
) -> None:
    idle = Damage(EVENTS, "c", messages=9, whole=9, last=9, idle=True)
    for _ in range(2):  # it starts, twice
        await scrubber.take([idle])
        await asyncio.sleep(START_SECONDS_MAX - 1)
        await scrubber.take([])
    await scrubber.take([idle])
    await asyncio.sleep(START_SECONDS_MAX)
    assert await system.facts(ReplicaDamaged) == []
    await scrubber.take([idle])
    (fact,) = await system.facts(ReplicaDamaged)
    assert (fact.voter, fact.stream, fact.idle) == ("c", EVENTS, True)
    (trouble,) = await troubles_in_force(system.log)
    assert trouble.why.startswith("takes no part in EVENTS: look at that disk, and restart the")
    await scrubber.take([])
    assert await troubles_in_force(system.log) == []
