"""Children of `ringrift up` and `ringrift node run`: a hung one is killed and restarted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ringrift.cluster import supervisor
from ringrift.cluster.supervisor import Child, supervise
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure


async def test_a_hung_child_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENT_SECONDS_MAX", 3.0)
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.1)
    server = await EmbeddedServer.start(tmp_path / "server")
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    (tmp_path / "logs").mkdir()
    child, stopping, said = (
        Child("rater", server.url, tmp_path / "logs" / "rater.log", {}),
        asyncio.Event(),
        list[str](),
    )
    running = asyncio.create_task(supervise([child], stopping, said.append))

    async def pids(enough: Callable[[set[int]], bool]) -> set[int]:
        async with asyncio.timeout(60):
            while not enough(found := {beat.pid for beat in await Presence(log).all()}):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return found

    try:
        before = await pids(bool)
        child.signal(signal.SIGSTOP)
        await pids(lambda found: bool(found - before))
        assert child.restarts == 1
        assert said[0].startswith(f"rater ended with status {-signal.SIGKILL}, restarts in")
    finally:
        stopping.set()
        await running
        await log.close()
        await server.stop()
