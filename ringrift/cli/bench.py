"""`ringrift bench`."""

import sys

from rich.console import Console
from rich.table import Table

from ringrift.cli.common import Config, Json, show
from ringrift.tools.bench.harness import Scope
from ringrift.tools.bench.subjects import Report, Subject, run


def bench(
    *subjects: Subject,
    config: tuple[Config, ...] = (),
    runs: int = 5,
    events: int = 1_000_000,
    seconds: float = 2.0,
    json: Json = False,
) -> int:
    """Measure speed on this machine: medians of several runs.

    Args:
        subjects: What to measure; by default everything.
        config: Measure this config; may be given several times. By default, each subject chooses.
        runs: Runs of each measurement.
        events: Length of the log that is replayed.
        seconds: Length of one run, where a run can be of any length.
    """
    scope = Scope(configs=config, runs=runs, seconds=seconds, events=events)
    report = run(subjects, scope, lambda name: print(f"measuring {name} ...", file=sys.stderr))
    show(report, json, lambda out: _print(out, report))
    return 0


def _print(out: Console, report: Report) -> None:
    table = Table(title="medians, smallest and largest run", title_justify="left", pad_edge=False)
    table.add_column("what")
    for name in ("median", "min", "max"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for item in report.results:
        numbers = [_number(value) for value in (item.value, min(item.runs), max(item.runs))]
        table.add_row(item.name, *numbers, item.unit)
    out.print(table)
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    out.print(machine, soft_wrap=True)


def _number(value: float) -> str:
    """With four significant digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
