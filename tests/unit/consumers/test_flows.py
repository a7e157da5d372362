"""The critical flows from end to end: deciders, dispatcher and exporter as they run, on one log,
with workers that answer at once.

Each flow is a chain of causes in the log: every event names the one before it (requirement
G15.20)."""

from __future__ import annotations

import asyncio
import functools
from itertools import pairwise

import pytest
from support.loop_facts import CONFIG
from support.loop_workers import model, scored, work_on_all
from support.system import System, running
from support.virtual_time import VirtualLoop

from ringrift.consumers import dispatcher, exporter, feedback, planner, promoter, rater
from ringrift.events import Fact, Recorded, Settings
from ringrift.events.facts import (
    CurriculumReweighted,
    EvaluationRequested,
    EvaluationScored,
    ExplorationAdjusted,
    GameCompleted,
    HyperparametersAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    QualityAssessed,
    RatingsUpdated,
    RegressionDetected,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    VelocityChanged,
)
from ringrift.events.participants import network_seat
from ringrift.events.settings import (
    EvaluationSettings,
    SelfplaySettings,
    ShardSettings,
    TrainingSettings,
)
from ringrift.log import read
from ringrift.runtime.decide import DeciderRun, by_cause, replayed
from ringrift.runtime.processes import PROCESSES

GENERATIONS = 6
SETTINGS = Settings(
    configs=(CONFIG,),
    generations=GENERATIONS,
    shard=ShardSettings(games=2),
    training=TrainingSettings(min_samples=1),
    selfplay=SelfplaySettings(bootstrap_games=2, games=2, games_per_ticket=1),
    evaluation=EvaluationSettings(starts_per_ticket=64, baseline_starts=64),
)
MAINS = {
    "planner": planner.main,
    "promoter": promoter.main,
    "rater": rater.main,
    "feedback": feedback.main,
    "dispatcher": dispatcher.main,
    "exporter": exporter.main,
}
DECIDERS = [decider for name in MAINS for decider in PROCESSES[name].deciders]
SECONDS_MAX = 10.0
"""virtual, from a cause to the decision on it"""

FLOWS: dict[str, tuple[type[Fact], ...]] = {
    "a plan becomes games, and those samples": (SelfplayPlanned, GameCompleted, ShardExported),
    "samples are assessed": (ShardExported, QualityAssessed),
    "samples become a network, which is measured": (
        ShardExported,
        TrainingRequested,
        ModelRegistered,
        EvaluationRequested,
        EvaluationScored,
    ),
    "results become ratings and a pace": (EvaluationScored, RatingsUpdated, VelocityChanged),
    "results promote, and the new network plays": (
        EvaluationScored,
        ModelPromoted,
        SelfplayPlanned,
    ),
    "a promotion moves the curriculum": (EvaluationScored, ModelPromoted, CurriculumReweighted),
    "a training that fails is asked for again": (
        TrainingRequested,
        TrainingFailed,
        TrainingRequested,
        TrainingFinished,
    ),
    "a loss that jumps moves exploration": (
        TrainingFinished,
        LossAnomalyDetected,
        ExplorationAdjusted,
    ),
    "a loss that jumps moves the next training": (
        TrainingFinished,
        LossAnomalyDetected,
        HyperparametersAdjusted,
    ),
    "a regression is rolled back": (
        EvaluationScored,
        RatingsUpdated,
        RegressionDetected,
        ModelRolledBack,
    ),
}


async def live() -> System:
    """Generations one after another, then a match that the newest network loses against the one
    before."""
    system = System()
    mains = [main(system.process(name)) for name, main in MAINS.items()]
    async with running(*mains, work_on_all(system.writer)):
        await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))
        await system.count(ModelPromoted, GENERATIONS)
        match = EvaluationRequested(
            config=CONFIG,
            generation=GENERATIONS,
            candidate=network_seat(model(GENERATIONS), 32),
            opponent=network_seat(model(GENERATIONS - 1), 32),
            purpose="tournament",
            round=0,
            starts=1000,
            seed=1,
            settings_version=1,
        )
        await system.write(scored(match, "by-hand", wins=False))
        await system.first(ModelRolledBack)
        await system.first(ExplorationAdjusted)
    return system


@functools.cache
def history() -> dict[str, Recorded]:
    """Everything that happened, by position."""

    async def recorded() -> list[Recorded]:
        log = (await live()).log
        streams = [read.facts(log), read.facts(log, stream="GAMES")]
        return [item for stream in streams async for item in stream]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return {item.meta.position: item for item in runner.run(recorded())}


def chains(kinds: tuple[type[Fact], ...]) -> list[list[Recorded]]:
    """Every chain of causes through these types, its end first."""
    events = history()
    found = [[item] for item in events.values() if isinstance(item.event, kinds[-1])]
    for kind in reversed(kinds[:-1]):
        caused = [chain for chain in found if chain[-1].meta.cause in events]
        longer = [[*chain, events[chain[-1].meta.cause]] for chain in caused]
        found = [chain for chain in longer if isinstance(chain[-1].event, kind)]
    return found


@pytest.mark.parametrize("flow", FLOWS)
def test_each_event_of_a_flow_causes_the_next(flow: str) -> None:
    found = chains(FLOWS[flow])
    assert found
    for chain in found:
        for effect, cause in pairwise(chain):
            assert 0.0 <= (effect.meta.time - cause.meta.time).total_seconds() <= SECONDS_MAX


def test_each_step_of_the_loop_happens_once_per_generation() -> None:
    for kind, count in (
        (TrainingFinished, GENERATIONS),
        (ModelPromoted, GENERATIONS),
        (TrainingRequested, GENERATIONS + 1),
    ):
        assert sum(isinstance(item.event, kind) for item in history().values()) == count


def test_every_decision_follows_from_the_log() -> None:
    events = [item for item in history().values() if item.meta.stream == "EVENTS"]
    for decider in DECIDERS:
        run, own = DeciderRun(decider, {}), by_cause(decider, events)
        for event, meta in events:
            decided = run.take(event, meta)
            recorded = own.get(meta.seq, [])
            assert decided == tuple(item.event for item in recorded) or meta.seq > max(
                own, default=0
            ), decider.name
            for fact in recorded:
                run.fold(*fact, meta)
        assert run.state == replayed(decider, events).state
