"""The feedback loops: each reacts in one hop, as the causes in the log show."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from support.loop_facts import (
    CONFIG,
    A,
    B,
    C,
    exported as exported_shard,
    finished as training_finished,
    promoted,
)
from support.ratings import table, trial
from support.system import System, running, selfplay_finished, until

from ringrift.events import Recorded, Settings
from ringrift.events.facts import (
    AllocationDecided,
    CurriculumReweighted,
    ExplorationAdjusted,
    LossAnomalyDetected,
    ModelRolledBack,
    PlateauDetected,
    QualityAssessed,
    RatingsUpdated,
    RegressionDetected,
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
from ringrift.log import read
from ringrift.runtime.decide import act, replayed
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES

ROLES = ("planner", "promoter", "feedback")
SETTINGS = Settings(
    configs=(CONFIG, "hexagonal_2p"),
    selfplay=SelfplaySettings(bootstrap_games=64, games_per_ticket=64),
)


@contextlib.asynccontextmanager
async def deciding(system: System) -> AsyncIterator[list[Process]]:
    """The deciders of the loop and of the feedback, under the settings."""
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    processes = [system.process(role) for role in ROLES]
    jobs = [act(process, PROCESSES[process.name].deciders, process.name) for process in processes]
    async with running(*jobs):
        yield processes


def assert_one_hop(first: Recorded, last: Recorded) -> None:
    assert last.meta.cause == first.meta.position


def rated(**elo: float) -> RatingsUpdated:
    named = {trial(name): value for name, value in elo.items()}
    return table(named, config=CONFIG, error=5.0, current=trial(max(elo)))


def trained(*losses: float) -> list[TrainingFinished]:
    return [replace(training_finished(), loss=loss) for loss in losses]


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
    return replace(exported_shard(digest=digest), summary=summary)


async def test_poor_quality_blocks_training_and_good_quality_requests_it(system: System) -> None:
    async with deciding(system):
        await system.first(SelfplayPlanned)
        await system.write(exported(openings=1, wins=(1, 0)))
        poor = await system.first(QualityAssessed)
        await system.write(replace(selfplay_finished("t"), games=64))
        blocked = await system.first(TrainingBlocked)
        seq = await system.write(exported(openings=500, wins=(250, 250), digest=B))
        good = await system.first(QualityAssessed, caused_by=seq)
        requested = await system.first(TrainingRequested)
    assert poor.event.adjusted < 0.4 < good.event.adjusted
    assert blocked.event.reason == "quality"
    assert_one_hop(good, requested)


async def test_a_faster_config_gets_a_larger_share_of_self_play(system: System) -> None:
    async with deciding(system):
        await system.write(promoted(B), rated(b=100))
        first = await system.first(VelocityChanged)
        await system.write(promoted(C), rated(b=100, c=180))
        table = await system.write(promoted(A), rated(b=100, c=180, a=500))
        faster = await system.first(VelocityChanged, caused_by=table)
        shares = await system.first(AllocationDecided, caused_by=faster.meta.seq)
        before = [fact async for fact, _ in read.facts(system.log, AllocationDecided, until=table)]
    assert (first.event.pace, faster.event.pace) == (None, "fast")
    assert shares.event.shares[CONFIG] > before[-1].shares[CONFIG]


async def test_a_regressing_pace_changes_exploration_at_the_next_promotion(system: System) -> None:
    async with deciding(system):
        table = await system.write(promoted(B), promoted(C), rated(b=100, c=20))
        await system.first(VelocityChanged, caused_by=table)
        verdict = await system.write(promoted(A))
        adjusted = await system.first(ExplorationAdjusted, caused_by=verdict)
    assert adjusted.event.reason == "regression"


async def test_a_regression_reweights_the_curriculum(system: System) -> None:
    async with deciding(system):
        table = await system.write(promoted(B), promoted(C), rated(b=100, c=20))
        found = await system.first(RegressionDetected, caused_by=table)
        weights = await system.first(CurriculumReweighted, caused_by=found.meta.seq)
    assert weights.event.reason == "regression"


async def test_a_critical_regression_is_rolled_back(system: System) -> None:
    async with deciding(system):
        await system.write(promoted(B), promoted(C), rated(b=100, c=-100))
        found = await system.first(RegressionDetected)
        back = await system.first(ModelRolledBack)
    assert_one_hop(found, back)
    assert (back.event.model, back.event.current) == (C, B)


async def test_a_loss_anomaly_changes_exploration_and_the_curriculum(system: System) -> None:
    async with deciding(system):
        await system.write(*trained(1.0, 1.01, 0.99, 1.0, 9.0))
        found = await system.first(LossAnomalyDetected)
        assert_one_hop(found, await system.first(ExplorationAdjusted))
        assert_one_hop(found, await system.first(CurriculumReweighted))
        verdict = await system.write(promoted(B))
        plan = await system.first(SelfplayPlanned, caused_by=verdict)
    assert plan.event.noise_plies == 36


async def test_a_plateau_changes_exploration(system: System) -> None:
    async with deciding(system):
        await system.write(*trained(*[1.0] * 6))
        found = await system.first(PlateauDetected)
        assert_one_hop(found, await system.first(ExplorationAdjusted))


async def test_a_promotion_resets_the_curriculum(system: System) -> None:
    async with deciding(system):
        await system.write(*trained(1.0, 1.01, 0.99, 1.0, 9.0))
        await system.first(CurriculumReweighted)
        seq = await system.write(promoted(B))
        weights = await system.first(CurriculumReweighted, caused_by=seq)
    assert weights.event.reason == "promotion"
    assert weights.event.weights == pytest.approx(dict.fromkeys(SETTINGS.configs, 1.0))


async def test_every_state_is_that_of_a_replay(system: System) -> None:
    """Decisions depend on nothing but the log."""
    async with deciding(system) as processes:
        await system.write(*trained(1.0, 1.01, 0.99, 1.0, 9.0))
        await system.write(exported(openings=1, wins=(1, 0)))
        await system.write(promoted(B), rated(b=100), promoted(C), rated(b=100, c=-100))
        await system.first(ModelRolledBack)
        last = await system.write(TickRecorded(minute=1))
        await until(lambda: min(process.seq for process in processes) >= last)
        live = {name: digest for each in processes for name, digest in each.fold_hashes.items()}
    history = [item async for item in read.facts(system.log)]
    deciders = [decider for role in ROLES for decider in PROCESSES[role].deciders]
    assert live == {each.name: replayed(each, history).fold_hash for each in deciders}
