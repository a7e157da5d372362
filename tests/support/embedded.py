"""Embedded servers and logs on them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.jetstream import JetStreamLog
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

_numbers = itertools.count()


def event() -> Draft:
    """An event of some hundred bytes that no other test appends."""
    number = next(_numbers)
    fact = ConsumerStarted(node="node", consumer="test", instance=str(number), version="x" * 400)
    return draft(fact, cause=None, source="test", key=f"server-{number}")


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[EmbeddedServer]:
    """A server that is stopped when the block ends."""
    server = await EmbeddedServer.start(data)
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    """A log on a server with all streams."""
    log = await JetStreamLog.open(server.url, name="test")
    try:
        assert await ensure(log) == []
        yield log
    finally:
        await log.close()
