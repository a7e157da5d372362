"""The logs of the behaviour suite: in memory, on one server and on a cluster of three."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from support.log_subject import Subject
from support.stream_cluster import ACK_SECONDS, QUICK_CONSUMERS, SMALL_STREAMS, running_cluster

from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

Connect = Callable[[], Awaitable[Log]]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "one", "three"])
async def connect(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Connect]:
    """A function that connects another process's log to the same server."""
    logs: list[Log] = []
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "memory":
            broker = MemoryBroker(streams=SMALL_STREAMS, ack_seconds=ACK_SECONDS)

            async def connect() -> Log:
                return MemoryLog(broker)

        else:
            if request.param == "one":
                server = await EmbeddedServer.start(tmp_path_factory.mktemp("one"))
                stack.push_async_callback(server.stop)
                url = server.url
            else:
                cluster = await stack.enter_async_context(
                    running_cluster(tmp_path_factory.mktemp("three"))
                )
                url = cluster.url

            async def connect() -> Log:
                log = await JetStreamLog.open(url, name="test")
                logs.append(log)
                return log

            if request.param == "one":
                await ensure(await connect(), streams=SMALL_STREAMS, consumers=QUICK_CONSUMERS)
        yield connect
        for log in logs:
            await log.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(connect: Connect) -> Log:
    """One process's log."""
    return await connect()


@pytest.fixture
def subject() -> Subject:
    """A subject of `EVENTS` that no other test uses."""
    return Subject()
