"""Five voters go on with three: two are killed at once, and come back to what was written
meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from chaos import servers
from chaos.messages import insist
from chaos.servers import recovered
from chaos.writers import writing
from simulator import checker
from simulator.checker import history

from ringrift.log.topology import EVENTS

VOTERS = 5
WRITTEN = 20
WRITE_SECONDS_MAX = 90.0


@pytest.mark.slow  # five servers, two elections
async def test_five_voters_write_on_without_two_of_them(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, VOTERS) as made:
        leader = (await insist(lambda: made.log.call(f"STREAM.INFO.{EVENTS}")))["cluster"]["leader"]
        gone = [leader, next(name for name in made.names if name != leader)]
        async with writing(made.cluster.url, pause_seconds=0.01) as writers:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                made.kill(gone)
                before = [len(writer.acknowledged) for writer in writers]
                while any(  # noqa: ASYNC110
                    len(one.acknowledged) < count + WRITTEN
                    for one, count in zip(writers, before, strict=True)
                ):
                    await asyncio.sleep(0.1)
            made.start(gone)
            await recovered(made.log, VOTERS)
        found, ledgers = await history(made.log), [writer.acknowledged for writer in writers]
    assert [
        *checker.lost(found, ledgers, at_seq=True),
        *checker.doubled(found),
        *checker.disordered(ledgers),
    ] == []
