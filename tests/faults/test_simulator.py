"""Seeds of faults on the in-memory log violate nothing; processes that make a mistake are found.
See `simulator`.

`make chaos` runs SIMULATOR_SEEDS seeds.
"""

from __future__ import annotations

import os

import pytest
from simulator.__main__ import main, report, run
from simulator.broken import BROKEN
from simulator.plan import AT_CALL, AT_TIME, plan_of, shrunk
from simulator.workload import MAINS

SEEDS = 24
SEEDS_PER_TEST = 8
SEEDS_LONG = int(os.environ.get("SIMULATOR_SEEDS", "1000"))
SEEDS_BROKEN_MAX = 100
"""About one seed in 25 shows that no process is fenced."""


@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_PER_TEST))
def test_no_seed_violates_a_promise(first: int) -> None:
    assert main(["--first", str(first), "--seeds", str(SEEDS_PER_TEST)]) == 0


@pytest.mark.slow
def test_no_seed_of_many_violates_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--first", str(SEEDS + 1), "--seeds", str(SEEDS_LONG)])
    with capsys.disabled():
        print("\n" + capsys.readouterr().out)
    assert status == 0


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_mistake_is_found_and_its_faults_reduced(name: str) -> None:
    seed = next(seed for seed in range(1, SEEDS_BROKEN_MAX) if run(seed, broken=name).violations)
    lines = report(seed, broken=name).splitlines()
    (command,) = [line for line in lines if line.startswith("repeat: ")]
    words = command.partition("faults.simulator ")[2].split()
    numbers = [int(word) for word in words[words.index("--faults") + 1].split(",") if word]
    assert len(numbers) < len(plan_of(seed, list(MAINS)))
    assert main(words) == 1
    assert not run(seed).violations, "the mistake is found, not the faults"


def test_equal_seeds_give_equal_results() -> None:
    assert run(3) == run(3)
    assert run(3) != run(4)


def test_plans_contain_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(100) for fault in plan_of(seed, list(MAINS))}
    assert kinds == AT_CALL.keys() | AT_TIME.keys()


def test_shrinking_keeps_the_necessary_faults() -> None:
    assert shrunk(9, lambda kept: {2, 7} <= set(kept)) == [2, 7]
    assert shrunk(4, lambda kept: True) == []
