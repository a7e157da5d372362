"""A log with three generations of hex8_2p."""

from __future__ import annotations

import pytest
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events.facts import SettingsChanged


@pytest.fixture
async def loop() -> TurningLoop:
    loop = TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"), source="ringrift@n1")
    await loop.turn()
    return loop
