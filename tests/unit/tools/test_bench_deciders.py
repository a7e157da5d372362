"""The benchmark of the deciders, at a small size."""

from __future__ import annotations

import pytest

from ringrift.tools.bench import deciders
from ringrift.tools.bench.harness import Scope, measure


async def test_every_decider_is_timed_on_a_fleet_with_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciders, "NODES", 3)
    monkeypatch.setattr(deciders, "LETTERS", 5)
    results = await measure(deciders.benchmarks(Scope(events=20)), runs=1)
    values = {item.name.rpartition("/")[2]: item.value for item in results}
    assert values.keys() == {"all", "slowest", "longest", "storing a letter"}
    assert 0.0 < values["slowest"] <= values["all"]
