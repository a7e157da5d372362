"""The command `python -m tests.faults.simulator`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .broken import BROKEN
from .hosts import Result
from .plan import plan_of, shrunk
from .workload import MAINS
from .world import simulate

COMMAND = "python -m tests.faults.simulator"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run seeds until one fails; print the violations, the faults it needs and the command that
    repeats it."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("--seeds", type=int, default=1000, help="number of seeds (default 1000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seed", type=int, help="run only this seed")
    parser.add_argument("--faults", help="only these faults of the plan, by number: 0,3")
    parser.add_argument(
        "--broken", choices=sorted(BROKEN), help="run a process that makes this mistake"
    )
    options = parser.parse_args(arguments)
    only = None
    if options.faults is not None:
        only = [int(word) for word in options.faults.split(",") if word]
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    began, events, games, simulated = time.monotonic(), 0, 0, 0.0
    for seed in seeds:
        result = run(seed, only, options.broken)
        if result.violations:
            print(report(seed, only, options.broken))
            return 1
        events, games = events + result.events, games + result.games
        simulated += result.seconds
    seconds = time.monotonic() - began
    print(
        f"{len(seeds)} seeds in {seconds:.1f} s ({60 * len(seeds) / seconds:.0f} per minute) "
        f"without a violation: {events} events, {games} games, "
        f"{simulated / 3600:.1f} h of simulated time"
    )
    return 0


def run(seed: int, only: Sequence[int] | None = None, broken: str | None = None) -> Result:
    """Run a seed with all of its faults, or with those of these numbers."""
    plan = plan_of(seed, list(MAINS))
    faults = plan if only is None else [plan[number] for number in only]
    return BROKEN[broken](seed, faults) if broken else simulate(seed, faults)


def report(seed: int, only: Sequence[int] | None = None, broken: str | None = None) -> str:
    """The violations of a failing seed with as few faults as possible."""
    plan = plan_of(seed, list(MAINS))
    numbers = list(range(len(plan))) if only is None else list(only)

    def fails(some: list[int]) -> bool:
        return bool(run(seed, [numbers[i] for i in some], broken).violations)

    kept = [numbers[i] for i in shrunk(len(numbers), fails)]
    command = f"{COMMAND} --seed {seed} --faults {','.join(map(str, kept)) or ','}"
    lines = [f"seed {seed} violates:"]
    lines += [f"    {text}" for text in run(seed, kept, broken).violations[:10]]
    lines.append(f"with {len(kept)} of its {len(plan)} faults:")
    lines += [f"    {number}: {plan[number]}" for number in kept]
    lines.append(f"repeat: {command}" + (f" --broken {broken}" if broken else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
