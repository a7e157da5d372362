"""The rating tables rebuilt from the log, against those written while it grew; on the in-memory
log."""

from __future__ import annotations

from msgspec.structs import asdict, replace

from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    EvaluationRecounted,
    EvaluationScored,
    Ranking,
    RatingsUpdated,
    Score,
    SettingsChanged,
)
from ringrift.events.settings import FIRST
from ringrift.events.unknown import PROGRAM
from ringrift.insight.rebuild import rebuild_elo
from ringrift.log import read
from ringrift.tools.memory_log import MemoryLog


def scored(config: str, wins: int) -> EvaluationScored:
    names = ("aaaaaaaaaaaa:gumbel:s4", "baseline:random:s0")
    rankings = (
        Ranking(order=names, ranks=(1, 2), count=wins),
        Ranking(order=names[::-1], ranks=(1, 2), count=10 - wins),
    )
    return EvaluationScored(
        config=config,
        generation=1,
        ticket=f"{config}-{wins}",
        candidate=names[0],
        candidate_model="a" * 64,
        opponent=names[1],
        purpose="random",
        round=0,
        games=10,
        wins=wins,
        scores=((0.5, 5),),
        rankings=rankings,
        play_seconds=1.0,
        node="test",
    )


class Rated:
    """A log in which every evaluation is followed by the table it leads to."""

    def __init__(self, program: str = PROGRAM) -> None:
        self.program = program
        self.log, self.state, self.count = MemoryLog(), elo.DECIDER.initial(), 0

    async def put(self, fact: Fact, cause: int | None = None) -> int:
        self.count += 1
        where = f"EVENTS/{cause}" if cause else None
        item = draft(fact, cause=where, source="test", key=self.count, program=self.program)
        (seq,) = await self.log.append([item])
        return seq

    async def rate(self, fact: Score, *, wrong_by: float = 0.0) -> None:
        seq = await self.put(fact)
        entry = await self.log.get("EVENTS", seq)
        assert entry is not None
        recorded = entry.recorded("EVENTS")
        self.state = elo.DECIDER.evolve(self.state, recorded.event, Context.of(recorded.meta))
        table = elo.table(self.state, fact.config)
        first, *others = table.ratings
        await self.put(
            replace(table, ratings=(replace(first, elo=first.elo + wrong_by), *others)), seq
        )


async def test_a_rebuilt_table_has_the_bits_of_the_live_one() -> None:
    rated = Rated()
    for wins in (7, 4):
        await rated.rate(scored("hex8_2p", wins))
        await rated.rate(scored("square8_2p", wins - 1))
    found = await rebuild_elo(rated.log)
    assert [(item.config, item.identical, item.unrated, item.table.games) for item in found] == [
        ("hex8_2p", True, 0, 20),
        ("square8_2p", True, 0, 20),
    ]
    assert found[0].live is not None
    assert found[0].table == found[0].live.event


async def test_one_changed_bit_is_a_difference() -> None:
    rated = Rated()
    await rated.rate(scored("hex8_2p", 7), wrong_by=1e-12)
    (item,) = await rebuild_elo(rated.log)
    assert item.identical is False


async def test_a_table_of_another_program_is_no_difference() -> None:
    rated = Rated("ringrift 0.0.9+0123456789abcdef")
    await rated.rate(scored("hex8_2p", 7), wrong_by=1e-12)
    await rated.rate(scored("square8_2p", 7))
    other, equal = await rebuild_elo(rated.log)
    assert (other.identical, equal.identical) == (None, True)
    assert "by another program (ringrift 0.0.9+0123456789abcdef), which differs" in other.verdict


async def test_evaluations_after_the_live_table_are_counted() -> None:
    rated = Rated()
    await rated.rate(scored("hex8_2p", 7))
    await rated.put(scored("hex8_2p", 2))
    (item,) = await rebuild_elo(rated.log)
    assert (item.identical, item.unrated, item.table.games) == (True, 1, 20)


async def test_a_score_that_is_not_recounted_yet_changes_nothing() -> None:
    rated = Rated()
    await rated.put(SettingsChanged(version=1, settings=FIRST, why="new"))
    score = scored("hex8_2p", 7)
    await rated.put(score)
    await rated.put(scored("hex8_2p", 2))
    await rated.rate(EvaluationRecounted(**asdict(score)))
    (item,) = await rebuild_elo(rated.log)
    assert (item.identical, item.unrated, item.table.games) == (True, 0, 10)


async def test_a_table_without_its_cause_is_different() -> None:
    rated = Rated()
    await rated.put(scored("hex8_2p", 7))
    await rated.put(RatingsUpdated(config="hex8_2p", ratings=(), games=0, anchor=None), 77)
    (item,) = await rebuild_elo(rated.log)
    assert (item.identical, item.at_live) == (False, None)


async def test_a_table_is_rebuilt_as_it_was() -> None:
    rated = Rated()
    await rated.rate(scored("hex8_2p", 7))
    then = await rated.log.tail("EVENTS")
    stored = await rated.log.get("EVENTS", then)
    assert stored is not None
    before = (await rebuild_elo(rated.log))[0].table
    await rated.rate(scored("hex8_2p", 2))
    for until in (then, await read.seq_at(rated.log, stored.time)):
        (item,) = await rebuild_elo(rated.log, until=until)
        assert (item.table, item.identical) == (before, True)
    assert await rebuild_elo(rated.log, until=0) == []
