"""A consumer drains on each signal that asks it to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from support.embedded import connected, running

from ringrift.events.facts import ConsumerStarted, ConsumerStopped
from ringrift.log import read


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_drains_a_consumer(tmp_path: Path, number: signal.Signals) -> None:
    async with running(tmp_path / "data") as server, connected(server) as log:
        words = ("-m", "ringrift.consumers.clock", "--server", server.url, "--node", "test")
        environment = {**os.environ, "RINGRIFT_HEALTH_PORT": "0"}
        consumer = await asyncio.create_subprocess_exec(sys.executable, *words, env=environment)
        async with asyncio.timeout(60):
            await anext(read.follow(log, ConsumerStarted))
            consumer.send_signal(number)
            assert await consumer.wait() == 0
        stopped = await read.latest(log, ConsumerStopped)
    assert stopped is not None
    assert stopped.event.why == "stop requested"
