"""`ringrift bench` prints medians with the smallest and largest run, as a table or as JSON."""

from __future__ import annotations

import json

import pytest

from ringrift.cli.main import main
from ringrift.tools.bench import rules
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope


@pytest.fixture(autouse=True)
def quick_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject that takes no time."""
    values = iter([3.0, 1.0, 2_000_000.0])

    async def benchmarks(scope: Scope) -> Benchmarks:
        yield Benchmark("rules/square8_2p", "moves/s/core", lambda: next(values))

    monkeypatch.setattr(rules, "benchmarks", benchmarks)


def test_json_has_medians_runs_and_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "rules", "--runs", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"] == [
        {
            "name": "rules/square8_2p",
            "value": 3.0,
            "unit": "moves/s/core",
            "runs": [3.0, 1.0, 2_000_000.0],
        }
    ]
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["numba"]


def test_the_table_has_the_median_and_the_extremes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "rules", "--runs", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "rules/square8_2p" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[1:] == ["3", "1", "2,000,000", "moves/s/core"]


@pytest.mark.parametrize("words", [["sums"], ["rules", "--config", "chess_2p"]])
def test_an_unknown_benchmark_is_wrong_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    assert words[-1] in capsys.readouterr().err
