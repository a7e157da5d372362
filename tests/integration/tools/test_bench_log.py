"""The benchmark of the log, on a small log."""

from __future__ import annotations

from ringrift.tools.bench import log
from ringrift.tools.bench.harness import Scope, measure

SMALL = log.Sizes(single=5, each=20, batches=1, reactions=3, replayed=2_000, blob_bytes=2_000_000)


async def test_every_measurement_has_a_value() -> None:
    results = await measure(log.benchmarks(Scope(), SMALL), runs=1)
    assert {item.name: item.unit for item in results} == {
        "log/append/single": "events/s",
        "log/append/each": "events/s",
        "log/append/batch": "events/s",
        "log/reaction": "ms",
        "log/read": "events/s",
        "log/replay": "events/s",
        "log/blob/put": "MB/s",
        "log/blob/get": "MB/s",
    }
    assert all(item.value > 0 for item in results)
