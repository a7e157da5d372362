"""The command `python -m tests.adversary`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from ringrift.events import Recorded
from ringrift.insight.describe import fields_line

from .reduce import reduced
from .trial import EPISODE_FACTS, Finding, Seen, Trial, run

COMMAND = "python -m tests.adversary"
LINE_CHARS_MAX = 400


def main(arguments: Sequence[str] | None = None) -> int:
    """Run episodes; print each finding once, with the facts that it needs. The exit status is 1 if
    there is one."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("--seed", type=int, default=1, help="of the first episode (default 1)")
    parser.add_argument("--facts", type=int, default=20_000, help="in all (default 20,000)")
    parser.add_argument("--decider", action="append", help="only this decider; repeatable")
    parser.add_argument("--plain", action="store_true", help="do not reduce the findings")
    options = parser.parse_args(arguments)
    began, stored, refused = time.monotonic(), 0, 0
    found: dict[Finding, Seen] = {}
    for trial in episodes(options.seed, options.facts, options.decider):
        stored, refused = stored + len(trial.stored), refused + trial.refused
        for finding, seen in trial.findings.items():
            if finding not in found:
                print("\n".join(_report(trial, finding, seen, not options.plain)), flush=True)
            found.setdefault(finding, seen)
    seconds = time.monotonic() - began
    print(f"{stored} facts, {refused} refused, {seconds:.0f} s: {len(found)} findings")
    return 1 if found else 0


def episodes(seed: int, facts: int, names: Sequence[str] | None = None) -> Iterator[Trial]:
    """Trials by consecutive seeds, until they have stored or refused this number of facts."""
    done = 0
    while done < facts:
        trial = run(seed, min(EPISODE_FACTS, facts - done), names)
        yield trial
        done += len(trial.stored) + trial.refused
        seed += 1


def _report(trial: Trial, finding: Finding, seen: Seen, reduce: bool) -> Iterator[str]:
    yield f"{finding.decider} {finding.what}: {finding.error} at {finding.place}: {seen.detail!r}"
    yield f"  {COMMAND} --seed {trial.seed} --facts {EPISODE_FACTS} --decider {finding.decider}"
    for item in reduced(finding, trial.stored) if reduce else ():
        yield f"  - {_line(item)}"


def _line(item: Recorded) -> str:
    event, meta = item
    cause = f" cause={meta.cause}" if meta.cause else ""
    text = f"{meta.position} {meta.time.isoformat()}{cause} {event}"
    short = f"{meta.position} {type(event).__name__} {fields_line(event)}"
    return (text if len(text) <= LINE_CHARS_MAX else short)[:LINE_CHARS_MAX]


if __name__ == "__main__":
    sys.exit(main())
