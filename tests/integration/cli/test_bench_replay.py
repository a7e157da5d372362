"""The replay benchmark on a small log: it measures, and a fold from a snapshot is that from the
start."""

from __future__ import annotations

from ringrift.tools.bench_replay import bench_replay


async def test_a_small_log() -> None:
    results = await bench_replay(1_500, runs=1)
    assert [item.name for item in results] == [
        "replay/1500/from the start",
        "replay/1500/from snapshots",
        "replay/1500/rate",
    ]
    assert all(item.value > 0 for item in results)


async def test_from_a_snapshot_in_the_middle(monkeypatch) -> None:
    monkeypatch.setattr("ringrift.runtime.folds.SNAPSHOT_EVENTS", 100)
    assert len(await bench_replay(1_200, runs=1)) == 3
