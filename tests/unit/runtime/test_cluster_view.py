"""The cluster at a glance."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.system import System

from ringrift.events.facts import PipelinePaused
from ringrift.log.entry import Entry
from ringrift.log.presence import Heartbeat
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.controls import resume_command
from ringrift.runtime.processes import LEASED, PROCESSES


def heartbeat(consumer: str, tier: str = "normal", node: str = "a") -> Heartbeat:
    return Heartbeat(
        consumer=consumer,
        node=node,
        instance=consumer,
        pid=1,
        doing="",
        seq=0,
        errors=0,
        folds={},
        tier=tier,
    )


async def cluster(system: System, running: Iterable[str], leased: Iterable[str]) -> None:
    """Processes with a heartbeat, and held leases."""
    presence = system.process().presence
    for name in running:
        await presence.beat(heartbeat(name))
    for role in leased:
        key = b'{"holder":"a.1","claim":"c"}'
        await system.log.publish("KV_leases", f"$KV.leases.{role}", key)


async def view(system: System, **limits: int) -> ClusterView:
    return await cluster_view(system.log, now=system.clock.wall, **limits)


async def test_a_complete_cluster_needs_no_advice(system: System) -> None:
    await cluster(system, PROCESSES, LEASED)
    seen = await view(system)
    assert seen.roles == dict.fromkeys(LEASED, "a.1")
    assert seen.nodes["a"].processes == len(PROCESSES)
    assert (seen.resilience.score, seen.advice) == (1.0, ())


async def test_the_tightest_tier_lowers_resilience(system: System) -> None:
    await cluster(system, PROCESSES, LEASED)
    await system.process().presence.beat(heartbeat("rater", tier="warning"))
    seen = await view(system)
    assert (seen.memory_tier, seen.nodes["a"].tier) == ("warning", "warning")
    assert seen.resilience.score == pytest.approx(0.85)
    assert [line.partition(":")[0] for line in seen.advice] == ["memory"]


async def test_a_pause_is_shown_with_the_command_that_ends_it(system: System) -> None:
    await cluster(system, PROCESSES, LEASED)
    await system.write(PipelinePaused(scope="hex8_2p", kind="selfplay", why="maintenance"))
    seen = await view(system)
    assert seen.paused == {"hex8_2p/selfplay": "maintenance"}
    (advice,) = seen.advice
    assert "`ringrift resume --config hex8_2p --kind selfplay` ends it" in advice


@pytest.mark.parametrize(("limit", "alarm"), [(1, True), (50, False)])
async def test_dead_letters_are_an_alarm_from_a_threshold(
    system: System, limit: int, alarm: bool
) -> None:
    await cluster(system, PROCESSES, LEASED)
    entry = Entry(1, "ringrift.settings.all.changed", 0, b"poison")
    process = system.process("rater")
    await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="undecodable")
    seen = await view(system, dead_letters_max=limit)
    assert seen.dead_letters == 1
    assert ("alarm threshold" in seen.advice[0]) == alarm


async def test_missing_processes_and_vacant_roles_are_named(system: System) -> None:
    missing = {"feedback", "clock"}
    await cluster(system, PROCESSES.keys() - missing, set(LEASED) - missing)
    seen = await view(system)
    assert (seen.roles["feedback"], seen.roles["clock"]) == (None, None)
    assert seen.resilience.coordinator == pytest.approx(3 / 5)
    assert seen.resilience.processes == pytest.approx(9 / 11)
    problems = [line.partition(";")[0] for line in seen.advice]
    assert len(problems) == 2
    assert all("feedback, clock" in problem for problem in problems)


def test_the_command_that_ends_a_pause_names_its_scope_and_kind() -> None:
    assert resume_command("all/all") == "ringrift resume"
    assert resume_command("hex8_2p/all") == "ringrift resume --config hex8_2p"
    assert resume_command("all/training") == "ringrift resume --kind training"
