"""The deciders of a simulated fleet react to faults, and recover from them without help."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.fleets import FAULTS, facts_of, large_fleet, small_fleet

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
    TrainingBlocked,
    TrainingFailed,
)
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.findings import RECOVERY_HOURS_MAX, findings, reactions


def test_poor_games_block_trainings_until_better_games_follow() -> None:
    fleet = small_fleet(1, 2.5, Fault(what="data", config="square8_2p", at_hours=0.7, hours=0.8))
    facts = facts_of(fleet, QualityDegraded, TrainingBlocked, QualityRecovered)
    kinds = [type(fact) for fact in facts]
    assert (kinds[0], kinds[-1]) == (QualityDegraded, QualityRecovered)
    assert TrainingBlocked in kinds
    assert {fact.config for fact in facts_of(fleet, QualityDegraded, TrainingBlocked)} == {
        "square8_2p"
    }


def test_a_network_that_beats_only_the_one_before_it_is_rolled_back() -> None:
    # when hex8_2p trains networks that beat the incumbent and no other opponent
    fleet = small_fleet(1, 3.0, Fault(what="regression", config="hex8_2p", at_hours=1.0, hours=1.0))
    # then the incumbent is restored, and the config gets more games, within the promised time
    assert facts_of(fleet, ModelRolledBack)
    weights = [fact.weights["hex8_2p"] for fact in facts_of(fleet, CurriculumReweighted)]
    assert max(weights) > 1.0
    (loop,) = [item for item in reactions(fleet) if item.loop == "regression to curriculum"]
    assert loop.answers > 0
    assert loop.seconds_p50 <= loop.seconds_max <= loop.seconds_bound


def test_the_regression_of_the_plan_of_faults_is_detected_and_answered() -> None:
    # a large board trains one network in that time, and no rating shows it
    faults = [replace(fault, at_hours=0.6) for fault in FAULTS if fault.what == "regression"]
    fleet = large_fleet(1, 2.0, faults=tuple(faults))
    (loop,) = [item for item in reactions(fleet) if item.loop == "regression to curriculum"]
    assert loop.answers > 0


@pytest.mark.slow
def test_the_loops_continue_after_hours_of_failed_trainings() -> None:
    fault = Fault(what="training", at_hours=0.2, hours=1.5)
    fleet = small_fleet(4, 1.7 + RECOVERY_HOURS_MAX, fault)
    assert facts_of(fleet, DeadlockBroken)
    (recovery,) = [item for item in findings(fleet).properties if "recovered" in item.name]
    assert recovery.held, recovery.found


def test_a_ticket_that_fails_for_good_becomes_a_dead_letter() -> None:
    fleet = small_fleet(1, 2.0, Fault(what="training", at_hours=0.0, hours=3.0))
    kinds = (TrainingFailed, DeadLetterStored, DeadLetterEscalated)
    failed, stored, escalated = (len(facts_of(fleet, kind)) for kind in kinds)
    assert failed == stored == escalated > 0


def test_deciders_rebuild_from_the_log_after_an_outage() -> None:
    fleet = small_fleet(5, 1.2, Fault(what="coordinator", at_hours=0.3, hours=0.3))
    assert not fleet.coordinator.differing()
    finished = [meta for event, meta in fleet.log.events if isinstance(event, SelfplayFinished)]
    assert any(meta.time.hour == 1 for meta in finished)
    ids = [meta.id for _, meta in fleet.log.events]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_lost_tickets_and_nodes_are_used_again() -> None:
    # when the queue loses its tickets, and then two nodes are lost
    lost = Fault(what="queue", at_hours=0.3, hours=0.1)
    absent = Fault(what="nodes", name="vast", at_hours=0.6, hours=0.5)
    fleet = small_fleet(6, 3.0, lost, absent)
    # then the nodes get no work meanwhile, and play again later
    vast = {"vast-4090-1", "vast-4090-2"}
    assert {fact.node for fact in facts_of(fleet, NodeAssigned) if fact.why == "absent"} >= vast
    late = {
        event.node
        for event, meta in fleet.log.events
        if isinstance(event, SelfplayFinished) and meta.time.hour >= 2
    }
    assert late >= vast


def test_a_fleet_that_is_lost_for_too_long_has_not_recovered() -> None:
    hours = 0.5 + RECOVERY_HOURS_MAX
    queue = Fault(what="queue", at_hours=0.2, hours=0.1)
    nodes = Fault(what="nodes", at_hours=0.25, hours=hours)
    found = findings(small_fleet(1, hours, queue, nodes))
    held = {item.name: item.held for item in found.properties}
    assert held["recovered from queue at 0.2 h for 0.1 h"] is False
    assert found.recovery_hours is None


def test_a_node_that_forges_a_twentieth_of_its_games_is_caught_and_no_other_is() -> None:
    honest = small_fleet(1, 0.1)
    liar = next(iter(honest.nodes))
    fleet = small_fleet(1, 4.0, Fault(what="liars", name=liar, at_hours=0.0, hours=4.0))
    caught = [item for item in findings(fleet).properties if "caught" in item.name]
    (innocent,) = [item for item in findings(fleet).properties if "honest" in item.name]
    assert caught
    assert innocent.held
    assert all(item.held for item in caught), [item.found for item in caught]
    assert fleet.nodes[liar].kinds == ()
