"""Requests to search the games of a small loop again."""

from __future__ import annotations

from support.turning_loop import TurningLoop

from ringrift.events.facts import GamesRetracted, ModelRegistered, ReanalysisRequested
from ringrift.insight.reanalyse import reanalyse


async def requested(loop: TurningLoop, games: int = 1000) -> list[ReanalysisRequested]:
    """Request games from the newest network."""
    model = (await loop.all(ModelRegistered))[-1].event.model
    return await reanalyse(loop.log, "hex8_2p", model, games=games, simulations=None, source="test")


async def test_all_selfplay_games_in_shards_are_requested_once(loop: TurningLoop) -> None:
    first = await requested(loop)
    assert sum(request.games for request in first) == 16
    assert {request.simulations for request in first} == {32}
    assert await requested(loop) == []


async def test_the_newest_games_are_requested_first(loop: TurningLoop) -> None:
    (newest,) = await requested(loop, games=2)
    rest = await requested(loop)
    assert newest.games == 2
    assert all(request.last_seq < newest.first_seq for request in rest)


async def test_retracted_games_are_not_requested(loop: TurningLoop) -> None:
    bad = GamesRetracted(config="hex8_2p", first_seq=2, last_seq=3, count=2, why="bad disk")
    await loop.put(bad)
    found = await requested(loop)
    assert sum(request.games for request in found) == 14
    assert all(request.last_seq < 2 or request.first_seq > 3 for request in found)
