"""The life of a process: start, heartbeats, drain and stop."""

from __future__ import annotations

import asyncio

import pytest
from support.system import PLAN, System

from ringrift.events.facts import ConsumerStarted, ConsumerStopped
from ringrift.log import marks
from ringrift.log.errors import StreamError
from ringrift.log.presence import HEARTBEAT_SECONDS
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime import run
from ringrift.runtime.host import version
from ringrift.runtime.process import Process


@pytest.fixture
async def process(system: System, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("RINGRIFT_HEALTH_PORT", "0")
    return system.process("rater")


async def work_until_stopped(process: Process) -> None:
    await process.wait_for_stop()


async def test_a_process_records_its_start_and_its_stop(system: System, process: Process) -> None:
    system.loop.call_later(10.0, process.stop)
    await run.live(process, work_until_stopped)
    (started,) = await system.facts(ConsumerStarted)
    (stopped,) = await system.facts(ConsumerStopped)
    assert started.version == version()
    assert started.instance == stopped.instance == process.instance
    assert stopped.why == "stop requested"


async def test_a_process_is_present_until_it_leaves(system: System, process: Process) -> None:
    async def work(process: Process) -> None:
        await process.wait(5 * HEARTBEAT_SECONDS)
        (beat,) = await process.presence.all()
        seen.append((beat.consumer, beat.node, beat.health))

    seen: list[tuple[str, str, str]] = []
    await run.live(process, work)
    assert seen == [("rater", "test", process.health_address)]
    assert await process.presence.all() == []


async def test_a_drained_process_finishes_its_work(system: System, process: Process) -> None:
    async def work(process: Process) -> None:
        await asyncio.sleep(60.0)
        finished.append(system.loop.time())

    finished: list[float] = []
    system.loop.call_later(10.0, process.stop)
    await run.live(process, work)
    assert finished == [60.0]


async def test_a_hot_standby_stops_at_once(system: System, process: Process) -> None:
    async def stand_by(process: Process) -> None:
        async with process.lease("planner"):
            raise AssertionError

    async def hold(holder: Process) -> None:
        async with holder.lease("planner"):
            await holder.wait_for_stop()

    holder = system.process("planner")
    holding = asyncio.create_task(hold(holder))
    await asyncio.sleep(1.0)
    system.loop.call_later(10.0, process.stop)
    await run.live(process, stand_by)
    assert system.loop.time() == pytest.approx(11.0)
    holder.stop()
    await holding


async def test_a_process_that_fails_records_that(system: System, process: Process) -> None:
    async def fail(process: Process) -> None:
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        await run.live(process, fail)
    (stopped,) = await system.facts(ConsumerStopped)
    assert stopped.why == "failed"


async def test_a_background_job_that_fails_is_started_again(
    system: System, process: Process
) -> None:
    async def job() -> None:
        starts.append(system.loop.time())
        raise TimeoutError

    starts: list[float] = []
    async with process.background({"test": job}):
        await asyncio.sleep(60.0)
    assert len(starts) > 10
    assert starts[1] - starts[0] >= 0.25


async def test_nothing_is_written_over_a_log_that_lost_its_end(
    system: System, process: Process
) -> None:
    await marks.store(process.log, marks.Mark(time=process.clock.now(), tails={EVENTS: 3}))
    with pytest.raises(StreamError, match="EVENTS ends with 0, but it went up to 3"):
        await run.live(process, work_until_stopped)
    assert await process.log.tail(EVENTS) == 0


async def test_the_end_of_the_log_is_remembered(system: System) -> None:
    await system.write(PLAN)
    for _ in range(2):
        await marks.remember(system.log)
    assert (await marks.newest(system.log)).tails == {EVENTS: 1, GAMES: 0}
    assert (
        len(system.broker.stream("KV_marks").entries) == system.broker.stream("KV_marks").last_seq
    )
    assert await marks.losses(system.log) == []
