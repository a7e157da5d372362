"""Promises about a fleet, over seeds: the real deciders, a virtual clock, modelled workers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from ringrift.cluster.fleet_file import read_fleet
from ringrift.deciders.fleet import dead_letters
from ringrift.deciders.loop import retention
from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.facts import (
    CurriculumReweighted,
    DeadLetterEscalated,
    DeadLetterStored,
    DeadlockBroken,
    ModelRolledBack,
    NodeAssigned,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingBlocked,
    TrainingFailed,
)
from ringrift.events.settings import ShardSettings
from ringrift.runtime.processes import deciders
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
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.run import FLEET_SETTINGS, simulate, unaware_of_cost

ROOT = Path(__file__).parents[3]
FLEET = read_fleet(ROOT / "ops" / "fleet.toml")
FAULTS = read_faults(ROOT / "ops" / "faults.toml", FLEET_SETTINGS.configs)
SEEDS = range(1, 11)
HOURS, HOURS_SHORT = 48.0, 1.0
SMALL = Settings(configs=("hex8_2p", "square8_2p"), shard=ShardSettings(games=256))
FEW = tuple(
    node for node in FLEET if node.fact.node in {"lambda-gh200-1", "vast-4090-1", "vast-4090-2"}
)


def fleet(
    seed: int,
    hours: float,
    *,
    aware: bool = True,
    faults: tuple[Fault, ...] = (),
    small: bool = False,
) -> Fleet:
    """A fleet that has run for this time."""
    settings = SMALL if small else FLEET_SETTINGS
    if not aware:
        settings = unaware_of_cost(settings)
    return simulate(FEW if small else FLEET, settings, hours, seed=seed, faults=faults)


@cache
def two_days(seed: int) -> Findings:
    aware, unaware = (fleet(seed, HOURS, aware=each, faults=FAULTS) for each in (True, False))
    return findings(aware, unaware)


def broken(item: Findings) -> list[str]:
    return [each.name for each in item.properties if each.held is False]


def test_the_fleet_has_forty_nodes_of_seven_providers() -> None:
    assert len(FLEET) == 40
    assert len({node.fact.provider for node in FLEET}) == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_two_days_with_every_fault_keep_every_promise(seed: int) -> None:
    assert not broken(two_days(seed)), two_days(seed).properties
    assert sum(item.held is True for item in two_days(seed).properties) >= 4 + len(FAULTS) + 4


@pytest.mark.slow
def test_every_loop_reacts_in_two_days() -> None:
    answers = [{item.loop: item.answers for item in two_days(seed).reactions} for seed in SEEDS]
    assert all(sum(seed[loop] for seed in answers) > 0 for loop in LOOPS), answers


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_hour_keeps_every_promise(seed: int) -> None:
    item = findings(fleet(seed, HOURS_SHORT))
    assert not broken(item), item.properties
    assert {each.loop: each.answers for each in item.reactions}["quality to training"] > 0


def test_cost_awareness_saves_from_the_first_hour() -> None:
    saved = saving(fleet(1, HOURS_SHORT), fleet(1, HOURS_SHORT, aware=False))
    assert saved >= SAVING_MIN


def test_a_fleet_without_work_breaks_the_promise_of_utilisation() -> None:
    idle = simulate(FEW, replace(SMALL, generations=1), 2.0, seed=1)
    assert "utilisation at least 85%" in broken(findings(idle))


def test_a_fleet_that_is_lost_for_too_long_has_not_recovered() -> None:
    hours = 0.5 + RECOVERY_HOURS_MAX
    faults = (
        Fault(what="queue", at_hours=0.2, hours=0.1),
        Fault(what="nodes", at_hours=0.25, hours=hours),
    )
    item = findings(fleet(1, hours, faults=faults, small=True))
    assert "recovered from queue at 0.2 h for 0.1 h" in broken(item)
    assert item.recovery_hours is None


def test_poor_games_block_trainings_until_better_games_follow() -> None:
    fault = Fault(what="data", config="square8_2p", at_hours=0.7, hours=0.8)
    events = [event for event, _ in fleet(1, 2.5, faults=(fault,), small=True).log.events]
    reactions_to_quality = [
        type(event)
        for event in events
        if isinstance(event, QualityDegraded | TrainingBlocked | QualityRecovered)
    ]
    assert (reactions_to_quality[0], reactions_to_quality[-1]) == (
        QualityDegraded,
        QualityRecovered,
    )
    assert TrainingBlocked in reactions_to_quality
    assert {
        event.config for event in events if isinstance(event, QualityDegraded | TrainingBlocked)
    } == {"square8_2p"}


def test_a_network_that_beats_only_the_one_before_it_is_rolled_back() -> None:
    fault = Fault(what="regression", config="hex8_2p", at_hours=1.0, hours=1.0)
    ran = fleet(1, 3.0, faults=(fault,), small=True)
    events = [event for event, _ in ran.log.events]
    assert any(isinstance(event, ModelRolledBack) for event in events)
    assert (
        max(event.weights["hex8_2p"] for event in events if isinstance(event, CurriculumReweighted))
        > 1.0
    )
    (reaction,) = [item for item in reactions(ran) if item.loop == "regression to curriculum"]
    assert reaction.answers > 0
    assert reaction.seconds_p50 <= reaction.seconds_max <= reaction.seconds_bound


def test_equal_seeds_give_equal_runs() -> None:
    first, again, other = (fleet(seed, 0.3, small=True) for seed in (1, 1, 2))
    assert first.log.events == again.log.events
    assert first.samples == again.samples
    assert first.log.events != other.log.events


@pytest.mark.slow
def test_a_small_fleet_is_busy_and_keeps_every_promise() -> None:
    ran = fleet(3, 2.0, small=True)
    item = findings(ran)
    assert item.utilisation >= 0.85
    assert item.held, item.properties
    assert any(isinstance(event, SelfplayPlanned) and event.spare for event, _ in ran.log.events)


@pytest.mark.slow
def test_the_loops_go_on_after_hours_of_failed_trainings() -> None:
    fault = Fault(what="training", at_hours=0.2, hours=1.5)
    ran = fleet(4, 1.7 + RECOVERY_HOURS_MAX, faults=(fault,), small=True)
    assert any(isinstance(event, DeadlockBroken) for event, _ in ran.log.events)
    (recovery,) = [item for item in findings(ran).properties if "recovered" in item.name]
    assert recovery.held, recovery.found


def test_deciders_rebuild_from_the_log_after_an_outage() -> None:
    fault = Fault(what="coordinator", at_hours=0.3, hours=0.3)
    ran = fleet(5, 1.2, faults=(fault,), small=True)
    assert not ran.coordinator.differing()
    assert any(
        isinstance(event, SelfplayFinished) and meta.time.hour == 1
        for event, meta in ran.log.events
    )
    ids = [meta.id for _, meta in ran.log.events]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_lost_tickets_and_nodes_are_used_again() -> None:
    faults = (
        Fault(what="queue", at_hours=0.3, hours=0.1),
        Fault(what="nodes", name="vast", at_hours=0.6, hours=0.5),
    )
    ran = fleet(6, 3.0, faults=faults, small=True)
    away = [
        event
        for event, _ in ran.log.events
        if isinstance(event, NodeAssigned) and event.why == "absent"
    ]
    assert {event.node for event in away} >= {"vast-4090-1", "vast-4090-2"}
    late = [
        event.node
        for event, meta in ran.log.events
        if isinstance(event, SelfplayFinished) and meta.time.hour >= 2
    ]
    assert {"vast-4090-1", "vast-4090-2"} <= set(late)


def test_invalid_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    with pytest.raises(CommandError, match="No such file"):
        read_fleet(path)
    path.write_text("[[node]]\nname = 'a'\n")
    with pytest.raises(CommandError, match="provider"):
        read_fleet(path)
    path.write_text("[[fault]]\nwhat = 'flood'\nat_hours = 1\n")
    with pytest.raises(CommandError, match="flood"):
        read_faults(path, FLEET_SETTINGS.configs)
    assert {fault.what for fault in FAULTS} == set(get_args(What)), "one of each kind"


def test_a_fault_of_a_config_that_is_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text("[[fault]]\nwhat = 'loss'\nat_hours = 1\nconfig = 'hex8_4p'\n")
    with pytest.raises(CommandError, match="hex8_4p is not switched on; name one of hex8_2p"):
        read_faults(path, ("hex8_2p",))


def test_every_decider_of_the_processes_is_simulated() -> None:
    names = [run.decider.name for run in fleet(1, 0.1, small=True).coordinator.runs]
    assert names == list(deciders())
    assert {retention.DECIDER.name, dead_letters.DECIDER.name} <= set(names)


def test_a_ticket_that_fails_for_good_becomes_a_dead_letter() -> None:
    fault = Fault(what="training", at_hours=0.0, hours=3.0)
    ran = fleet(1, 2.0, faults=(fault,), small=True)
    failed = [event for event, _ in ran.log.events if isinstance(event, TrainingFailed)]
    letters = [event for event, _ in ran.log.events if isinstance(event, DeadLetterStored)]
    escalated = [event for event, _ in ran.log.events if isinstance(event, DeadLetterEscalated)]
    assert len(failed) == len(letters) == len(escalated) > 0
