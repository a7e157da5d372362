"""The monitor observes nodes, retries dead letters and closes breakers."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.system import System, running, until

from ringrift.cluster.fleet_view import nodes_of
from ringrift.consumers import monitor
from ringrift.consumers.monitor import Known
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    BreakerReset,
    ConsumerPresenceChanged,
    ConsumerStarted,
    ConsumerStopped,
    CrashLoopChanged,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    NodeDescribed,
    NodeForgotten,
    NodeJoined,
    NodePresenceChanged,
    NodeReturned,
    UtilisationSampled,
)
from ringrift.log.entry import Entry
from ringrift.log.presence import Heartbeat, Machine
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES

HEARTBEAT = Heartbeat(
    consumer="selfplay", node="gpu1", instance="i", pid=1, doing="", seq=0, errors=0, folds={}
)


CRASHED = {"node": "gpu1", "consumer": "selfplay"}


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("monitor")


async def test_a_node_is_recorded_when_it_joins_and_when_it_leaves(
    system: System, process: Process
) -> None:
    async with running(monitor.main(process)):
        await process.presence.beat(HEARTBEAT)
        joined, _ = await system.first(NodeJoined)
        await process.presence.beat(replace(HEARTBEAT, left=True))
        await system.count(NodePresenceChanged, 2)
    assert joined.node == "gpu1"
    changes = [(fact.present, fact.left) for fact in await system.facts(NodePresenceChanged)]
    assert changes == [(True, False), (False, True)]


async def test_processes_that_started_later_than_the_monitor_are_missed(system: System) -> None:
    known = Known()
    known.present.add("gpu1")
    for instance, stopped in (("one", True), ("two", False)):
        await system.write(ConsumerStarted(**CRASHED, instance=instance, version="1"))
        if stopped:
            await system.write(ConsumerStopped(**CRASHED, instance=instance, why="ended"))
        # once its heartbeats have expired
        await known.read_lives(system.log)
        (change,) = known.changes({})
        assert change.left == stopped


async def test_a_silent_node_is_recorded_as_missing(system: System, process: Process) -> None:
    async with running(monitor.main(process)):
        await process.presence.beat(HEARTBEAT)
        await system.count(NodePresenceChanged, 2)
    (_, missing) = await system.facts(NodePresenceChanged)
    assert (missing.present, missing.left) == (False, False)


async def test_a_node_that_drains_has_left_as_far_as_work_is_concerned(
    system: System, process: Process
) -> None:
    async with running(monitor.main(process)):
        await process.presence.beat(HEARTBEAT)
        await system.count(NodePresenceChanged, 1)
        await process.presence.beat(replace(HEARTBEAT, draining=True))
        await system.count(NodePresenceChanged, 2)
    (_, gone) = await system.facts(NodePresenceChanged)
    assert (gone.present, gone.left) == (False, True)


@pytest.mark.parametrize(
    "fact",
    [
        NodeForgotten(node="gpu1", why="given back"),
        NodeReturned(node="gpu1", instance="i-1", asked=True),
    ],
)
async def test_a_node_that_returns_after_it_was_forgotten_is_described_again(
    system: System, process: Process, fact: Fact
) -> None:
    machine = Machine(
        roles=("worker",), cores=8, memory_bytes=1, provider="vast", consumers=("selfplay",)
    )
    beat = replace(HEARTBEAT, machine=machine)
    async with running(monitor.main(process)):
        await process.presence.beat(beat)
        await system.count(NodeDescribed, 1)
        await process.presence.beat(replace(beat, left=True))
        await system.count(NodePresenceChanged, 2)
        await system.write(fact)
        assert await nodes_of(system.log) == []
        await process.presence.beat(beat)
        await system.count(NodeDescribed, 2)
    (node,) = await nodes_of(system.log)
    assert (node.node, node.present, node.cost_per_hour) == ("gpu1", True, 0.0)


async def test_what_a_node_says_of_itself_is_recorded_once_and_shown_in_the_fleet(
    system: System, process: Process
) -> None:
    machine = Machine(
        roles=("worker", "evaluator"),
        cores=8,
        memory_bytes=2**34,
        gpu="NVIDIA RTX 4090",
        gpus=2,
        vram_bytes=24 * 2**30,
        provider="Vast.ai",
        price_per_hour=0.7,
        consumers=("selfplay", "evaluator"),
    )
    beat = replace(HEARTBEAT, consumer="node", instance="n", machine=machine)
    async with running(monitor.main(process)):
        await process.presence.beat(beat)
        fact, _ = await system.first(NodeDescribed)
        await process.presence.beat(replace(beat, machine=replace(machine, price_per_hour=0.9)))
        await system.count(NodeDescribed, 2)
    assert (fact.provider, fact.accelerator) == ("vast-ai", "nvidia-rtx-4090-x2")
    assert (fact.kinds, fact.rented, fact.vram_gib) == (("selfplay", "evaluation"), True, 24.0)
    (node,) = await nodes_of(system.log)
    assert (node.known, node.present, node.cost_per_hour) == ("from itself", True, 0.9)


async def test_a_process_that_crashes_again_and_again_is_recorded_until_it_runs(
    system: System, process: Process
) -> None:
    for number in range(4):
        await system.write(ConsumerStarted(**CRASHED, instance=str(number), version="1"))
    async with running(monitor.main(process)):
        await asyncio.sleep(640.0)  # virtual; crashes of ten minutes count
    began, ended = await system.facts(CrashLoopChanged)
    assert (began.looping, began.crashes) == (True, 4)
    assert ended == replace(began, looping=False, crashes=0)


async def test_a_retry_that_an_earlier_monitor_left_undone_is_carried_out_once(
    system: System, process: Process
) -> None:
    subject = "ringrift.settings.all.changed"
    seq = await system.log.publish("EVENTS", subject, b"poison")
    entry = Entry(seq, subject, 0, b"poison")
    rater = system.process("rater")
    await rater.dead_letter(entry, stream="EVENTS", deliveries=1, reason="undecodable")
    request = DeadLetterRetryRequested(
        consumer="rater", stream="EVENTS", seq=seq, dead_seq=1, attempt=1
    )
    earlier = draft(request, cause="EVENTS/1", source="monitor@before")
    (requested,) = await system.log.append([earlier])
    for _ in range(2):
        async with running(monitor.main(system.process("monitor"))):
            failed, meta = await system.first(DeadLetterRetryFailed)
    assert (failed.seq, meta.cause) == (seq, f"EVENTS/{requested}")
    assert len(await system.facts(DeadLetterRetryFailed)) == 1


async def test_a_breaker_that_an_operator_resets_is_closed(
    system: System, process: Process
) -> None:
    await system.open_breaker(system.process(), "node-test")
    async with running(monitor.main(process)):
        await until(lambda: not process.breakers.allows("node-test"))
        await system.write(BreakerReset(target="node-test", why="repaired"))
        await until(lambda: process.breakers.allows("node-test"))


def test_a_node_that_reported_its_stop_to_an_earlier_monitor_is_not_missing() -> None:
    known = Known()
    for event in (
        NodePresenceChanged(node="a", present=True, left=False, silent_seconds=0, processes=1),
        ConsumerStarted(node="a", consumer="rater", instance="1", version="1"),
        ConsumerStopped(node="a", consumer="rater", instance="1", why="stop requested"),
        NodePresenceChanged(node="b", present=True, left=False, silent_seconds=0, processes=1),
        ConsumerStarted(node="b", consumer="rater", instance="2", version="1"),
    ):
        known.take(event)
    changes = [(change.node, change.present, change.left) for change in known.changes({})]
    assert changes == [("a", False, True), ("b", False, False)]


def test_a_kind_of_process_without_heartbeats_is_recorded_once_and_when_it_returns() -> None:
    known, everything = Known(), set(PROCESSES)
    rest = everything - {"trainer"}
    assert known.kinds(everything, 0.0) == []
    assert known.kinds(rest, 100.0) == []
    assert known.kinds(everything, 110.0) == [], "a restart"
    assert known.kinds(rest, 200.0) == []
    gone = known.kinds(rest, 200.0 + monitor.MISSING_SECONDS)
    assert gone == [ConsumerPresenceChanged(consumer="trainer", present=False)]
    known.take(gone[0])
    assert known.kinds(rest, 300.0) == []
    back = known.kinds(everything, 301.0)
    assert back == [ConsumerPresenceChanged(consumer="trainer", present=True)]
    known.take(back[0])
    assert known.kinds(everything, 302.0) == []


async def test_the_use_of_the_machines_is_recorded_every_minute(
    system: System, process: Process
) -> None:
    async with running(monitor.main(process)):
        beat = replace(HEARTBEAT, cores=2, busy=True)
        while not await system.facts(UtilisationSampled):
            await process.presence.beat(beat)
            await asyncio.sleep(2.0)
    (sample,) = await system.facts(UtilisationSampled)
    assert sample.nodes["gpu1"].busy["selfplay"] == pytest.approx(sample.seconds, abs=4.0)
    assert sum(sample.nodes["gpu1"].waited.values()) == pytest.approx(sample.seconds, abs=4.0)
