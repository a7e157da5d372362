"""Five voters continue with three: two are killed at once, and catch up later."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import servers
from chaos.servers import recovered
from chaos.writers import write_on, writing
from simulator import checker

VOTERS = 5
WRITTEN = 20
WRITE_SECONDS_MAX = 90.0


@pytest.mark.slow  # five servers, two elections
async def test_five_voters_keep_writing_without_two_of_them(tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, VOTERS) as made:
        leader = await made.leader()
        gone = [leader, next(name for name in made.names if name != leader)]
        async with writing(made.cluster.url, pause_seconds=0.01) as writers:
            made.kill(gone)
            await write_on(writers, WRITTEN, WRITE_SECONDS_MAX)
            made.start(gone)
            await recovered(made.log, VOTERS)
        found = await checker.history(made.log)
    assert checker.damaged(found, [writer.acknowledged for writer in writers]) == []
