"""python -m simulator [--seeds N] [--first N] [--seed N [--faults 0,3]] [--broken NAME]"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from simulator.broken import BROKEN
from simulator.plan import plan_of, shrunk
from simulator.world import MAINS, Result, simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds until one fails; print what it broke, the faults it needs and the command that
    repeats it."""
    parser = argparse.ArgumentParser(prog="python -m simulator")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--faults", help="only these faults of its plan, by number")
    parser.add_argument(
        "--broken", choices=sorted(BROKEN), help="with a consumer that makes this mistake"
    )
    options = parser.parse_args(arguments)
    only = (
        None
        if options.faults is None
        else [int(word) for word in options.faults.split(",") if word]
    )
    seeds = (
        [options.seed]
        if options.seed is not None
        else range(options.first, options.first + options.seeds)
    )
    began, totals = time.monotonic(), [0, 0, 0.0]
    for seed in seeds:
        result = run(seed, only, options.broken)
        totals = [sum(pair) for pair in zip(totals, result[1:], strict=True)]
        if result.violations:
            print(report(seed, result, only, options.broken))
            return 1
    seconds = time.monotonic() - began
    print(
        f"{len(seeds)} seeds in {seconds:.1f} s ({60 * len(seeds) / seconds:.0f} a minute), nothing broken: {totals[0]} events, "
        f"{totals[1]} games, {totals[2] / 3600:.1f} h of simulated time"
    )
    return 0


def run(seed: int, only: Sequence[int] | None = None, broken: str | None = None) -> Result:
    """One seed, with all of its faults or some."""
    plan = plan_of(seed, list(MAINS))
    faults = plan if only is None else [plan[number] for number in only]
    return BROKEN[broken](seed, faults) if broken else simulate(seed, faults)


def report(seed: int, result: Result, only: Sequence[int] | None, broken: str | None) -> str:
    """What a failing seed broke, and the fewest faults that do."""
    plan = plan_of(seed, list(MAINS))
    numbers = list(range(len(plan))) if only is None else list(only)
    kept = [
        numbers[i]
        for i in shrunk(
            len(numbers),
            lambda some: bool(run(seed, [numbers[i] for i in some], broken).violations),
        )
    ]
    smallest = run(seed, kept, broken)
    lines = [
        f"seed {seed} breaks a promise:",
        *(f"    {text}" for text in smallest.violations[:10]),
    ]
    lines += [
        f"with {len(kept)} of its {len(plan)} faults:",
        *(f"    {number}: {plan[number]}" for number in kept),
    ]
    command = f"python -m simulator --seed {seed} --faults {','.join(map(str, kept)) or ','}"
    return "\n".join(
        [*lines, f"again: cd tests/faults && {command}" + (f" --broken {broken}" if broken else "")]
    )


if __name__ == "__main__":
    sys.exit(main())
