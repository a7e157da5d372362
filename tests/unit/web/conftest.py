"""The pages over a log with three generations of hex8_2p."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from support.pages import Site, site
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events.facts import SettingsChanged


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    """The pages over an empty log."""
    async with site() as found:
        yield found


@pytest_asyncio.fixture
async def turned() -> AsyncIterator[Site]:
    """The pages over a log with three generations."""
    loop = TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"), source="ringrift@n1")
    await loop.turn()
    async with site(loop.log) as found:
        yield found
