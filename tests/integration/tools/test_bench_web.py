"""The benchmark of the pages measures every page, and viewers over sockets."""

from __future__ import annotations

from ringrift.tools.bench import web
from ringrift.tools.bench.harness import Scope, measure


async def test_every_page_of_a_small_log_is_measured() -> None:
    found = {one.name: one for one in await measure(web.benchmarks(Scope(events=1_500)), runs=1)}
    assert {"web/loop", "web/network", "web/evaluation", "web/time"} <= found.keys()
    assert all(one.value >= 0 for one in found.values())
    assert found["web/live/100 viewers"].value < web.LIVE_SECONDS_MAX
