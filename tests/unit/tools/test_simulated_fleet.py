"""A fleet keeps its promises, over seeds: the real deciders, a virtual clock, modelled workers."""

from __future__ import annotations

from functools import cache

import pytest
from msgspec.structs import replace
from support.fleets import (
    FAULTS,
    NODES,
    SMALL_NODES,
    SMALL_SETTINGS,
    facts_of,
    large_fleet,
    small_fleet,
)

from ringrift.deciders.fleet import dead_letters, renting
from ringrift.deciders.loop import retention
from ringrift.events.facts import (
    ModelAdopted,
    ModelPromoted,
    ModelRegistered,
    NodeRented,
    NodeReturned,
    NodeReturnRequested,
    PreemptionNoticed,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import RentingSettings
from ringrift.runtime.authorship import deciders
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.findings import LOOPS, SAVING_MIN, Findings, findings, saving
from ringrift.tools.simulation.run import simulate

SEEDS = range(1, 11)
HOURS, HOURS_SHORT = 48.0, 1.0


@cache
def two_days(seed: int) -> Findings:
    aware, unaware = (large_fleet(seed, HOURS, aware=each, faults=FAULTS) for each in (True, False))
    return findings(aware, unaware)


def broken(item: Findings) -> list[str]:
    return [each.name for each in item.properties if each.held is False]


def test_the_fleet_has_forty_nodes_of_seven_providers() -> None:
    assert len(NODES) == 40
    assert len({node.fact.provider for node in NODES}) == 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_two_days_with_every_fault_keep_every_promise(seed: int) -> None:
    found = two_days(seed)
    assert not broken(found), found.properties
    assert sum(item.held is True for item in found.properties) >= 4 + len(FAULTS) + 4


@pytest.mark.slow
def test_every_loop_reacts_in_two_days() -> None:
    answers = [{item.loop: item.answers for item in two_days(seed).reactions} for seed in SEEDS]
    assert all(sum(seed[loop] for seed in answers) > 0 for loop in LOOPS), answers


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_hour_keeps_every_promise(seed: int) -> None:
    found = findings(large_fleet(seed, HOURS_SHORT))
    assert not broken(found), found.properties
    assert {each.loop: each.answers for each in found.reactions}["quality to training"] > 0


def test_cost_awareness_saves_from_the_first_hour() -> None:
    aware, unaware = (large_fleet(1, HOURS_SHORT, aware=each) for each in (True, False))
    assert saving(aware, unaware) >= SAVING_MIN


def test_a_fleet_without_work_breaks_the_promise_of_utilisation() -> None:
    idle = simulate(SMALL_NODES, replace(SMALL_SETTINGS, generations=1), 2.0, seed=1)
    assert "utilisation at least 85%" in broken(findings(idle))


@pytest.mark.slow
def test_a_small_fleet_is_busy_and_keeps_every_promise() -> None:
    fleet = small_fleet(3, 2.0)
    found = findings(fleet)
    assert found.utilisation >= 0.85
    assert found.held, found.properties
    assert any(plan.spare for plan in facts_of(fleet, SelfplayPlanned))


def test_a_ghost_keeps_no_work_and_a_config_that_always_fails_gets_no_games() -> None:
    faults = (
        Fault(what="nodes", name="lambda", at_hours=0.0, hours=3.0),
        Fault(what="training", config="hex8_2p", at_hours=0.0, hours=3.0),
    )
    fleet = small_fleet(1, 3.0, *faults)
    found = {item.name: item.held for item in findings(fleet).properties}
    assert found["absent nodes keep work for at most 60 s"]
    assert found["no games for a config whose last 6 trainings failed"]
    assert not any(fact.node == "lambda-gh200-1" for fact in facts_of(fleet, SelfplayFinished))


def test_a_config_begins_with_the_network_of_its_sister() -> None:
    settings = replace(SMALL_SETTINGS, configs=("hex8_2p", "hexagonal_2p"))
    fleet = simulate(SMALL_NODES, settings, 1.0, seed=1)
    (adopted,) = facts_of(fleet, ModelAdopted)
    assert fleet.books.adopted == {"hexagonal_2p": adopted.model}
    verdicts = facts_of(fleet, ModelPromoted, PromotionRejected)
    assert any((one.config, one.model) == ("hexagonal_2p", adopted.model) for one in verdicts)


def test_equal_seeds_give_equal_runs() -> None:
    first, again, other = (small_fleet(seed, 0.3) for seed in (1, 1, 2))
    assert first.log.events == again.log.events
    assert first.samples == again.samples
    assert first.log.events != other.log.events


def test_every_decider_of_the_processes_is_simulated() -> None:
    names = [run.decider.name for run in small_fleet(1, 0.1).coordinator.runs]
    assert names == list(deciders())
    assert {retention.DECIDER.name, dead_letters.DECIDER.name} <= set(names)


def test_a_fleet_that_rents_keeps_its_budget_and_returns_what_is_idle_or_taken_away() -> None:
    rents = RentingSettings(
        offers=("cheap:price=0.25:speed=1:vram=24:max=30",), budget_per_hour=2.0, budget=4.0
    )
    settings = replace(SMALL_SETTINGS, renting=rents)
    fleet = simulate(SMALL_NODES, settings, 3.0, seed=1)
    found = {item.name: item for item in findings(fleet).properties}
    promises = [item for name, item in found.items() if "rented" in name or "preempted" in name]
    assert [item.held for item in promises] == [True] * 3, promises
    assert len(facts_of(fleet, NodeRented)) >= 8
    assert facts_of(fleet, PreemptionNoticed)
    last = facts_of(fleet, NodeReturnRequested)[-1]
    assert "the budget is spent" in last.why
    assert len(facts_of(fleet, NodeReturned)) == len(facts_of(fleet, NodeRented))


def test_promises_about_renting_are_not_kept_by_a_decider_that_returns_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renting, "leaving", lambda *_: {})
    rents = RentingSettings(
        offers=("cheap:price=0.25:speed=1:vram=24:max=8",), budget_per_hour=2.0, budget=0.5
    )
    settings = replace(SMALL_SETTINGS, generations=1, renting=rents)
    found = findings(simulate(SMALL_NODES, settings, 2.0, seed=1))
    wrong = [name for name in broken(found) if "rented" in name]
    assert [name.split(" ", 1)[0] for name in wrong] == ["no", "rented"]


def test_a_group_of_configs_has_one_line_of_networks() -> None:
    together = replace(SMALL_SETTINGS.training, together=("hex8_2p+square8_2p",))
    fleet = simulate(SMALL_NODES, replace(SMALL_SETTINGS, training=together), 1.0, seed=1)
    requests = facts_of(fleet, TrainingRequested)
    within = [one for one in requests if one.within]
    assert within
    assert any(window.generation is None for one in requests for window in one.others)
    # each network is registered once, and on trial in every config that gets a generation of it
    finished = {(one.config, one.generation) for one in facts_of(fleet, TrainingFinished)}
    made = {(one.config, one.generation) for one in facts_of(fleet, ModelRegistered)}
    adopted = {(one.config, one.generation) for one in facts_of(fleet, ModelAdopted)}
    assert finished == made | adopted
    assert adopted == {(one.config, one.generation) for one in within} & finished
    assert adopted
