"""The feedback loops on the in-memory log: each is one hop, as the causes in the log tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from ringrift.consumers import clock
from ringrift.deciders.loop import evaluation, promotion, selfplay, training
from ringrift.events import Fact, Recorded, Settings, decode, draft
from ringrift.events.facts import (
    AllocationDecided,
    CurriculumReweighted,
    ExplorationAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    ModelRolledBack,
    PlateauDetected,
    QualityAssessed,
    Rating,
    RatingsUpdated,
    RegressionDetected,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    ShardSummary,
    TickRecorded,
    TrainingBlocked,
    TrainingFinished,
    TrainingRequested,
    VelocityChanged,
)
from ringrift.events.settings import SelfplaySettings
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime.decide import act, replayed
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES

REACTION_SECONDS_MAX = 10.0
"""of each loop, on a machine that does other things too; milliseconds otherwise"""
CONFIG = "hex8_2p"
A, B, C = "a" * 64, "b" * 64, "c" * 64
SETTINGS = Settings(
    configs=(CONFIG, "hexagonal_2p"),
    selfplay=SelfplaySettings(bootstrap_games=64, games_per_ticket=64),
)
PLANNER = (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER)
ROLES = {
    "planner": PLANNER,
    "promoter": (promotion.DECIDER,),
    "feedback": PROCESSES["feedback"].deciders,
}


def process(broker: MemoryBroker, name: str) -> Process:
    log = MemoryLog(broker)
    return Process(name, "test", log)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@contextlib.asynccontextmanager
async def system(broker: MemoryBroker) -> AsyncIterator[list[Process]]:
    """Every decider of the loop and of the feedback, as in life."""
    runners = [process(broker, role) for role in ROLES]
    tasks = [
        asyncio.create_task(act(runner, ROLES[runner.name], runner.name)) for runner in runners
    ]
    try:
        yield runners
    finally:
        for runner, task in zip(runners, tasks, strict=True):
            runner.stop()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def write(broker: MemoryBroker, fact: Fact) -> int:
    log = MemoryLog(broker)
    (seq,) = await log.append(
        [draft(fact, cause=None, source="test", key=await log.tail("EVENTS"))]
    )
    return seq


async def caused(broker: MemoryBroker, kind: type[Fact], by: int | None = None) -> Recorded:
    """The first event of a kind, of those that message `by` led to if it is given."""
    async with asyncio.timeout(20):
        async for entry in MemoryLog(broker).follow("EVENTS"):
            recorded = decode(entry.body, stream="EVENTS", seq=entry.seq)
            if isinstance(recorded.event, kind) and by in (None, _cause(recorded)):
                return recorded
    raise AssertionError


def _cause(recorded: Recorded) -> int:
    return int((recorded.meta.cause or "EVENTS/0").partition("/")[2])


async def one_hop(broker: MemoryBroker, first: Recorded, last: Recorded) -> None:
    """`last` answers `first` at once: one step along the causes in the log, and soon by their
    times."""
    count, log, at = 0, MemoryLog(broker), last
    while at.meta.seq != first.meta.seq:
        entry = await log.get("EVENTS", _cause(at))
        assert entry is not None, f"{last.event} does not come from {first.event}"
        at, count = decode(entry.body, stream="EVENTS", seq=entry.seq), count + 1
    assert count == 1
    assert 0.0 <= (last.meta.time - first.meta.time).total_seconds() <= REACTION_SECONDS_MAX


def changed() -> SettingsChanged:
    return SettingsChanged(version=1, settings=SETTINGS, why="test")


def promoted(model: str = B) -> ModelPromoted:
    return ModelPromoted(
        config=CONFIG,
        generation=1,
        model=model,
        previous=None,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rated(**elo: float) -> RatingsUpdated:
    rows = [
        Rating(participant=f"{name * 12}:gumbel:s32", elo=value, se=5, games=200)
        for name, value in elo.items()
    ]
    heuristic = Rating(participant="baseline:heuristic:s0", elo=0, se=5, games=200)
    return RatingsUpdated(config=CONFIG, ratings=(*rows, heuristic), games=400)


def trained(loss: float) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket="t",
        model=B,
        steps=1,
        samples=1,
        loss=loss,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def exported(openings: int, wins: tuple[int, int], digest: str = A) -> ShardExported:
    summary = ShardSummary(
        games=500,
        wins=wins,
        plies=15_000,
        plies_squared=460_000,
        openings=openings,
        participants=("a",),
        decisions=1000,
        agreed=500,
    )
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=6000,
        rejected=0,
        digest=digest,
        size_bytes=1,
        summary=summary,
    )


async def test_loop_1_quality_to_training(broker):
    await write(broker, changed())
    async with system(broker):
        await caused(broker, SelfplayPlanned)
        await write(broker, exported(openings=1, wins=(1, 0)))
        assessed = await caused(broker, QualityAssessed)
        await write(
            broker,
            SelfplayFinished(
                config=CONFIG, generation=0, ticket="t", games=64, plies=1, play_seconds=1, node="n"
            ),
        )
        blocked = await caused(broker, TrainingBlocked)
        await write(broker, exported(openings=500, wins=(250, 250), digest=B))
        better = await caused(broker, QualityAssessed, _last(await events(broker, ShardExported)))
        requested = await caused(broker, TrainingRequested)
    assert assessed.event.adjusted < 0.4 < better.event.adjusted
    assert blocked.event.reason == "quality"
    await one_hop(broker, better, requested)


async def events(broker: MemoryBroker, kind: type[Fact]) -> list[Recorded]:
    read = MemoryLog(broker).read("EVENTS")
    found = [
        decode(entry.body, stream="EVENTS", seq=entry.seq)
        async for batch in read
        for entry in batch
    ]
    return [recorded for recorded in found if isinstance(recorded.event, kind)]


def _last(recorded: list[Recorded]) -> int:
    return recorded[-1].meta.seq


async def test_loop_2_velocity_to_self_play(broker):
    await write(broker, changed())
    async with system(broker):
        await write(broker, promoted(B))
        await write(broker, rated(b=100))
        first = await caused(broker, VelocityChanged)
        await write(broker, promoted(C))
        table = await write(broker, rated(b=100, c=180))
        faster = await caused(broker, VelocityChanged, table)
        shares = await caused(broker, AllocationDecided, faster.meta.seq)
    assert (first.event.pace, faster.event.pace) == (None, "fast")
    await one_hop(broker, faster, shares)
    assert shares.event.shares[CONFIG] > 0.5


async def test_a_regressing_pace_reaches_exploration_with_the_verdict(broker):
    await write(broker, changed())
    async with system(broker):
        await write(broker, promoted(B))
        await write(broker, promoted(C))
        table = await write(broker, rated(b=100, c=20))
        await caused(broker, VelocityChanged, table)
        verdict = await write(broker, promoted(A))
        adjusted = await caused(broker, ExplorationAdjusted, verdict)
    assert adjusted.event.reason == "regression"


async def test_loop_3_regression_to_curriculum(broker):
    await write(broker, changed())
    async with system(broker):
        await write(broker, promoted(B))
        await write(broker, promoted(C))
        table = await write(broker, rated(b=100, c=20))
        found = await caused(broker, RegressionDetected, table)
        weights = await caused(broker, CurriculumReweighted, found.meta.seq)
    await one_hop(broker, found, weights)
    assert weights.event.reason == "regression"


async def test_a_critical_regression_is_rolled_back_in_one_hop(broker):
    await write(broker, changed())
    async with system(broker):
        await write(broker, promoted(B))
        await write(broker, promoted(C))
        await write(broker, rated(b=100, c=-100))
        found = await caused(broker, RegressionDetected)
        back = await caused(broker, ModelRolledBack)
    await one_hop(broker, found, back)
    assert (back.event.model, back.event.current) == (C, B)


async def test_loop_4_anomaly_to_exploration(broker):
    await write(broker, changed())
    async with system(broker):
        for loss in (1.0, 1.01, 0.99, 1.0, 9.0):
            await write(broker, trained(loss))
        found = await caused(broker, LossAnomalyDetected)
        adjusted = await caused(broker, ExplorationAdjusted)
        weights = await caused(broker, CurriculumReweighted)
        verdict = await write(broker, promoted(B))
        plan = await caused(broker, SelfplayPlanned, verdict)
    await one_hop(broker, found, adjusted)
    await one_hop(broker, found, weights)
    assert plan.event.noise_plies == 36


async def test_a_plateau_reaches_exploration_in_one_hop(broker):
    await write(broker, changed())
    async with system(broker):
        for _ in range(6):
            await write(broker, trained(1.0))
        found = await caused(broker, PlateauDetected)
        adjusted = await caused(broker, ExplorationAdjusted)
    await one_hop(broker, found, adjusted)


async def test_loop_5_promotion_to_curriculum(broker):
    await write(broker, changed())
    async with system(broker):
        seq = await write(broker, promoted(B))
        weights = await caused(broker, CurriculumReweighted, seq)
    assert (weights.event.reason, weights.event.weights) == (
        "promotion",
        dict.fromkeys(SETTINGS.configs, 1.0),
    )


async def test_the_clock_ticks_and_two_of_them_tick_once(broker):
    runners = [process(broker, "clock"), process(broker, "clock")]
    tasks = [asyncio.create_task(clock.main(runner)) for runner in runners]
    tick = await caused(broker, TickRecorded)
    for runner, task in zip(runners, tasks, strict=True):
        runner.stop()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert abs(tick.event.minute - tick.meta.time.timestamp() / 60) <= 1
    assert len(await events(broker, TickRecorded)) == 1


async def test_every_state_is_that_of_the_log(broker):
    """What lives in the processes is what a replay finds: decisions depend on nothing but the
    log."""
    await write(broker, changed())
    async with system(broker) as runners:
        for loss in (1.0, 1.01, 0.99, 1.0, 9.0):
            await write(broker, trained(loss))
        await write(broker, exported(openings=1, wins=(1, 0)))
        await write(broker, promoted(B))
        await write(broker, rated(b=100))
        await write(broker, promoted(C))
        await write(broker, rated(b=100, c=-100))
        await caused(broker, ModelRolledBack)
        await write(broker, TickRecorded(minute=1))
        async with asyncio.timeout(20):
            log = MemoryLog(broker)
            while min(runner.seq for runner in runners) < await log.tail("EVENTS"):  # noqa: ASYNC110  the fold has no event to wait for
                await asyncio.sleep(0)
        live = {name: fold.fold_hash for runner in runners for name, fold in runner.folds.items()}
    history = await events(broker, Fact)
    found = {
        decider.name: replayed(decider, history).fold_hash
        for deciders in ROLES.values()
        for decider in deciders
    }
    assert found == live
