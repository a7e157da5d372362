"""The evaluation worker."""

from __future__ import annotations

import pytest
from support.system import System, running

from ringrift.consumers import evaluator
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    GameCompleted,
)
from ringrift.events.participants import seat
from ringrift.events.tickets import tickets_of
from ringrift.runtime.process import Process

REQUEST = EvaluationRequested(
    config="hex8_2p",
    generation=1,
    candidate=seat("heuristic"),
    opponent=seat("random"),
    purpose="random",
    round=0,
    starts=1,
    seed=1,
    settings_version=0,
)


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("evaluator")


async def test_the_games_of_a_match_are_recorded_before_its_score(
    system: System, process: Process
) -> None:
    (ticket,) = tickets_of(REQUEST, f"EVENTS/{await system.write(REQUEST)}")
    await system.put(ticket)
    async with running(evaluator.main(process)):
        score, meta = await system.first(EvaluationScored)
    games = await system.facts(GameCompleted)
    assert (score.games, len(games), meta.cause) == (2, 2, ticket.cause)
    assert score.candidate == REQUEST.candidate.participant


async def test_a_scored_match_is_not_played_again(system: System, process: Process) -> None:
    (ticket,) = tickets_of(REQUEST, f"EVENTS/{await system.write(REQUEST)}")
    for number in range(2):
        await system.put(ticket, f"{ticket.ticket}.{number}")
    async with running(evaluator.main(process)):
        while system.queue.entries:
            await process.wait(1.0)
    assert len(await system.facts(EvaluationScored)) == 1
    assert len(await system.facts(GameCompleted)) == 2


async def test_a_match_that_failed_for_good_is_recorded(process: Process) -> None:
    (ticket,) = tickets_of(REQUEST, "EVENTS/1")
    failure = evaluator.failed(process, ticket, "no luck")
    assert isinstance(failure, EvaluationFailed)
    assert (failure.ticket, failure.reason) == (ticket.ticket, "no luck")
