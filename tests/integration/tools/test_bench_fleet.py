"""The benchmark of many light clients, at a small size."""

from __future__ import annotations

import pytest

from ringrift.tools.bench import fleet
from ringrift.tools.bench.harness import Scope, measure

SMALL = fleet.Sizes(clients=3, delays=4, pause_seconds=0.0, games=6)


@pytest.mark.slow
async def test_clients_take_tickets_and_append_games() -> None:
    results = {item.name: item for item in await measure(fleet.benchmarks(Scope(), SMALL), runs=1)}
    assert results["fleet/3/ticket/p50"].value <= results["fleet/3/ticket/p99"].value
    assert results["fleet/3/burst/games"].value > 0.0
    assert results["fleet/3/burst/server-memory"].value > 0.0
