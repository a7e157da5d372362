"""Servers for the tests of faults, and the table of the results of all runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from chaos.table import Row, table

from ringrift.log.jetstream import JetStreamLog
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """Rows that the tests add; the table is printed after the last test, visible with `-s`."""
    found: list[Row] = []
    yield found
    print(f"\n\n{table(found)}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A server of its own, which the test may kill and restart."""
    server = await EmbeddedServer.start(tmp_path / "data")
    yield server
    if server.running:
        await server.stop()


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    """The log of `server`, with all streams."""
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    yield log
    await log.close()
