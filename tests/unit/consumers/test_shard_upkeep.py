"""Shards are replaced when their games are retracted or reanalysed, from facts alone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.games import targets_at
from support.shard_system import ShardSystem
from support.system import System

from ringrift.consumers.shards.building import rebuild
from ringrift.events.facts import (
    GameReanalysed,
    GamesRetracted,
    ReanalysisFinished,
    ReanalysisRequested,
    ShardRetired,
)
from ringrift.runtime.retract import Selection, retractions


@pytest.fixture
async def shards(system: System) -> ShardSystem:
    found = ShardSystem(system)
    await found.start()
    return found


async def retract(shards: ShardSystem, **asked: Any) -> GamesRetracted:
    (fact,), _ = await retractions(shards.system.log, Selection(why="bad memory", **asked))
    await shards.write(fact)
    return fact


async def reanalyse(
    shards: ShardSystem, move: int, targets: bytes | None = None, *, is_asked: bool = True
) -> None:
    """New targets for the games of the first shard."""
    about = {"config": "hex8_2p", "ticket": f"r{move}", "model": "a" * 64, "node": "n1"}
    asked = ReanalysisRequested(
        config="hex8_2p",
        model="a" * 64,
        first_seq=1,
        last_seq=2,
        games=2,
        simulations=8,
        seed=move,
        settings_version=1,
    )
    cause = f"EVENTS/{await shards.write(asked)}"
    for seq in (1, 2):
        fact = GameReanalysed(
            game=f"game-{seq - 1}",
            game_seq=seq,
            simulations=8,
            targets=targets or targets_at(move),
            search_seconds=0.1,
            settings_version=1,
            **about,
        )
        item = shards.system.writer.draft(
            fact, cause=cause if is_asked else None, key=f"{move}.{seq}"
        )
        await shards.system.log.append([item])
    await shards.write(
        ReanalysisFinished(first_seq=1, last_seq=2, games=2, search_seconds=0.2, **about)
    )


async def test_a_shard_with_retracted_games_is_replaced(shards: ShardSystem) -> None:
    await retract(shards, node="n2")
    first, second = await shards.shards()
    (new,) = await shards.revised()
    assert await shards.blobs.get("shards", new.digest) == shards.bytes_of(shards.games[2])
    assert (new.supersedes, new.index, new.games, new.retracted) == (second.digest, 1, 2, 1)
    assert await shards.blobs.names("shards") == sorted([first.digest, new.digest])


async def test_a_replaced_shard_is_not_stale(shards: ShardSystem) -> None:
    await retract(shards, node="n2")
    assert len(await shards.revised()) == 1
    assert await shards.revised() == []


async def test_every_shard_can_be_rebuilt_from_its_fact(shards: ShardSystem) -> None:
    await retract(shards, games=("game-0", "game-3"))
    assert len(await shards.revised()) == 2
    for name in await shards.blobs.names("shards"):
        await shards.blobs.delete("shards", name)
    for fact in await shards.shards():  # superseded ones too: a replay of the past needs them
        await rebuild(shards.exporter, fact)
        assert await shards.blobs.has("shards", fact.digest)


async def test_games_cannot_be_retracted_twice(shards: ShardSystem) -> None:
    await retract(shards, first_seq=1, last_seq=2)
    with pytest.raises(Exception, match="already retracted"):
        await retract(shards, node="n1", last_seq=2)
    assert (await retract(shards, node="n1")).first_seq == 3
    left = [(fact.index, fact.games - fact.retracted) for fact in await shards.revised()]
    assert left == [(0, 0), (1, 1)]


async def test_a_shard_has_the_newest_targets_of_its_games(shards: ShardSystem) -> None:
    for move in (1, 2):
        await reanalyse(shards, move)
        (new,) = await shards.revised()
        games = [replace(game, targets=targets_at(move)) for game in shards.games[:2]]
        assert await shards.blobs.get("shards", new.digest) == shards.bytes_of(*games)
        assert new.retracted == 0


async def test_targets_that_nobody_asked_for_or_that_do_not_fit_change_nothing(
    shards: ShardSystem,
) -> None:
    await reanalyse(shards, 1, is_asked=False)
    await reanalyse(shards, 2, targets_at(60_000))
    await reanalyse(shards, 3, b"no targets")
    assert await shards.revised() == []


async def test_a_retraction_keeps_newer_targets(shards: ShardSystem) -> None:
    await reanalyse(shards, 2)
    await shards.revised()
    await retract(shards, games=("game-0",))
    (new,) = await shards.revised()
    left = replace(shards.games[1], targets=targets_at(2))
    assert await shards.blobs.get("shards", new.digest) == shards.bytes_of(left)


async def test_a_retired_shard_is_not_revised(shards: ShardSystem) -> None:
    old = (await shards.shards())[1]
    retired = ShardRetired(
        config="hex8_2p", digest=old.digest, index=1, why="far back", settings_version=1
    )
    await shards.write(retired)
    await retract(shards, node="n2")
    assert await shards.revised() == []
