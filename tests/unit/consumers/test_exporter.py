"""The exporter cuts games into shards, each game into one."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.games import recorded_game
from support.requested_games import append, write_requested
from support.system import PLAN, System, running

from ringrift.consumers import exporter
from ringrift.consumers.shards.building import make_shard, rebuild
from ringrift.consumers.verification.stores import shard_problem
from ringrift.events import Settings
from ringrift.events.facts import (
    UNLEARNED,
    ConsumerStarted,
    EvaluationRequested,
    GameCompleted,
    Refusal,
    Seat,
    SettingsChanged,
    ShardExported,
)
from ringrift.events.settings import ShardSettings
from ringrift.log import read
from ringrift.runtime.retract import Selection, retractions

SETTINGS = Settings(shard=ShardSettings(games=2))


@pytest.fixture(autouse=True)
async def settings(system: System) -> None:
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))


async def exported(system: System, *games: GameCompleted) -> list[ShardExported]:
    """The shards in the log after an exporter has seen these games, which a plan asks for."""
    if games:
        await write_requested(system, *games)
    return await cut(system)


async def cut(system: System) -> list[ShardExported]:
    """The shards in the log once an exporter has seen it."""
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
    return await system.facts(ShardExported)


async def test_games_are_cut_into_shards_in_their_order(system: System) -> None:
    shards = await exported(system, *map(recorded_game, range(5)))
    ranges = [(shard.index, shard.first_seq, shard.last_seq) for shard in shards]
    assert ranges == [(0, 1, 2), (1, 3, 4)]


async def test_a_shard_holds_its_games(system: System) -> None:
    games = await write_requested(system, *map(recorded_game, range(2)))
    (shard,) = await cut(system)
    data, counts = make_shard("hex8_2p", games)
    assert await system.process().blobs.get("shards", shard.digest) == data
    assert (shard.games, shard.samples, shard.rejected) == (2, counts.samples, 0)


def against_a_baseline(seed: int) -> GameCompleted:
    game = recorded_game(seed)
    first, second = game.seats
    return replace(game, origin="evaluation", seats=(first, replace(second, simulations=0)))


async def test_games_against_baselines_make_no_empty_shard(system: System) -> None:
    games = [against_a_baseline(number) for number in range(4)]
    assert await exported(system, *games) == []
    (shard,) = await exported(system, recorded_game(4))
    assert (shard.first_seq, shard.last_seq, shard.games) == (1, 5, 5)
    assert shard.samples > 0


async def test_no_more_games_wait_than_the_memory_allows(system: System) -> None:
    games = [against_a_baseline(number) for number in range(exporter.WAITING_MAX * 2)]
    (shard,) = await exported(system, *games)
    assert (shard.games, shard.samples) == (8, 0)


async def test_a_restarted_exporter_continues_after_the_last_shard(system: System) -> None:
    await exported(system, *map(recorded_game, range(3)))
    shards = await exported(system, recorded_game(3))
    assert [(shard.first_seq, shard.last_seq) for shard in shards] == [(1, 2), (3, 4)]


async def test_two_exporters_cut_each_shard_once(system: System) -> None:
    await write_requested(system, *map(recorded_game, range(4)))
    exporters = [system.process("exporter"), system.process("exporter")]
    async with running(*(exporter.main(process) for process in exporters)):
        await asyncio.sleep(60.0)
    assert [shard.index for shard in await system.facts(ShardExported)] == [0, 1]


@pytest.mark.parametrize("origin", sorted(UNLEARNED))
async def test_games_that_only_measure_or_are_of_people_are_in_no_shard(
    system: System, origin: str
) -> None:
    measured = recorded_game(0, origin=origin)
    (shard,) = await exported(system, measured, recorded_game(1), recorded_game(2))
    assert (shard.games, shard.first_seq, shard.last_seq) == (2, 2, 3)


async def test_games_of_people_are_in_shards_if_the_settings_say_so(system: System) -> None:
    rules = ShardSettings(games=2, people=True)
    await system.write(SettingsChanged(version=2, settings=Settings(shard=rules), why="test"))
    seat_of_a_person = Seat(participant="person:Ada", harness="person")
    kept = replace(
        recorded_game(0), origin="human", ticket="human-1", game="human-1", node="laptop"
    )
    kept = replace(kept, seats=(seat_of_a_person, kept.seats[1]))
    await append(system, kept, None)
    (shard,) = await exported(system, recorded_game(1))
    assert (shard.games, shard.people, shard.refused) == (2, (1,), {})
    # a later change of the settings does not change what the shard holds
    await system.write(SettingsChanged(version=3, settings=SETTINGS, why="test"))
    assert await shard_problem(system.log, shard, "EVENTS/1") is None
    await rebuild(system.process(), shard)  # raises if a byte differs


async def test_games_of_tournaments_are_in_shards_if_the_settings_say_so(system: System) -> None:
    rules = ShardSettings(games=2, tournaments=True)
    await system.write(SettingsChanged(version=2, settings=Settings(shard=rules), why="test"))
    match = EvaluationRequested(
        config="hex8_2p",
        generation=1,
        candidate=Seat(participant="x", harness="gumbel", simulations=8),
        opponent=Seat(participant="y", harness="gumbel", simulations=4),
        purpose="gauntlet",
        round=0,
        starts=1,
        seed=1,
        settings_version=2,
    )
    position = await system.write(match)
    ticket = f"evaluation-events-{position}"
    node = "n1"
    await system.write(ConsumerStarted(node=node, consumer="evaluator", instance="e", version="1"))
    played = recorded_game(0, origin="tournament", ticket=ticket, game=f"{ticket}-0", node=node)
    await append(system, played, f"EVENTS/{position}")
    (shard,) = await exported(system, recorded_game(1))
    assert (shard.games, shard.tournaments, shard.refused) == (2, (1,), {})
    assert shard.samples > 0
    await system.write(SettingsChanged(version=3, settings=SETTINGS, why="test"))
    assert await shard_problem(system.log, shard, "EVENTS/1") is None
    await rebuild(system.process(), shard)  # raises if a byte differs


async def test_retracted_games_are_counted_but_not_in_the_shard(system: System) -> None:
    games = await write_requested(system, recorded_game(0, node="broken"), recorded_game(1))
    (fact,), _ = await retractions(system.log, Selection(why="bad memory", node="broken"))
    await system.write(fact)
    (shard,) = await cut(system)
    assert (shard.games, shard.retracted) == (2, 1)
    data, _ = make_shard("hex8_2p", games[1:])
    assert await system.process().blobs.get("shards", shard.digest) == data


def forged(kind: str, game: GameCompleted) -> GameCompleted:
    """A game like this one that is no training data."""
    ticket, other = game.ticket, recorded_game(9)
    told = {name: getattr(other, name) for name in ("moves", "plies", "winner", "ranks", "reason")}
    new = replace(game, **told, removed=other.removed, territory=other.territory)
    lost = {"winner": 3 - new.winner, "ranks": new.ranks[::-1]}
    return {
        "id": replace(new, game=game.game),
        "moves": replace(game, game=f"{ticket}-1"),
        "number": replace(new, game=f"{ticket}-4"),
        "padded number": replace(new, game=f"{ticket}-01"),
        "ticket": replace(new, game="selfplay-events-9-0-0", ticket="selfplay-events-9-0"),
        "origin": replace(new, game=f"{ticket}-1", origin="evaluation"),
        "node": replace(new, game=f"{ticket}-1", node="ghost"),
        "model": replace(new, game=f"{ticket}-1", seats=(seat("e" * 64),) * 2),
        "illegal": replace(new, game=f"{ticket}-1", moves=new.moves.replace(" ", " a1 ", 1)),
        "winner": replace(new, game=f"{ticket}-1", **lost),
    }[kind]


def seat(model: str) -> Seat:
    return Seat(participant="x:gumbel", harness="gumbel", simulations=1, model=model)


REFUSED: dict[str, Refusal] = {
    "id": "again",
    "moves": "again",
    "number": "unrequested",
    "padded number": "unrequested",
    "ticket": "unrequested",
    "origin": "unrequested",
    "node": "node",
    "model": "model",
    "illegal": "replay",
    "winner": "replay",
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_game_that_is_no_training_data_is_refused_and_takes_no_good_one_with_it(
    system: System, kind: str
) -> None:
    (first,) = await write_requested(system, recorded_game(0))
    plan = replace(PLAN, games=4, games_per_ticket=4)
    cause = f"EVENTS/{await system.write(plan)}"
    ticket = f"selfplay-{cause.replace('/', '-').lower()}-0"
    games = [replace(recorded_game(n), ticket=ticket, game=f"{ticket}-{n}") for n in (0, 1, 2, 3)]
    good = replace(games[1], game=f"{ticket}-0")
    await append(system, good, cause)
    await append(system, forged(kind, good), cause)
    # the good game under the id that the forged one took
    await append(system, replace(games[2], game=f"{ticket}-1"), cause)
    await append(system, games[3], cause)
    shards = await cut(system)
    assert [shard.refused for shard in shards] == [{}, {REFUSED[kind]: (3,)}][: len(shards)]
    assert sum(shard.games for shard in shards) == 4
    data, _ = make_shard("hex8_2p", [first, good])
    assert await system.process().blobs.get("shards", shards[0].digest) == data


async def test_a_game_without_a_cause_is_refused(system: System) -> None:
    await system.write(recorded_game(0), recorded_game(1))
    (shard,) = await cut(system)
    assert shard.refused == {"unrequested": (1, 2)}
    assert (shard.games, shard.samples) == (2, 0)


async def test_a_shard_with_refused_games_is_made_again_byte_for_byte(system: System) -> None:
    games = await write_requested(system, recorded_game(0), recorded_game(1))
    await append(system, games[0], None)
    await append(system, games[1], None)
    *_, shard = await cut(system)
    assert await shard_problem(system.log, shard, "EVENTS/1") is None
    process = system.process("exporter")
    await process.blobs.delete("shards", shard.digest)
    await rebuild(process, shard)


async def test_a_game_of_an_earlier_shard_is_refused_after_a_restart(system: System) -> None:
    games = await write_requested(system, recorded_game(0), recorded_game(1))
    await cut(system)
    (cause,) = {meta.cause async for _, meta in read.facts(system.log, GameCompleted)}
    await append(system, games[0], cause, key="again")
    await append(system, games[1], cause, key="again")
    *_, shard = await cut(system)
    assert shard.refused == {"again": (3, 4)}
