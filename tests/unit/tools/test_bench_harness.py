"""The harness counts runs, takes medians and compares figures run by run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count

import pytest

from ringrift.errors import CommandError
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Measured, Ratio, Scope, measure
from ringrift.tools.bench.subjects import SUBJECTS, run


def next_of(values: Iterator[float]) -> Callable[[], float]:
    return lambda: next(values)


def measured(*items: Benchmark | Ratio, runs: int = 3) -> dict[str, Measured]:
    async def benchmarks() -> Benchmarks:
        for item in items:
            yield item

    return {item.name: item for item in asyncio.run(measure(benchmarks(), runs))}


def test_a_benchmark_reports_the_median_of_its_runs() -> None:
    found = measured(Benchmark("log/read", "events/s", next_of(iter([3.0, 1.0, 9.0]))))
    assert found["log/read"] == Measured(
        name="log/read", value=3.0, unit="events/s", runs=[3.0, 1.0, 9.0]
    )


def test_a_run_may_be_a_coroutine() -> None:
    async def once() -> float:
        return 5.0

    assert measured(Benchmark("log/read", "ms", once))["log/read"].runs == [5.0] * 3


def test_a_warm_up_run_is_not_counted() -> None:
    found = measured(Benchmark("rules/a", "s", next_of(count(0.0)), warm_up=True))
    assert found["rules/a"].runs == [1.0, 2.0, 3.0]


def test_a_long_benchmark_limits_its_runs() -> None:
    assert measured(Benchmark("rules/a", "s", lambda: 1.0, runs_max=2))["rules/a"].runs == [1.0] * 2


def test_each_figure_of_a_run_is_reported_in_its_unit() -> None:
    units = {"games": "games/h", "share/network": "of time"}
    found = measured(Benchmark("selfplay/a", units, lambda: {"games": 8, "share/network": 0.5}))
    assert {name: (item.value, item.unit) for name, item in found.items()} == {
        "selfplay/a/games": (8, "games/h"),
        "selfplay/a/share/network": (0.5, "of time"),
    }


def test_a_ratio_divides_runs_of_the_same_number() -> None:
    found = measured(
        Benchmark("search/a/null", "x/s", next_of(iter([1.0, 2.0, 4.0]))),
        Benchmark("search/a/heuristic", "x/s", next_of(iter([3.0, 4.0, 4.0]))),
        Ratio("search/a/heuristic", "search/a/null"),
    )
    assert found["search/a/heuristic:null"] == Measured(
        name="search/a/heuristic:null", value=2.0, unit="x", runs=[3.0, 2.0, 1.0]
    )


@pytest.mark.parametrize(
    ("figure", "baseline", "name"),
    [
        ("s/a/net/batch-16", "s/a/net/batch-1", "s/a/net/batch-16:batch-1"),
        ("s/a/v2/cuda/games", "s/a/heuristic/cpu/games", "s/a/v2/cuda/games:heuristic"),
    ],
)
def test_a_ratio_is_named_after_the_difference(figure: str, baseline: str, name: str) -> None:
    assert Ratio(figure, baseline).name == name


def test_every_subject_has_benchmarks() -> None:
    for subject in SUBJECTS:
        assert callable(import_module(f"ringrift.tools.bench.{subject}").benchmarks)


def test_a_scope_without_a_run_is_refused() -> None:
    with pytest.raises(CommandError, match="at least 1 run"):
        run(["rules"], Scope(runs=0), print)
