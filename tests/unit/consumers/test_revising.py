"""Shards follow what is retracted and reanalysed, from facts alone; the originals can be made
again."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from ringrift.consumers.shards.building import make_shard, rebuild
from ringrift.consumers.shards.revision import READS, ShardsInForce, revise
from ringrift.consumers.shards.stored import exported_shards
from ringrift.events import Fact, decode, draft, type_of
from ringrift.events.facts import (
    GameCompleted,
    GameReanalysed,
    GamesRetracted,
    ReanalysisFinished,
    Seat,
    ShardExported,
    ShardRetired,
)
from ringrift.insight.retract import Selection, retractions
from ringrift.learning.targets import Decision, encode
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.nets.encoding import ENCODER
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION
from ringrift.runtime.process import Process

CONFIG = "hex8_2p"
MODEL = "a" * 64
KEYS = itertools.count()


@functools.cache
def played(number: int, node: str, seed: int = 0) -> GameCompleted:
    """A random game with a target at its first choice."""
    rng = np.random.default_rng(number)
    position, moves = Position.start(Config.parse(CONFIG)), list[str]()
    while not position.over:
        codes = position.legal_codes()
        code = int(codes[rng.integers(len(codes))])
        moves.append(position.token(code))
        position.play_code(code)
    seat = Seat(participant="x:gumbel:s8", harness="gumbel", simulations=8)
    return GameCompleted(
        game=f"game-{number}",
        config=CONFIG,
        origin="selfplay",
        ticket="t",
        seats=(seat, seat),
        pie=False,
        seed=number,
        moves=" ".join(moves),
        plies=position.ply,
        winner=position.winner,
        reason=position.reason,
        ranks=position.ranks(),
        removed=position.removed(),
        territory=position.territory(),
        targets=aim(0),
        rules_version=RULES_VERSION,
        play_seconds=0.0,
        node=node,
        settings_version=1,
    )


def aim(move: int) -> bytes:
    """Targets with one decision, all on one move."""
    return encode(
        2, [Decision(0, np.zeros(2, np.float32), np.array([move]), np.ones(1, np.float32))]
    )


class System:
    """Four games of two nodes in two shards."""

    def __init__(self) -> None:
        self.log = MemoryLog(MemoryBroker())
        self.blobs = ObjectBlobs(self.log)
        self.process = Process("exporter", "test", self.log)
        self.games = [played(number, "n1" if number < 3 else "n2") for number in range(4)]

    async def start(self) -> None:
        for game in self.games:
            await self.put(game)
        for index in range(2):
            data, counts = make_shard(CONFIG, self.games[2 * index : 2 * index + 2])
            await self.put(
                ShardExported(
                    config=CONFIG,
                    encoder=ENCODER,
                    index=index,
                    first_seq=1 + 2 * index,
                    last_seq=2 + 2 * index,
                    games=2,
                    samples=counts.samples,
                    rejected=0,
                    digest=await self.blobs.put("shards", data),
                    size_bytes=len(data),
                )
            )

    async def put(self, *facts: Fact, cause: str | None = None) -> None:
        for fact in facts:
            await self.log.append([draft(fact, cause=cause, source="test", key=next(KEYS))])

    async def shards(self) -> list[ShardExported]:
        """All facts, in the order of the log."""
        return [event for event, _ in (await exported_shards(self.log)).get(CONFIG, [])]

    async def revised(self) -> list[ShardExported]:
        """What revising from the log adds."""
        before, ledger = len(await self.shards()), ShardsInForce()
        async for batch in self.log.read(
            "EVENTS", filters=[type_of(kind).subject_filter for kind in READS]
        ):
            for entry in batch:
                ledger.take(*decode(entry.body, stream="EVENTS", seq=entry.seq))
        await revise(self.process, ledger)
        return (await self.shards())[before:]


@pytest.fixture
async def system() -> System:
    system = System()
    await system.start()
    return system


async def retract(system: System, **asked: Any) -> GamesRetracted:
    (fact,), _ = await retractions(system.log, Selection(why="bad memory", **asked))
    await system.put(fact)
    return fact


async def test_a_shard_without_its_retracted_games_takes_its_place(system: System) -> None:
    fact = await retract(system, node="n2")
    assert (fact.count, fact.first_seq, fact.last_seq) == (1, 4, 4)
    first, second = await system.shards()
    (new,) = await system.revised()
    data, _ = make_shard(CONFIG, system.games[2:3])
    assert await system.blobs.get("shards", new.digest) == data
    assert (new.supersedes, new.index, new.games, new.retracted) == (second.digest, 1, 2, 1)
    assert await system.blobs.names("shards") == sorted([first.digest, new.digest])
    assert await system.revised() == []


async def test_every_shard_can_be_made_again_from_its_own_fact(system: System) -> None:
    await retract(system, games=("game-0", "game-3"))
    assert len(await system.revised()) == 2
    facts = await system.shards()
    for name in await system.blobs.names("shards"):
        await system.blobs.delete("shards", name)
    for fact in facts:  # the old ones too: a replay to before the retraction finds them
        await rebuild(system.process, fact)
        assert await system.blobs.has("shards", fact.digest)


async def test_what_is_retracted_twice_is_refused(system: System) -> None:
    await retract(system, first_seq=1, last_seq=2)
    with pytest.raises(Exception, match="retracted already"):
        await retract(system, node="n1", last_seq=2)
    assert (await retract(system, node="n1")).first_seq == 3
    assert [(fact.index, fact.games - fact.retracted) for fact in await system.revised()] == [
        (0, 0),
        (1, 1),
    ]


async def test_new_targets_make_a_new_shard_and_the_newest_count(system: System) -> None:
    async def reanalysed(move: int) -> None:
        for seq in (1, 2):
            await system.put(
                GameReanalysed(
                    game=f"game-{seq - 1}",
                    config=CONFIG,
                    game_seq=seq,
                    ticket=f"r{move}",
                    model=MODEL,
                    simulations=8,
                    targets=aim(move),
                    search_seconds=0.1,
                    node="n1",
                    settings_version=1,
                )
            )
        await system.put(
            ReanalysisFinished(
                config=CONFIG,
                ticket=f"r{move}",
                model=MODEL,
                first_seq=1,
                last_seq=2,
                games=2,
                search_seconds=0.2,
                node="n1",
            )
        )

    digests = [(await system.shards())[0].digest]
    for move in (1, 2):
        await reanalysed(move)
        (new,) = await system.revised()
        data, _ = make_shard(
            CONFIG, [replace(game, targets=aim(move)) for game in system.games[:2]]
        )
        assert (await system.blobs.get("shards", new.digest), new.retracted) == (data, 0)
        digests.append(new.digest)
    assert len(set(digests)) == 3
    await retract(system, games=("game-0",))
    (last,) = await system.revised()
    data, _ = make_shard(CONFIG, [replace(system.games[1], targets=aim(2))])
    assert await system.blobs.get("shards", last.digest) == data


async def test_a_retired_shard_is_not_revised(system: System) -> None:
    old = (await system.shards())[1]
    await system.put(
        ShardRetired(config=CONFIG, digest=old.digest, index=1, why="far back", settings_version=1)
    )
    await retract(system, node="n2")
    assert await system.revised() == []
