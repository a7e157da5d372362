"""Many seeds of faults on the in-memory log break nothing; consumers that make a mistake are found
out. See `simulator`.

`make chaos` runs SIMULATOR_SEEDS of them.
"""

from __future__ import annotations

import asyncio
import os

import pytest
from simulator import clock
from simulator.__main__ import main, report, run
from simulator.broken import BROKEN
from simulator.plan import AT_CALL, AT_TIME, plan_of, shrunk
from simulator.world import MAINS

SEEDS = 24
SEEDS_A_TEST = 8
SEEDS_LONG = int(os.environ.get("SIMULATOR_SEEDS", "1000"))
SEEDS_BROKEN_MAX = 100  # one in 25 shows that nobody fences


@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_A_TEST))
def test_no_seed_breaks_a_promise(first: int) -> None:
    assert main(["--first", str(first), "--seeds", str(SEEDS_A_TEST)]) == 0


@pytest.mark.slow
def test_no_seed_of_many_breaks_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--first", str(SEEDS + 1), "--seeds", str(SEEDS_LONG)])
    with capsys.disabled():
        print("\n" + capsys.readouterr().out)
    assert status == 0


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_mistake_is_found_and_shrunk(name: str) -> None:
    seed = next(seed for seed in range(1, SEEDS_BROKEN_MAX) if run(seed, broken=name).violations)
    said = report(seed, run(seed, broken=name), None, name)
    (command,) = [line for line in said.splitlines() if line.startswith("again: ")]
    words = command.partition("simulator ")[2].split()
    numbers = [int(word) for word in words[words.index("--faults") + 1].split(",") if word]
    assert len(numbers) < len(plan_of(seed, list(MAINS)))
    assert main(words) == 1
    assert not run(seed).violations  # it is the mistake, not the faults


def test_a_seed_repeats_itself() -> None:
    assert run(3) == run(3)
    assert run(3) != run(4)


def test_plans_have_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(100) for fault in plan_of(seed, list(MAINS))}
    assert kinds == AT_CALL.keys() | AT_TIME.keys()


def test_shrinking_keeps_what_it_takes() -> None:
    assert shrunk(9, lambda kept: {2, 7} <= set(kept)) == [2, 7]
    assert shrunk(4, lambda kept: True) == []


def test_the_clock_jumps() -> None:
    async def wait(loop: clock.VirtualLoop) -> float:
        await asyncio.gather(asyncio.sleep(3600.0), asyncio.sleep(7200.0))
        return loop.time()

    assert clock.run(wait) == pytest.approx(7200.0)


def test_the_clock_knows_when_nothing_will_happen() -> None:
    async def wait(loop: clock.VirtualLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everybody waits"):
        clock.run(wait)
