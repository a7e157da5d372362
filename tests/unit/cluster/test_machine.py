"""The processes of a node follow from its roles, GPU and memory."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from ringrift.cluster.machine import parse_roles, plan
from ringrift.errors import CommandError
from ringrift.log.presence import Machine
from ringrift.runtime.processes import PROCESSES, of_roles

GIB = 1024**3
LARGE = Machine(roles=("worker",), cores=8, memory_bytes=64 * GIB)


def counts(machine: Machine) -> Counter[str]:
    return Counter(item.consumer for item in plan(machine))


def test_roles_are_separated_by_commas_and_unique() -> None:
    assert parse_roles("worker, trainer,worker") == ("worker", "trainer")
    for text in ("", ",", "worker,king"):
        with pytest.raises(
            ValueError, match="give one or more of worker,trainer,evaluator,coordinator"
        ):
            parse_roles(text)


def test_players_run_once_per_core_or_once_per_gpu() -> None:
    assert counts(LARGE) == {"selfplay": 8}
    assert {item.threads for item in plan(LARGE)} == {1}
    gpu = replace(LARGE, gpu="H200", roles=("worker", "trainer"))
    assert counts(gpu) == {"selfplay": 1, "trainer": 1}
    assert {item.threads for item in plan(gpu)} == {None}


def test_memory_limits_the_number_of_players() -> None:
    needed = PROCESSES["selfplay"].memory
    assert counts(replace(LARGE, memory_bytes=3 * needed)) == {"selfplay": 3}
    both = replace(LARGE, roles=("worker", "evaluator"), memory_bytes=5 * needed)
    assert counts(both) == {"selfplay": 2, "evaluator": 2}


def test_too_little_memory_is_refused_with_the_amount_needed() -> None:
    small = replace(LARGE, roles=("worker", "trainer"), memory_bytes=GIB)
    with pytest.raises(
        CommandError,
        match=r"1,024 MB of memory are too little for worker,trainer, which need 2,304 MB",
    ):
        plan(small)


def test_a_coordinator_runs_each_of_its_consumers_once_as_coordinator() -> None:
    found = plan(replace(LARGE, roles=("coordinator", "worker")))
    assert Counter(item.consumer for item in found if item.role == "coordinator") == Counter(
        spec.name for spec in of_roles(["coordinator"])
    )
    assert {item.role for item in found if item.consumer == "selfplay"} == {"worker"}
