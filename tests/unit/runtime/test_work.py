"""Work on tickets: acknowledging, retrying, handing back, failing for good, and refusing work."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace
from support.system import PLAN, System, running, selfplay_finished, until

from ringrift.errors import Permanent
from ringrift.events import Fact, UnknownEvent
from ringrift.events.facts import (
    DeadLetterStored,
    ErrorReported,
    NodeAssigned,
    NodeDrainRequested,
    PipelinePaused,
    PipelineResumed,
    PreemptionNoticed,
    SelfplayFinished,
    TrainingFailed,
    VoterDiskChanged,
)
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import Ticket, encode_ticket, subject_of, tickets_of
from ringrift.log.errors import LogUnavailable
from ringrift.runtime.heartbeat import relieve
from ringrift.runtime.process import Process
from ringrift.runtime.work import RETRIES, Drained, is_done, work


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    return TrainingFailed(
        config="hex8_2p", generation=0, ticket=ticket.ticket, reason=reason, node="test"
    )


class Worker:
    """Takes self-play tickets and notes each delivery; `do` is the work of a ticket."""

    def __init__(self, system: System, do: Any = None, node: str = "test") -> None:
        self.process = system.process("selfplay", node)
        self.tickets: list[str] = []
        self.deliveries: list[int] = []
        self._do = do

    async def run(self) -> None:
        await work(self.process, "selfplay", self._handle, failed)

    async def _handle(self, process: Process, ticket: Ticket, deliveries: int) -> None:
        self.tickets.append(ticket.ticket)
        self.deliveries.append(deliveries)
        if self._do is not None:
            await self._do(process, deliveries)

    async def follow_controls(self) -> None:
        await self.process.controls.follow(await self.process.controls.load())

    async def waits_because(self, why: str) -> None:
        await until(lambda: self.process.doing == f"waiting: {why}")


async def test_finished_work_is_acknowledged(system: System) -> None:
    worker = Worker(system)
    await system.request()
    async with running(worker.run()):
        await until(lambda: not system.queue.entries)
    assert worker.deliveries == [1, 1, 1]


async def test_failed_work_is_retried_then_recorded_and_dead_lettered(system: System) -> None:
    async def fail(process: Process, deliveries: int) -> None:
        times.append(system.loop.time())
        raise RuntimeError("no luck")

    times: list[float] = []
    worker = Worker(system, fail)
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await system.write(PLAN)}")
    await system.put(ticket)
    async with running(worker.run()):
        failure, _ = await system.first(TrainingFailed)
        letter, _ = await system.first(DeadLetterStored)
        await until(lambda: not system.queue.entries)
    waits = [after - before for before, after in pairwise(times)]
    assert worker.deliveries == [1, 2, 3, 4]
    assert waits == pytest.approx(OperationSettings().ticket_waits)
    assert failure.reason == "RuntimeError: no luck"
    assert letter.failure_recorded
    assert retries(worker) == {"queued": 3, "exhausted": 1, "succeeded": 0}


async def test_a_ticket_that_succeeds_later_is_counted(system: System) -> None:
    async def fail_once(process: Process, deliveries: int) -> None:
        if deliveries == 1:
            raise RuntimeError("no luck")

    worker = Worker(system, fail_once)
    await system.request()
    async with running(worker.run()):
        await until(lambda: not system.queue.entries)
    assert retries(worker) == {"queued": 3, "exhausted": 0, "succeeded": 3}


def retries(worker: Worker) -> dict[str, float]:
    metrics = worker.process.metrics
    outcomes = ("queued", "exhausted", "succeeded")
    return {outcome: metrics.value(RETRIES, "selfplay", outcome) or 0 for outcome in outcomes}


async def test_drained_work_is_handed_back_at_once(system: System) -> None:
    async def drain(process: Process, deliveries: int) -> None:
        process.stop()
        raise Drained

    await system.request()
    await Worker(system, drain).run()
    item = await system.log.next_ticket("selfplay", wait_seconds=1)
    assert item is not None
    assert item.deliveries == 2


async def test_an_unavailable_log_is_no_failure_of_the_work(system: System) -> None:
    async def lose_the_log(process: Process, deliveries: int) -> None:
        if deliveries < 6:
            raise LogUnavailable("away")

    worker = Worker(system, lose_the_log)
    await system.request()
    async with running(worker.run()):
        await until(lambda: not system.queue.entries)
    assert max(worker.deliveries) == 6
    assert worker.process.errors == 0


async def test_a_permanent_error_is_not_retried(system: System) -> None:
    async def fail(process: Process, deliveries: int) -> None:
        raise UnreadableNetwork("no such architecture")

    worker = Worker(system, fail)
    await system.request()
    async with running(worker.run()):
        await until(lambda: not system.queue.entries)
    assert worker.deliveries == [1, 1, 1]
    assert len(await system.facts(TrainingFailed)) == 3
    assert worker.process.breakers.allows("node-test")
    (reported,) = await system.facts(ErrorReported)
    assert reported.error == "UnreadableNetwork: no such architecture"


class UnreadableNetwork(ValueError, Permanent):
    pass


async def test_an_undecodable_ticket_is_dead_lettered(system: System) -> None:
    await system.log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "odd")
    async with running(Worker(system).run()):
        await system.first(DeadLetterStored)
    kept = await system.log.last("DEAD", "ringrift.dead.>")
    assert kept is not None
    assert kept.body == b"{}"


async def test_a_ticket_of_a_newer_program_is_left_to_it(system: System) -> None:
    (ticket,) = tickets_of(replace(PLAN, games=1), "EVENTS/1")
    written = json.loads(encode_ticket(ticket))
    written["plan"]["colour"] = "blue"
    await system.log.publish_ticket(subject_of(ticket), json.dumps(written).encode(), "newer")
    worker = Worker(system)
    async with running(worker.run()):
        letter, _ = await system.first(DeadLetterStored)
    assert not worker.tickets
    assert letter.deliveries > 5, "others had time to take it"
    assert "plan.colour" in letter.reason


async def test_work_under_settings_that_are_known_in_part_is_left(system: System) -> None:
    async def do(process: Process, deliveries: int) -> None:
        if deliveries < 3:
            raise UnknownEvent("settings of a newer program")

    await system.request(replace(PLAN, games=1))
    worker = Worker(system, do)
    async with running(worker.run()):
        await until(lambda: not system.queue.entries)
    assert worker.deliveries == [1, 2, 3]
    assert worker.process.errors == 0


async def test_an_outcome_in_the_log_marks_its_ticket_done(system: System) -> None:
    process = system.process()
    (ticket, *_) = await system.request()
    assert not await is_done(process, ticket, SelfplayFinished)
    await system.write(selfplay_finished(ticket.ticket))
    assert await is_done(process, ticket, SelfplayFinished)


async def test_a_paused_worker_finishes_its_ticket_and_continues_when_resumed(
    system: System,
) -> None:
    async def wait(process: Process, deliveries: int) -> None:
        await release.wait()

    release, worker = asyncio.Event(), Worker(system, wait)
    await system.request()
    async with running(worker.run(), worker.follow_controls()):
        await until(lambda: len(worker.tickets) == 1)
        await system.write(PipelinePaused(scope="all", kind="selfplay", why="test"))
        await until(lambda: worker.process.controls.pauses.stops("all", "selfplay"))
        release.set()
        await worker.waits_because("selfplay is paused")
        assert len(system.queue.entries) == 2
        await system.write(PipelineResumed(scope="all", kind="selfplay", why="test"))
        await until(lambda: len(worker.tickets) == 3)


async def test_a_worker_of_a_node_that_drains_takes_no_more_tickets(system: System) -> None:
    notice = PreemptionNoticed(node="test", seconds=30.0, source="signal")
    await system.write(notice)  # for the processes before
    worker = Worker(system)
    await system.request()
    async with running(worker.run(), worker.follow_controls()):
        await until(lambda: len(worker.tickets) == 3)
        await system.write(NodeDrainRequested(node="another", seconds=1.0, why="w"), notice)
        await until(lambda: worker.process.controls.draining)
        await system.request(replace(PLAN, generation=1))
        await worker.waits_because("node test drains")
        assert len(worker.tickets) == 3


async def test_a_pause_of_one_config_hands_back_its_tickets_only(system: System) -> None:
    await system.write(PipelinePaused(scope="hex8_2p", kind="selfplay", why="test"))
    worker = Worker(system)
    await worker.process.controls.load()
    await system.request(PLAN)
    other = await system.request(replace(PLAN, config="hex8_3p"))
    async with running(worker.run()):
        await until(lambda: len(worker.tickets) == 3)
    assert worker.tickets == [ticket.ticket for ticket in other]
    assert await system.facts(DeadLetterStored) == []


async def test_an_assignment_to_urgent_work_takes_the_ticket_away(system: System) -> None:
    async def wait(process: Process, deliveries: int) -> None:
        while True:
            process.check_stop()
            await asyncio.sleep(1.0)

    worker = Worker(system, wait, node="gpu1")
    await system.request()
    async with running(worker.run(), worker.follow_controls()):
        await until(lambda: len(worker.tickets) == 1)
        await system.write(assigned("other", "training"), assigned("gpu1", "training"))
        await worker.waits_because("node gpu1 is assigned to other work")
        await system.write(assigned("gpu1", "selfplay"))
        await until(lambda: len(worker.tickets) == 2)


async def test_memory_pressure_refuses_tickets(system: System) -> None:
    worker = Worker(system)
    await system.request()
    await relieve(worker.process, {"ram": 0.72})
    async with running(worker.run()):
        await worker.waits_because("ram is in its warning tier")
        assert worker.tickets == []
        await relieve(worker.process, {"ram": 0.5})
        await until(lambda: len(worker.tickets) == 3)


async def test_the_short_disk_of_a_voter_refuses_tickets(system: System) -> None:
    worker = Worker(system)
    short = VoterDiskChanged(voter="c", tier="warning", previous="normal", used=0.95)
    await system.write(short)
    await system.request()
    async with running(worker.follow_controls(), worker.run()):
        await worker.waits_because("the disk of voter c is in its warning tier")
        await system.write(replace(short, tier="normal", previous="warning", used=0.5))
        await until(lambda: len(worker.tickets) == 3)


async def test_a_memory_emergency_hands_back_the_ticket_and_ends_the_worker(system: System) -> None:
    async def wait(process: Process, deliveries: int) -> None:
        while True:
            process.check_stop()
            await asyncio.sleep(1.0)

    worker = Worker(system, wait)
    await system.request()
    await relieve(worker.process, {"vram": 0.5})
    running_worker = asyncio.create_task(worker.run())
    await until(lambda: worker.tickets)
    await relieve(worker.process, {"vram": 0.95})
    await running_worker
    assert worker.process.why_stopped == "vram is in its emergency tier"
    item = await system.log.next_ticket("selfplay", wait_seconds=1)
    assert item is not None
    assert item.deliveries == 2


async def test_a_quarantined_node_takes_no_tickets(system: System) -> None:
    worker = Worker(system)
    await system.open_breaker(worker.process, "node-test")
    await system.request()
    async with running(worker.run()):
        await worker.waits_because("node test is quarantined")
    assert worker.tickets == []


def assigned(node: str, kind: str) -> NodeAssigned:
    return NodeAssigned(
        node=node,
        kinds=(kind,),
        ticket_seconds=1.0,
        why="w",
        preempts=kind == "training",
        settings_version=1,
    )
