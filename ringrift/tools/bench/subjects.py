"""The subjects of `ringrift bench`, and their measurement."""

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Literal, get_args

from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.tools.bench.harness import Measured, Scope, machine, measure

Subject = Literal[
    "rules",
    "log",
    "search",
    "selfplay",
    "gpu",
    "loop",
    "replay",
    "cluster",
    "web",
    "trust",
    "archive",
    "deciders",
    "fleet",
]
"""A module of this package; it is imported when it is measured."""
SUBJECTS: tuple[Subject, ...] = get_args(Subject)


class Report(Struct, frozen=True):
    """The measurement, and its subject."""

    results: list[Measured]
    machine: dict[str, str | int]


def run(subjects: Sequence[Subject], scope: Scope, starting: Callable[[str], None]) -> Report:
    """Measure `subjects`, all of them if none is given; `starting` is called with each.

    Raises CommandError for a scope without a run, and ServerError if a server cannot start."""
    if scope.runs < 1 or scope.seconds <= 0 or min(scope.events, scope.games) < 1:
        raise CommandError("give at least 1 run, more than 0 seconds and at least 1 event")
    results: list[Measured] = []
    for subject in subjects or SUBJECTS:
        starting(subject)
        benchmarks = import_module(f"ringrift.tools.bench.{subject}").benchmarks(scope)
        results += asyncio.run(measure(benchmarks, scope.runs))
    return Report(results, machine())
