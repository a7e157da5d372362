"""The benchmark of a replay folds the log from its start and from snapshots, to the same states."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ringrift.tools.bench import replay
from ringrift.tools.bench.harness import Scope, measure


async def test_a_small_log_is_replayed() -> None:
    results = await measure(replay.benchmarks(Scope(events=1_500)), runs=1)
    assert [item.name for item in results] == [
        "replay/1500/from the start",
        "replay/1500/from snapshots",
        "replay/1500/rate",
    ]
    assert all(item.value > 0 for item in results)


async def test_a_snapshot_in_the_middle_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringrift.runtime.folds.SNAPSHOT_EVENTS", 100)
    results = await measure(replay.benchmarks(Scope(events=1_200)), runs=1)
    assert len(results) == len(replay.UNITS)


def test_standard_output_is_the_document_alone() -> None:
    """Logs of the log and of snapshots go to standard error."""
    command = [sys.executable, "-m", "ringrift.cli.main", "bench", "replay", "--json"]
    result = subprocess.run(
        [*command, "--events", "100", "--runs", "1"], capture_output=True, check=True
    )
    names = [item["name"] for item in json.loads(result.stdout)["results"]]
    assert names == [f"replay/100/{figure}" for figure in replay.UNITS]
