"""The benchmark of a cluster, at a small size."""

from __future__ import annotations

import pytest

from ringrift.tools.bench import cluster
from ringrift.tools.bench.harness import Scope, measure

SMALL = cluster.Sizes(each=20, reactions=5, catch_up=100, writers=2, games=100)


@pytest.mark.slow  # a lease that expires takes 15 s, an election up to 9
async def test_every_measurement_has_a_value() -> None:
    results = {
        item.name.removeprefix("cluster/"): item
        for item in await measure(cluster.benchmarks(Scope(), SMALL), runs=1)
    }
    assert {name: item.unit for name, item in results.items()} == {
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
    assert results.pop("burst/lost").value == 0
    assert all(item.value > 0 for item in results.values())
    assert 10.0 < results["lease/expired"].value < 20.0
