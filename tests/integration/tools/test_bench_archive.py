"""The benchmark of the archive, on a small log."""

from __future__ import annotations

from ringrift.tools.bench import archive
from ringrift.tools.bench.harness import Scope, measure


async def test_every_measurement_has_a_value() -> None:
    results = await measure(archive.benchmarks(Scope(games=500)), runs=1)
    found = {item.name: item.value for item in results}
    assert found.keys() == {
        *("archive/server/full/start", "archive/server/full/memory"),
        *("archive/replay/stream", "archive/out", "archive/replay/archive"),
        *("archive/replay/archive:stream", "archive/memory"),
        *("archive/server/trimmed/start", "archive/server/trimmed/memory"),
    }
    assert min(found.values()) > 0
