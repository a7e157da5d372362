"""Promises about a fleet, tried over seeds: the real deciders, a virtual clock, modelled
workers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from ringrift.cluster.fleet_file import read_fleet
from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.facts import (
    CurriculumReweighted,
    DeadlockBroken,
    ModelRolledBack,
    NodeAssigned,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingBlocked,
)
from ringrift.events.settings import ShardSettings
from ringrift.tools.simulate import FLEET_SETTINGS
from ringrift.tools.simulation.errors import SimulationError
from ringrift.tools.simulation.fault_plan import Fault, What, read_faults
from ringrift.tools.simulation.findings import (
    LOOPS,
    RECOVERY_HOURS_MAX,
    SAVING_MIN,
    Findings,
    findings,
    reactions,
    saving,
)
from ringrift.tools.simulation.world import World

ROOT = Path(__file__).parents[3]
FLEET = read_fleet(ROOT / "ops" / "fleet.toml")
FAULTS = read_faults(ROOT / "ops" / "faults.toml")
SEEDS = range(1, 11)
HOURS, HOURS_SHORT = 48.0, 1.0
SMALL = Settings(configs=("hex8_2p", "square8_2p"), shard=ShardSettings(games=256))
FEW = tuple(
    node for node in FLEET if node.fact.node in {"lambda-gh200-1", "vast-4090-1", "vast-4090-2"}
)


def lived(
    seed: int,
    hours: float,
    *,
    aware: bool = True,
    faults: tuple[Fault, ...] = (),
    small: bool = False,
) -> World:
    base = SMALL if small else FLEET_SETTINGS
    settings = replace(base, scheduling=replace(base.scheduling, cost_aware=aware))
    world = World(FEW if small else FLEET, settings, seed=seed, faults=faults)
    world.run(hours)
    return world


@cache
def found(seed: int) -> Findings:
    worlds = [lived(seed, HOURS, aware=aware, faults=FAULTS) for aware in (True, False)]
    return findings(worlds[0], seed=seed, hours=HOURS, unaware=worlds[1])


def broken(item: Findings) -> list[str]:
    return [each.name for each in item.properties if each.held is False]


def test_the_fleet_has_forty_nodes_of_seven_providers() -> None:
    assert len(FLEET) == 40
    assert len({node.fact.provider for node in FLEET}) == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_two_days_with_every_fault_keep_every_promise(seed: int) -> None:
    assert not broken(found(seed)), found(seed).properties
    assert sum(item.held is True for item in found(seed).properties) >= 4 + len(FAULTS) + 4


@pytest.mark.slow
def test_every_loop_answers_in_two_days() -> None:
    answers = [{item.loop: item.answers for item in found(seed).reactions} for seed in SEEDS]
    assert all(sum(seed[loop] for seed in answers) > 0 for loop in LOOPS), answers


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_hour_keeps_every_promise_that_it_can_tell(seed: int) -> None:
    item = findings(lived(seed, HOURS_SHORT), seed=seed, hours=HOURS_SHORT)
    assert not broken(item), item.properties
    assert {each.loop: each.answers for each in item.reactions}["quality to training"] > 0


def test_cost_awareness_saves_from_the_first_hour() -> None:
    saved = saving(lived(1, HOURS_SHORT), lived(1, HOURS_SHORT, aware=False))
    assert saved >= SAVING_MIN


def test_a_fleet_without_work_breaks_the_promise_of_utilisation() -> None:
    world = World(FEW, replace(SMALL, generations=1), seed=1)
    world.run(2.0)
    assert "utilisation at least 85%" in broken(findings(world, seed=1, hours=2.0))


def test_a_fleet_that_is_gone_for_too_long_has_not_recovered() -> None:
    hours = 0.5 + RECOVERY_HOURS_MAX
    faults = (
        Fault(what="queue", at_hours=0.2, hours=0.1),
        Fault(what="nodes", at_hours=0.25, hours=hours),
    )
    item = findings(lived(1, hours, faults=faults, small=True), seed=1, hours=hours)
    assert "recovered from queue at 0.2 h for 0.1 h" in broken(item)
    assert item.recovery_hours is None


def test_poor_games_hold_trainings_back_until_better_ones_come() -> None:
    fault = Fault(what="data", config="square8_2p", at_hours=0.7, hours=0.8)
    events = [event for event, _ in lived(1, 2.5, faults=(fault,), small=True).log.events]
    told = [
        type(event)
        for event in events
        if isinstance(event, QualityDegraded | TrainingBlocked | QualityRecovered)
    ]
    assert (told[0], told[-1]) == (QualityDegraded, QualityRecovered)
    assert TrainingBlocked in told
    assert {
        event.config for event in events if isinstance(event, QualityDegraded | TrainingBlocked)
    } == {"square8_2p"}


def test_a_network_that_beats_only_the_one_before_it_is_rolled_back_and_its_config_gets_more_games() -> (
    None
):
    fault = Fault(what="regression", config="hex8_2p", at_hours=1.0, hours=1.0)
    world = lived(1, 3.0, faults=(fault,), small=True)
    events = [event for event, _ in world.log.events]
    assert any(isinstance(event, ModelRolledBack) for event in events)
    assert (
        max(event.weights["hex8_2p"] for event in events if isinstance(event, CurriculumReweighted))
        > 1.0
    )
    (reaction,) = [item for item in reactions(world) if item.loop == "regression to curriculum"]
    assert reaction.answers > 0
    assert reaction.seconds_p50 <= reaction.seconds_max <= reaction.seconds_bound


def test_one_seed_has_one_course() -> None:
    first, again, other = (lived(seed, 0.3, small=True) for seed in (1, 1, 2))
    assert first.log.events == again.log.events
    assert first.samples == again.samples
    assert first.log.events != other.log.events


@pytest.mark.slow
def test_a_small_fleet_is_busy_and_its_states_are_those_of_the_log() -> None:
    world = lived(3, 2.0, small=True)
    item = findings(world, seed=3, hours=2.0)
    assert item.utilisation >= 0.85
    assert item.held, item.properties
    assert any(isinstance(event, SelfplayPlanned) and event.spare for event, _ in world.log.events)


@pytest.mark.slow
def test_trainings_that_fail_for_hours_leave_nobody_stuck() -> None:
    fault = Fault(what="training", at_hours=0.2, hours=1.5)
    world = lived(4, 1.7 + RECOVERY_HOURS_MAX, faults=(fault,), small=True)
    assert any(isinstance(event, DeadlockBroken) for event, _ in world.log.events)
    (recovery,) = [
        item
        for item in findings(world, seed=4, hours=1.7 + RECOVERY_HOURS_MAX).properties
        if "recovered" in item.name
    ]
    assert recovery.held, recovery.found


def test_deciders_that_were_away_go_on_from_the_log() -> None:
    fault = Fault(what="coordinator", at_hours=0.3, hours=0.3)
    world = lived(5, 1.2, faults=(fault,), small=True)
    assert not world.coordinator.differing()
    assert any(
        isinstance(event, SelfplayFinished) and meta.time.hour == 1
        for event, meta in world.log.events
    )
    ids = [meta.id for _, meta in world.log.events]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_lost_tickets_and_nodes_come_back() -> None:
    faults = (
        Fault(what="queue", at_hours=0.3, hours=0.1),
        Fault(what="nodes", name="vast", at_hours=0.6, hours=0.5),
    )
    world = lived(6, 3.0, faults=faults, small=True)
    away = [
        event
        for event, _ in world.log.events
        if isinstance(event, NodeAssigned) and event.why == "absent"
    ]
    assert {event.node for event in away} >= {"vast-4090-1", "vast-4090-2"}
    late = [
        event.node
        for event, meta in world.log.events
        if isinstance(event, SelfplayFinished) and meta.time.hour >= 2
    ]
    assert {"vast-4090-1", "vast-4090-2"} <= set(late)


def test_files_that_make_no_sense_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    with pytest.raises(CommandError, match="No such file"):
        read_fleet(path)
    path.write_text("[[node]]\nname = 'a'\n")
    with pytest.raises(CommandError, match="provider"):
        read_fleet(path)
    path.write_text("[[fault]]\nwhat = 'flood'\nat_hours = 1\n")
    with pytest.raises(SimulationError, match="flood"):
        read_faults(path)
    assert {fault.what for fault in FAULTS} == set(get_args(What)), "one of each kind"
