"""Promises about a fleet, tried over seeds: the real deciders, a virtual clock, modelled workers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from ringrift.analytics.simulation.errors import SimulationError
from ringrift.analytics.simulation.fault_plan import Fault, read_faults
from ringrift.analytics.simulation.findings import RECOVERY_HOURS_MAX, Findings, findings
from ringrift.analytics.simulation.fleet_file import read_fleet
from ringrift.analytics.simulation.world import World
from ringrift.events import Settings
from ringrift.events.facts import DeadlockBroken, NodeAssigned, SelfplayFinished, SelfplayPlanned
from ringrift.events.settings import ShardSettings
from ringrift.ops.simulate import FLEET_SETTINGS

ROOT = Path(__file__).parents[3]
FLEET = read_fleet(ROOT / "ops" / "fleet.toml")
SEEDS = (1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 11)))
HOURS = 4.0
SMALL = Settings(configs=("hex8_2p", "square8_2p"), shard=ShardSettings(games=256))
FEW = tuple(node for node in FLEET if node.fact.node in {"lambda-gh200-1", "vast-4090-1", "vast-4090-2"})


def lived(seed: int, hours: float, *, aware: bool = True, faults: tuple[Fault, ...] = (), small: bool = False) -> World:
    base = SMALL if small else FLEET_SETTINGS
    settings = replace(base, scheduling=replace(base.scheduling, cost_aware=aware))
    world = World(FEW if small else FLEET, settings, seed=seed, faults=faults)
    world.run(hours)
    return world


@cache
def found(seed: int) -> Findings:
    return findings(lived(seed, HOURS), seed=seed, hours=HOURS, unaware=lived(seed, HOURS, aware=False))


def test_the_fleet_has_forty_nodes_of_seven_providers() -> None:
    assert len(FLEET) == 40
    assert len({node.fact.provider for node in FLEET}) == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_promises_hold(seed: int) -> None:
    broken = [item for item in found(seed).properties if item.held is False]
    assert not broken
    assert sum(item.held is True for item in found(seed).properties) >= 7


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
    (recovery,) = [item for item in findings(world, seed=4, hours=1.7 + RECOVERY_HOURS_MAX).properties if "recovered" in item.name]
    assert recovery.held, recovery.found


def test_deciders_that_were_away_go_on_from_the_log() -> None:
    fault = Fault(what="brain", at_hours=0.3, hours=0.3)
    world = lived(5, 1.2, faults=(fault,), small=True)
    assert not world.brain.differing()
    assert any(isinstance(event, SelfplayFinished) and meta.time.hour == 1 for event, meta in world.log.events)
    ids = [meta.id for _, meta in world.log.events]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_lost_tickets_and_nodes_come_back() -> None:
    faults = (Fault(what="queue", at_hours=0.3, hours=0.1), Fault(what="nodes", name="vast", at_hours=0.6, hours=0.5))
    world = lived(6, 3.0, faults=faults, small=True)
    away = [event for event, _ in world.log.events if isinstance(event, NodeAssigned) and event.why == "not there"]
    assert {event.node for event in away} >= {"vast-4090-1", "vast-4090-2"}
    late = [event.node for event, meta in world.log.events if isinstance(event, SelfplayFinished) and meta.time.hour >= 2]
    assert {"vast-4090-1", "vast-4090-2"} <= set(late)


def test_files_that_make_no_sense_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    with pytest.raises(SimulationError, match="No such file"):
        read_fleet(path)
    path.write_text("[[node]]\nname = 'a'\n")
    with pytest.raises(SimulationError, match="provider"):
        read_fleet(path)
    path.write_text("[[fault]]\nwhat = 'flood'\nat_hours = 1\n")
    with pytest.raises(SimulationError, match="flood"):
        read_faults(path)
    assert len(read_faults(ROOT / "ops" / "faults.toml")) == 8
