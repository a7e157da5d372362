"""Settings that cannot be read, or only in part, are replaced by setting them."""

from __future__ import annotations

import json

import pytest
from support.system import System

from ringrift.cluster.steering import apply_settings
from ringrift.events import Settings, draft, encode
from ringrift.events.facts import SettingsChanged
from ringrift.log import read

SETTINGS = Settings(configs=("hex8_2p",))
SUBJECT = "ringrift.settings.all.changed"


async def test_settings_in_force_are_not_recorded_again(system: System) -> None:
    assert await apply_settings(system.log, SETTINGS, "test") == 1
    assert await apply_settings(system.log, SETTINGS, "test") == 1
    assert len(await system.facts(SettingsChanged)) == 1


@pytest.mark.parametrize("damage", ["unknown field", "no json", "no law"])
async def test_others_are_replaced(system: System, damage: str) -> None:
    await apply_settings(system.log, SETTINGS, "test")
    change = SettingsChanged(version=2, settings=SETTINGS, why="of another program")
    written = json.loads(encode(draft(change, cause=None, source="newer@node")))
    if damage == "unknown field":
        written["data"]["settings"]["selfplay"]["colour"] = "blue"
    elif damage == "no law":
        written["data"]["version"] = -1
    body = b"{" if damage == "no json" else json.dumps(written).encode()
    seq = await system.log.publish("EVENTS", SUBJECT, body, id="newer")
    await apply_settings(system.log, SETTINGS, "test")
    newest = await read.latest(system.log, SettingsChanged)
    assert newest is not None
    assert newest.meta.seq == seq + 1
    assert newest.event.settings == SETTINGS
    assert await read.settings_in_force(system.log, whole=True) == (SETTINGS, newest.event.version)
