"""The exporter cuts games into shards, each game into one."""

from __future__ import annotations

import asyncio

import pytest
from support.games import recorded_game
from support.system import System, running

from ringrift.consumers import exporter
from ringrift.consumers.shards.building import make_shard
from ringrift.events import Settings
from ringrift.events.facts import GameCompleted, SettingsChanged, ShardExported
from ringrift.events.settings import ShardSettings
from ringrift.insight.retract import Selection, retractions

SETTINGS = Settings(shard=ShardSettings(games=2))


@pytest.fixture(autouse=True)
async def settings(system: System) -> None:
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))


async def exported(system: System, *games: GameCompleted) -> list[ShardExported]:
    """The shards in the log after an exporter has seen these games."""
    await system.write(*games)
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
    return await system.facts(ShardExported)


async def test_games_are_cut_into_shards_in_their_order(system: System) -> None:
    shards = await exported(system, *map(recorded_game, range(5)))
    ranges = [(shard.index, shard.first_seq, shard.last_seq) for shard in shards]
    assert ranges == [(0, 1, 2), (1, 3, 4)]


async def test_a_shard_holds_its_games(system: System) -> None:
    games = [recorded_game(number) for number in range(2)]
    (shard,) = await exported(system, *games)
    data, counts = make_shard("hex8_2p", games)
    assert await system.process().blobs.get("shards", shard.digest) == data
    assert (shard.games, shard.samples, shard.rejected) == (2, counts.samples, 0)


async def test_a_restarted_exporter_continues_after_the_last_shard(system: System) -> None:
    await exported(system, *map(recorded_game, range(3)))
    shards = await exported(system, recorded_game(3))
    assert [(shard.first_seq, shard.last_seq) for shard in shards] == [(1, 2), (3, 4)]


async def test_two_exporters_cut_each_shard_once(system: System) -> None:
    await system.write(*map(recorded_game, range(4)))
    exporters = [system.process("exporter"), system.process("exporter")]
    async with running(*(exporter.main(process) for process in exporters)):
        await asyncio.sleep(60.0)
    assert [shard.index for shard in await system.facts(ShardExported)] == [0, 1]


async def test_tournament_games_are_in_no_shard(system: System) -> None:
    measured = recorded_game(0, origin="tournament")
    (shard,) = await exported(system, measured, recorded_game(1), recorded_game(2))
    assert (shard.games, shard.first_seq, shard.last_seq) == (2, 2, 3)


async def test_retracted_games_are_counted_but_not_in_the_shard(system: System) -> None:
    games = [recorded_game(0, node="broken"), recorded_game(1)]
    await system.write(*games)
    (fact,), _ = await retractions(system.log, Selection(why="bad memory", node="broken"))
    await system.write(fact)
    (shard,) = await exported(system)
    assert (shard.games, shard.retracted) == (2, 1)
    data, _ = make_shard("hex8_2p", games[1:])
    assert await system.process().blobs.get("shards", shard.digest) == data
