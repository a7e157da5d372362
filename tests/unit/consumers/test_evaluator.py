"""The evaluation worker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import promoted, rejected
from support.system import System, running

from ringrift.consumers import evaluator
from ringrift.events.facts import (
    EvaluationAbandoned,
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


async def split_round(system: System) -> None:
    """Put the tickets of a round of a split trial on the queue."""
    for number in range(2):
        request = replace(REQUEST, split=4, round=number, seed=number)
        (ticket,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
        await system.put(ticket)


async def test_a_node_leaves_the_next_ticket_of_a_split_round_to_others(system: System) -> None:
    await split_round(system)
    first, second = (system.process("evaluator", node) for node in ("n1", "n2"))
    async with running(evaluator.main(first)):
        await system.count(EvaluationScored, 1)
        await second.wait(30.0)
    async with running(evaluator.main(second)):
        await system.count(EvaluationScored, 2)
    assert [score.node for score in await system.facts(EvaluationScored)] == ["n1", "n2"]


async def test_it_plays_the_next_one_too_if_no_other_node_does(system: System) -> None:
    await split_round(system)
    began = system.loop.time()
    async with running(evaluator.main(system.process("evaluator", "n1"))):
        await system.count(EvaluationScored, 2)
    assert system.loop.time() - began > 100.0


async def test_a_match_that_failed_for_good_is_recorded(process: Process) -> None:
    (ticket,) = tickets_of(REQUEST, "EVENTS/1")
    failure = evaluator.failed(process, ticket, "no luck")
    assert isinstance(failure, EvaluationFailed)
    assert (failure.ticket, failure.reason) == (ticket.ticket, "no luck")


async def test_a_match_that_was_decided_without_it_frees_its_worker(
    system: System, process: Process
) -> None:
    """The candidate was judged, or its rival replaced, while it was played or before."""
    request = replace(REQUEST, purpose="promotion", starts=32)
    (ticket,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
    await system.put(ticket)
    await system.write(promoted("c" * 64))
    async with running(evaluator.main(process)):
        abandoned, meta = await system.first(EvaluationAbandoned)
    assert (abandoned.ticket, meta.cause) == (ticket.ticket, ticket.cause)
    assert abandoned.games == len(await system.facts(GameCompleted)) < 64
    assert not await system.facts(EvaluationScored)
    assert not system.queue.entries


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (rejected("a" * 64, current="b" * 64), True),
        (promoted("a" * 64, previous="b" * 64), True),
        (rejected("c" * 64, current="b" * 64), False),
        (promoted("c" * 64, previous="b" * 64), True),
    ],
)
def test_a_match_is_decided_with_its_candidate_or_its_rival(
    fact: evaluator.Judgement, expected: bool
) -> None:
    one, other = (seat("gumbel", model=name * 64, simulations=32) for name in "ab")
    request = replace(REQUEST, purpose="promotion", candidate=one, opponent=other)
    assert evaluator._is_decided(request, fact) is expected
