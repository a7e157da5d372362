"""The cluster at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from msgspec.structs import replace
from support.loop_facts import finished
from support.system import System

from ringrift.events.facts import ConsumerStarted, ConsumerStopped, PipelinePaused, TrainingFailed
from ringrift.log.entry import Entry
from ringrift.log.presence import Heartbeat
from ringrift.runtime.cluster_view import START_SECONDS, ClusterView, cluster_view
from ringrift.runtime.controls import resume_command
from ringrift.runtime.processes import EXPECTED, LEASED, PROCESSES


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
    assert (seen.health.level, seen.resilience.level, seen.advice) == ("HEALTHY", "HEALTHY", ())
    assert seen.resilience.score < 0.75, "nothing could replace the server or a process"


async def test_one_missing_process_of_eleven_is_a_warning(system: System) -> None:
    await cluster(system, PROCESSES.keys() - {"exporter"}, LEASED)
    seen = await view(system)
    assert (seen.health.level, seen.running["exporter"]) == ("WARNING", 0)
    (advice,) = seen.advice
    assert advice.startswith("processes: start exporter")


async def test_what_lacks_while_all_start_is_no_problem_yet(system: System) -> None:
    (first,) = LEASED[:1]
    started = ConsumerStarted(node="a", consumer=first, instance=first, version="1")
    await system.write(started)
    seen = await view(system)  # before the first heartbeat
    assert (seen.starting, seen.health.level, seen.advice) == (True, "HEALTHY", ())
    await cluster(system, [first], [])
    seen = await view(system)
    assert (seen.starting, seen.health.level, seen.advice) == (True, "HEALTHY", ())
    await asyncio.sleep(START_SECONDS + 1)
    await cluster(system, [first], [])
    seen = await view(system)
    assert (seen.starting, seen.health.level) == (False, "WARNING")
    # one that starts again and again hides nothing while another has run for longer
    await system.write(replace(started, consumer="trainer", instance="t"))
    assert (await view(system)).health.level == "WARNING"


async def test_a_failed_training_is_a_warning_until_another_succeeds(system: System) -> None:
    await cluster(system, PROCESSES, LEASED)
    ticket = {"config": "hex8_2p", "ticket": "t", "node": "a"}
    await system.write(TrainingFailed(generation=3, reason="out of memory", **ticket))
    seen = await view(system)
    assert seen.health.level == "WARNING"
    (advice,) = seen.advice
    assert "hex8_2p: training failed since" in advice
    await system.write(finished(generation=3))
    assert (await view(system)).health.level == "HEALTHY"


@pytest.mark.parametrize(("crashes", "told"), [(2, False), (3, True)])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_process_that_crashes_again_and_again_is_named(
    system: System, crashes: int, told: bool, stopped: bool
) -> None:
    await cluster(system, PROCESSES, LEASED)
    for number in range(crashes):
        life = {"node": "a", "consumer": "exporter", "instance": str(number)}
        await system.write(ConsumerStarted(version="1", **life))
        if stopped:
            await system.write(ConsumerStopped(why="failed", **life))
    drained = {"node": "a", "consumer": "exporter", "instance": "drained"}
    await system.write(ConsumerStarted(version="1", **drained))
    await system.write(ConsumerStopped(why="stop requested", **drained))
    running = {"node": "a", "consumer": "exporter", "instance": "exporter"}
    await system.write(ConsumerStarted(version="1", **running))
    seen = await view(system)
    assert seen.crashes == ({"exporter@a": crashes} if told else {})
    assert seen.health.level == ("WARNING" if told else "HEALTHY")
    await asyncio.sleep(601)
    assert (await view(system)).crashes == {}


async def test_the_tightest_tier_lowers_resilience(system: System) -> None:
    await cluster(system, PROCESSES, LEASED)
    await system.process().presence.beat(heartbeat("rater", tier="warning"))
    seen = await view(system)
    assert (seen.memory_tier, seen.nodes["a"].tier) == ("warning", "warning")
    assert seen.resilience.memory == pytest.approx(0.5)
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
    assert seen.resilience.coordinator == pytest.approx((1 - 2 / len(LEASED)) / 2)
    assert seen.resilience.processes == pytest.approx(1 - 2 / len(EXPECTED))
    problems = [line.partition(";")[0] for line in seen.advice]
    assert len(problems) == 2
    assert all("feedback, clock" in problem for problem in problems)


def test_the_command_that_ends_a_pause_names_its_scope_and_kind() -> None:
    assert resume_command("all/all") == "ringrift resume"
    assert resume_command("hex8_2p/all") == "ringrift resume --config hex8_2p"
    assert resume_command("all/training") == "ringrift resume --kind training"
