"""Measuring matches through the log, with evaluators that answer at once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace
from support import loop_facts

from ringrift.errors import CommandError
from ringrift.events import Fact, draft, facts
from ringrift.events.participants import seat
from ringrift.events.tickets import tickets_of
from ringrift.insight.strength.arena import Arena
from ringrift.learning.pairings import HEURISTIC, RANDOM, Pairing
from ringrift.log import read
from ringrift.log.protocol import Progress
from ringrift.tools.memory_log import MemoryLog

CONFIG, MODEL = loop_facts.CONFIG, loop_facts.B
ME = seat("gumbel", model=MODEL, simulations=8)
PAIRINGS = [Pairing(ME, RANDOM), Pairing(ME, HEURISTIC)]


class Answers:
    """Evaluators that win half of the games of every request, or fail."""

    def __init__(self, *, fail: bool = False) -> None:
        self.log, self.fail, self.started = MemoryLog(), fail, 0

    @contextlib.asynccontextmanager
    async def evaluators(self) -> AsyncIterator[None]:
        self.started += 1
        async for request, meta in read.facts(self.log, facts.EvaluationRequested):
            (ticket,) = tickets_of(request, meta.position)
            await self.put(self.answer(request, ticket.ticket), meta.position)
        yield

    def answer(self, request: facts.EvaluationRequested, ticket: str) -> Fact:
        if self.fail:
            return facts.EvaluationFailed(
                config=CONFIG,
                generation=1,
                ticket=ticket,
                candidate_model=MODEL,
                purpose=request.purpose,
                reason="no memory",
                node="n",
            )
        me, other = request.candidate.participant, request.opponent.participant
        return replace(
            loop_facts.scored(request.purpose, 1, 1, MODEL, request.round),
            ticket=ticket,
            candidate=me,
            opponent=other,
            scores=((0.5, request.starts),),
            rankings=loop_facts.rankings(me, other, request.starts, request.starts),
            games=2 * request.starts,
            wins=request.starts,
        )

    async def put(self, fact: Fact, cause: str | None = None) -> None:
        await self.log.append([draft(fact, cause=cause, source="test")])


@contextlib.contextmanager
def no_progress(_: str) -> Iterator[Progress]:
    yield lambda done, total: None


@contextlib.asynccontextmanager
async def arena_of(answers: Answers) -> AsyncIterator[Arena]:
    await answers.put(loop_facts.registered(MODEL))
    async with Arena(answers.log, CONFIG, 1, answers.evaluators, no_progress) as arena:
        yield arena


async def test_each_pairing_is_played_and_scored() -> None:
    async with arena_of(Answers()) as arena:
        found = await arena.play("strength", PAIRINGS, starts=100)
    assert [row.opponent for row in found] == [RANDOM.participant, HEURISTIC.participant]
    assert [(row.games, row.score) for row in found] == [(200, 0.5)] * 2


async def test_a_match_is_split_into_tickets() -> None:
    answers = Answers()
    async with arena_of(answers) as arena:
        await arena.play("strength", PAIRINGS[:1], starts=100)
    requests = [item async for item in read.facts(answers.log, facts.EvaluationRequested)]
    assert sum(request.starts for request, _ in requests) == 100
    assert len({request.seed for request, _ in requests}) == len(requests) > 1


async def test_a_match_in_the_log_is_not_played_again() -> None:
    answers = Answers()
    async with arena_of(answers) as arena:
        first = await arena.play("strength", PAIRINGS, starts=4)
        again = await arena.play("strength", PAIRINGS, starts=4)
    assert (again, answers.started) == (first, 1)


async def test_a_failed_match_is_an_error_with_its_reason() -> None:
    async with arena_of(Answers(fail=True)) as arena:
        with pytest.raises(CommandError, match="failed: no memory; try another --seed"):
            await arena.play("strength", PAIRINGS[:1], starts=4)


async def test_without_a_network_there_is_no_current_one() -> None:
    async with arena_of(Answers()) as arena:
        with pytest.raises(CommandError, match="has no current network yet"):
            arena.known.model("current")
        assert arena.known.model(MODEL[:6]) == MODEL
