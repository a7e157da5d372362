from __future__ import annotations

from typing import Any

import pytest
from support import virtual_time
from support.system import System


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Any:
    """Run tests on virtual time."""
    return virtual_time.loop_factories(item)


@pytest.fixture
async def system() -> System:
    return System()
