"""The table of processes is complete: every decider is served, every event written and read."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from ringrift import consumers, deciders
from ringrift.events import REGISTRY, EventType
from ringrift.events.facts import BreakerEscalated, BreakerOpened, BreakerReset
from ringrift.log.topology import STREAMS, WORK_KINDS
from ringrift.runtime import authorship, processes
from ringrift.runtime.processes import AUTHORS, PROCESSES
from ringrift.server.roles import roles
from ringrift.tools.simulation.clock import VirtualClock
from ringrift.tools.simulation.coordinator import Coordinator, SimulatedLog

every_type = pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)


def test_every_decider_is_run_by_one_process_and_by_the_simulator() -> None:
    modules = (
        importlib.import_module(item.name)
        for item in pkgutil.walk_packages(deciders.__path__, f"{deciders.__name__}.")
    )
    found = [module.DECIDER.name for module in modules if hasattr(module, "DECIDER")]
    served = [decider.name for spec in PROCESSES.values() for decider in spec.deciders]
    simulated = [run.decider.name for run in Coordinator(SimulatedLog(VirtualClock())).runs]
    assert sorted(found) == sorted(served) == sorted(simulated)
    assert len(set(served)) == len(served)


def test_every_process_has_a_module_and_every_module_that_runs_is_a_process() -> None:
    found = {item.name for item in pkgutil.iter_modules(consumers.__path__)}
    assert PROCESSES.keys() <= found
    for name in found - PROCESSES.keys():
        module = importlib.import_module(f"{consumers.__name__}.{name}")
        assert not hasattr(module, "main"), name


@every_type
def test_every_event_has_a_writer_and_a_reader_or_is_for_people(kind: EventType) -> None:
    assert authorship.writers(kind.fact_type)
    assert bool(authorship.readers(kind.fact_type)) != kind.for_people


def test_each_decision_has_one_decider() -> None:
    written = [kind for decider in authorship.deciders().values() for kind in decider.writes]
    assert len(written) == len(set(written))


def test_a_decider_without_a_lease_writes_in_one_context_only() -> None:
    """Its expectation is the last sequence of that context."""
    for spec in PROCESSES.values():
        for decider in () if spec.leased else spec.deciders:
            assert len({kind.event_type.context for kind in decider.writes}) == 1


def test_every_kind_of_work_has_one_process_and_every_role_is_a_user() -> None:
    assert sorted(spec.work for spec in PROCESSES.values() if spec.work) == sorted(WORK_KINDS)
    assert {spec.role for spec in PROCESSES.values()} == set(processes.ROLES)
    assert set(processes.ROLES) <= roles(AUTHORS).keys()


def test_who_uses_breakers_may_write_all_that_becomes_of_them() -> None:
    used = {BreakerOpened, BreakerEscalated, BreakerReset}
    users = [spec for spec in PROCESSES.values() if BreakerOpened in spec.writes]
    assert {"selfplay", "alerter", "renter"} <= {spec.name for spec in users}
    assert all(used <= spec.writes and "KV_breakers" in spec.stores for spec in users)


def test_every_store_is_a_declared_stream() -> None:
    declared = {stream.name for stream in STREAMS}
    for spec in PROCESSES.values():
        assert spec.stores | spec.purges <= declared


def test_an_event_type_is_added_on_purpose() -> None:
    """Requirement G15.02 asks for about 60: as many are about playing, learning and deciding. The
    others are about the machines, and an operator asked for each."""
    contexts = {"consumer", "dead-letter", "breaker", "quorum", "stream", "verification", "alert"}
    contexts |= {"tree", "trust", "replica", "attestation", "audit", "equivocation"}
    machines = [
        kind
        for kind in REGISTRY.values()
        if kind.context in (*contexts, "webhook", "archive", "backup", "blob")
        or (kind.context == "node" and kind.word not in ("registered", "assigned"))
    ]
    assert (len(REGISTRY) - len(machines), len(machines)) == (81, 72)
