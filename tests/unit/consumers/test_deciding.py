"""Deciders brought to life: rebuilt after a crash, taken over, overtaken; on the in-memory log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ringrift.consumers import dispatcher
from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import Recorded, Settings, decode, draft
from ringrift.events.facts import (
    DeadLetterStored,
    EvaluationScored,
    Fact,
    ModelRegistered,
    Ranking,
    RatingsUpdated,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
)
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import decode_ticket
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime.decide import act, own_decisions, replayed
from ringrift.runtime.process import Process

PLANNER = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER)
SETTINGS = Settings(selfplay=SelfplaySettings(bootstrap_games=20, games_per_ticket=8))
B = "b" * 64


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


def process(broker: MemoryBroker, name: str = "planner") -> Process:
    log = MemoryLog(broker)
    return Process(name, "test", log)


async def write(broker: MemoryBroker, *facts: Fact) -> list[int]:
    log = MemoryLog(broker)
    before = await log.tail("EVENTS")
    return [
        (await log.append([draft(fact, cause=None, source="test", key=f"{before}.{i}")]))[0]
        for i, fact in enumerate(facts)
    ]


async def wait_for(broker: MemoryBroker, kind: type[Fact], count: int = 1) -> list[Recorded]:
    """The first `count` events of a kind, once they are there."""
    found: list[Recorded] = []
    async with asyncio.timeout(20):
        async for entry in MemoryLog(broker).follow("EVENTS"):
            with contextlib.suppress(ValueError):
                recorded = (
                    decode(entry.body, stream="EVENTS", seq=entry.seq)
                    if entry.body.startswith(b"{")
                    else None
                )
                if recorded and isinstance(recorded.event, kind):
                    found.append(recorded)
            if len(found) == count:
                return found
    raise AssertionError


async def all_of(broker: MemoryBroker, kind: type[Fact]) -> list[Recorded]:
    entries = [entry async for batch in MemoryLog(broker).read("EVENTS") for entry in batch]
    events = [
        decode(entry.body, stream="EVENTS", seq=entry.seq)
        for entry in entries
        if entry.body.startswith(b"{")
    ]
    return [item for item in events if isinstance(item.event, kind)]


@contextlib.asynccontextmanager
async def running(
    runner: Process, *deciders, role: str | None = "planner"
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(act(runner, deciders or PLANNER, role))
    try:
        yield task
    finally:
        runner.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def settings(version: int = 1) -> SettingsChanged:
    return SettingsChanged(version=version, settings=SETTINGS, why="test")


def scored(wins: int, losses: int) -> EvaluationScored:
    """`wins` starts won twice, `losses` starts lost twice."""
    me, other = f"{B[:12]}:gumbel:s32", "baseline:random:s0"
    orders = [((me, other), wins), ((other, me), losses)]
    return EvaluationScored(
        config="hex8_2p",
        generation=1,
        ticket="t",
        candidate=me,
        candidate_model=B,
        opponent=other,
        purpose="random",
        round=0,
        games=2 * (wins + losses),
        wins=2.0 * wins,
        scores=tuple((score, count) for score, count in ((0.0, losses), (1.0, wins)) if count),
        rankings=tuple(
            Ranking(order=order, ranks=(1, 2), count=2 * count) for order, count in orders if count
        ),
        play_seconds=1.0,
        node="n",
    )


async def test_a_decision_names_its_cause(broker):
    (seq,) = await write(broker, settings())
    async with running(process(broker)):
        ((plan, meta),) = await wait_for(broker, SelfplayPlanned)
    assert (plan.generation, plan.games, meta.cause) == (0, 20, f"EVENTS/{seq}")


async def test_a_restart_repeats_nothing_and_goes_on(broker):
    await write(broker, settings())
    async with running(process(broker)):
        await wait_for(broker, SelfplayPlanned)
    await write(
        broker,
        settings(2),
        ModelRegistered(
            config="hex8_2p",
            model=B,
            generation=1,
            architecture="v2-micro",
            encoder="e",
            parameters=1,
            parents=(),
            ticket="t",
        ),
    )
    async with running(process(broker)):
        await wait_for(broker, evaluation.EvaluationRequested, 2)
    assert len(await all_of(broker, SelfplayPlanned)) == 1


async def test_a_second_planner_stands_by_and_takes_over(broker):
    await write(broker, settings())
    first, second = process(broker), process(broker)
    async with running(second):
        async with running(first):
            await wait_for(broker, SelfplayPlanned)
        await write(
            broker,
            ModelRegistered(
                config="hex8_2p",
                model=B,
                generation=1,
                architecture="v2-micro",
                encoder="e",
                parameters=1,
                parents=(),
                ticket="t",
            ),
        )
        await wait_for(broker, evaluation.EvaluationRequested, 2)
    assert len(await all_of(broker, SelfplayPlanned)) == 1


async def test_two_raters_write_each_table_once(broker):
    async with (
        running(process(broker, "rater"), elo.DECIDER, role=None),
        running(process(broker, "rater"), elo.DECIDER, role=None),
    ):
        for wins in range(20, 25):
            await write(broker, scored(wins, 2))
        await wait_for(broker, RatingsUpdated, 5)
    causes = [meta.cause for _, meta in await all_of(broker, RatingsUpdated)]
    assert len(causes) == len(set(causes)) == 5


async def test_a_poison_event_is_dead_lettered_and_the_decider_goes_on(broker):
    log = MemoryLog(broker)
    await log.publish("EVENTS", "ringrift.settings.all.changed", b"not json", id="poison")
    await write(broker, settings())
    async with running(process(broker)):
        ((letter, _),) = await wait_for(broker, DeadLetterStored)
        await wait_for(broker, SelfplayPlanned)
    assert letter.stream == "EVENTS"
    kept = await log.get("DEAD", letter.dead_seq)
    assert kept.body == b"not json"


async def test_the_fold_of_a_running_decider_is_that_of_the_log(broker):
    await write(broker, settings(), scored(8, 8))
    runner = process(broker, "rater")
    async with running(runner, elo.DECIDER, role=None):
        await wait_for(broker, RatingsUpdated)
        await write(broker, settings(2))
        while runner.seq < await runner.log.tail("EVENTS"):  # noqa: ASYNC110  the fold has no event to wait for
            await asyncio.sleep(0)
        live = runner.folds["elo"].fold_hash
    events = [
        decode(entry.body, stream="EVENTS", seq=entry.seq)
        async for batch in runner.log.read("EVENTS")
        for entry in batch
    ]
    assert replayed(elo.DECIDER, events).fold_hash == live


async def test_own_decisions_are_found_by_their_cause(broker):
    (seq,) = await write(broker, settings())
    async with running(process(broker)):
        await wait_for(broker, SelfplayPlanned)
    own = await own_decisions(MemoryLog(broker), selfplay.DECIDER)
    assert list(own) == [seq]


async def test_the_promoter_needs_no_planner(broker):
    registered = ModelRegistered(
        config="hex8_2p",
        model=B,
        generation=1,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )
    await write(broker, settings(), registered, scored(32, 0))
    async with running(process(broker, "promoter"), promotion.DECIDER, role="promoter"):
        ((verdict, _),) = await wait_for(broker, promotion.ModelPromoted)
    assert verdict.model == B


async def dispatched(broker: MemoryBroker, count: int) -> list[str]:
    """Ticket ids on the queue once there are `count`."""
    runner = process(broker, "dispatcher")
    task = asyncio.create_task(dispatcher.main(runner))
    try:
        async with asyncio.timeout(20):
            while len(queued := await runner.log.queued()) < count:  # noqa: ASYNC110  the queue has no event to wait for
                await asyncio.sleep(0)
    finally:
        runner.stop()
        await task
    return [decode_ticket(entry.body).ticket for entry in queued]


async def test_a_plan_becomes_tickets(broker):
    await write(broker, settings())
    async with running(process(broker)):
        await wait_for(broker, SelfplayPlanned)
    tickets = await dispatched(broker, 3)
    assert tickets == ["selfplay-events-3-0", "selfplay-events-3-1", "selfplay-events-3-2"]


async def test_a_lost_ticket_comes_back_and_a_finished_one_does_not(broker):
    await write(broker, settings())
    async with running(process(broker)):
        await wait_for(broker, SelfplayPlanned)
    await dispatched(broker, 3)
    log = MemoryLog(broker)
    while (item := await log.next_ticket("selfplay", wait_seconds=0.01)) is not None:
        await item.ack()  # off the queue, with no fact to show for it
    await write(
        broker,
        SelfplayFinished(
            config="hex8_2p",
            generation=0,
            ticket="selfplay-events-3-1",
            games=8,
            plies=1,
            play_seconds=1.0,
            node="n",
        ),
    )
    assert await dispatched(broker, 2) == ["selfplay-events-3-0", "selfplay-events-3-2"]


async def test_tickets_on_the_queue_are_not_doubled_by_a_restart(broker):
    await write(broker, settings())
    async with running(process(broker)):
        await wait_for(broker, SelfplayPlanned)
    await dispatched(broker, 3)
    assert len(await dispatched(broker, 3)) == 3
