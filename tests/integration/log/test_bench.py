"""The benchmark measures what it says, on a small log."""

from __future__ import annotations

import pytest

from ringrift.tools import bench_log as bench


async def test_bench_returns_a_value_for_every_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SINGLE_EVENTS": 5,
        "EACH_EVENTS": 20,
        "BATCHES": 1,
        "REACTIONS": 3,
        "BLOB_BYTES": 2_000_000,
    }.items():
        monkeypatch.setattr(bench, name, value)
    results = await bench.bench(runs=1, replay_events=2000)
    assert {result["name"]: result["unit"] for result in results} == {
        "log/append/single": "events/s",
        "log/append/each": "events/s",
        "log/append/batch": "events/s",
        "log/reaction": "ms",
        "log/read": "events/s",
        "log/replay": "events/s",
        "log/blob/put": "MB/s",
        "log/blob/get": "MB/s",
    }
    for result in results:
        assert result["runs"] == [result["value"]]
        assert result["value"] > 0
