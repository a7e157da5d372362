"""The benchmark of a cluster measures what it says, at a small size."""

from __future__ import annotations

import pytest

from ringrift.tools import bench_cluster


@pytest.mark.slow  # a lease that expires takes 15 s, an election up to 9
async def test_every_measurement_has_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EACH_EVENTS": 20,
        "REACTIONS": 5,
        "CATCH_UP_EVENTS": 100,
        "BURST_GAMES": 100,
        "BURST_WRITERS": 2,
    }.items():
        monkeypatch.setattr(bench_cluster, name, value)
    results = {item.name: item for item in await bench_cluster.bench_cluster(runs=1)}
    assert {name.removeprefix("cluster/"): item.unit for name, item in results.items()} == {
        "append/r1": "events/s",
        "append/r3": "events/s",
        "reaction/p50": "ms",
        "reaction/p99": "ms",
        "catch-up": "events/s",
        "burst/games": "games/s",
        "burst/lost": "games",
        "burst/server-memory": "MB",
        "lease/released": "s",
        "lease/expired": "s",
        "away/step-down": "s",
        "away/leader-killed": "s",
    }
    assert results.pop("cluster/burst/lost").value == 0
    assert all(item.value > 0 for item in results.values())
    assert 10.0 < results["cluster/lease/expired"].value < 20.0
