"""Fixtures for tests of processes: virtual time, a system, short logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from support import virtual_time
from support.system import System


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Any:
    """Run tests on virtual time."""
    return virtual_time.loop_factories(item)


@pytest.fixture
async def system() -> System:
    return System()


@pytest.fixture(autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """Log tracebacks as Python prints them; rendering them with all variables takes half a
    second."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()
