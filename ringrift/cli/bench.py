"""`ringrift bench`."""

import sys
from dataclasses import replace
from pathlib import Path

from ringrift.cli.common import TABLE, Config, Form, show_rows
from ringrift.insight.describe import table
from ringrift.tools.bench.harness import Scope
from ringrift.tools.bench.subjects import Subject, run


def bench(
    *subjects: Subject,
    config: tuple[Config, ...] = (),
    runs: int = 5,
    events: int = 1_000_000,
    games: int = 20_000,
    seconds: float = 2.0,
    minutes: tuple[float, ...] = (),
    data: tuple[Path, ...] = (),
    form: Form = TABLE,
) -> None:
    """Measure speed on this machine: medians of several runs.

    Args:
        subjects: What to measure; by default everything.
        config: Measure this config; may be given several times. By default, each subject chooses.
        runs: Runs of each measurement.
        events: Length of the log that is replayed.
        games: Games that are archived, of 13 kB each, or of a share of 2 GB.
        seconds: Length of one run, where a run can be of any length.
        minutes: Also measure the networks that a whole loop had after so many minutes, as Elo above
            the heuristic and above the search with it; may be given several times.
        data: Measure the loop that ran in this directory instead of a new one; one for each run.
    """
    scope = Scope(configs=config, runs=runs, seconds=seconds, events=events, games=games)
    scope = replace(scope, minutes=minutes, data=data)
    report = run(subjects, scope, lambda name: print(f"measuring {name} ...", file=sys.stderr))
    rows = []
    for item in report.results:
        numbers = map(_number, (item.value, min(item.runs), max(item.runs)))
        rows.append((item.name, *numbers, item.unit))
    columns = ("what", ">median", ">min", ">max", "unit")
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    found = table(columns, rows, "medians, smallest and largest run")
    show_rows(form, report, report.results, found, machine)


def _number(value: float) -> str:
    """With four significant digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
