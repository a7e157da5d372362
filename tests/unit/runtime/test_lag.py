"""Exporter and dispatcher report how far they lag, and are not alive when they are stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.games import recorded_game
from support.requested_games import write_requested
from support.system import PLAN, System, running

from ringrift.consumers import dispatcher, exporter
from ringrift.consumers.shards import building
from ringrift.events import Settings
from ringrift.events.facts import SettingsChanged, TickRecorded
from ringrift.events.settings import ShardSettings
from ringrift.log.errors import QueueFull
from ringrift.runtime.condition import STALLED_SECONDS_MAX
from ringrift.runtime.heartbeat import beat
from ringrift.runtime.process import Process

SETTINGS = Settings(shard=ShardSettings(games=2))


def is_alive(process: Process) -> bool:
    return process.condition.alive(process.clock.monotonic())


async def forever(*_: Any) -> Any:
    await asyncio.Event().wait()


async def test_an_exporter_that_has_caught_up_has_no_lag(system: System) -> None:
    process = system.process("exporter")
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    async with running(exporter.main(process), beat(process)):
        await write_requested(system, *map(recorded_game, range(3)))
        await asyncio.sleep(2 * STALLED_SECONDS_MAX)
    assert (process.seq, process.condition.lag_events) == (3, 0)
    assert is_alive(process)
    (seen,) = await process.presence.all()
    assert (seen.lag, seen.behind(100)) == (0, 0)


async def test_a_stuck_exporter_is_not_alive(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = system.process("exporter")
    monkeypatch.setattr(building, "store_shard", forever)
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    async with running(exporter.main(process), beat(process)):
        await write_requested(system, *map(recorded_game, range(4)))
        await asyncio.sleep(STALLED_SECONDS_MAX / 2)
        assert is_alive(process)
        await asyncio.sleep(STALLED_SECONDS_MAX)
        assert not is_alive(process)


@pytest.mark.parametrize(("is_full", "alive"), [(False, False), (True, True)])
async def test_a_dispatcher_that_does_not_go_on_is_alive_only_while_the_queue_is_full(
    system: System, monkeypatch: pytest.MonkeyPatch, is_full: bool, alive: bool
) -> None:
    process = system.process("dispatcher")

    async def full(*_: Any) -> int:
        raise QueueFull("no room")

    monkeypatch.setattr(process.log, "publish_ticket", full if is_full else forever)
    async with running(dispatcher.main(process), beat(process)):
        await asyncio.sleep(5.0)
        await system.write(replace(PLAN, games=1))
        for minute in range(3):
            await system.write(TickRecorded(minute=minute))
            await asyncio.sleep(60.0)
    assert process.condition.lag_events == 4
    assert is_alive(process) == alive


async def test_an_idle_dispatcher_has_no_lag(system: System) -> None:
    process = system.process("dispatcher")
    unread = SettingsChanged(version=1, settings=SETTINGS, why="test")
    async with running(dispatcher.main(process), beat(process)):
        for minute in range(3):
            await system.write(TickRecorded(minute=minute), unread)
            await asyncio.sleep(60.0)
    assert process.condition.lag_events == 0
    assert is_alive(process)
