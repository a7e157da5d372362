"""A retraction covers whole matches, whether they are scored or not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace
from support import loop_facts
from support.turning_loop import game

from ringrift.errors import CommandError
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GamesRetracted,
    Ranking,
    Seat,
)
from ringrift.events.participants import seat
from ringrift.runtime.retract import Selection, retractions
from ringrift.tools.memory_log import MemoryBroker, MemoryLog

CONFIG, MODEL = "hex8_2p", "a" * 64
RIVALS = (seat("gumbel", model=MODEL, simulations=8), seat("random"))


KEYS = itertools.count()


async def put(log: MemoryLog, fact: Fact) -> int:
    return (await log.append([draft(fact, cause=None, source="test", key=next(KEYS))]))[0]


async def play(
    log: MemoryLog,
    name: str,
    ticket: str,
    node: str,
    *,
    seats: tuple[Seat, ...] = RIVALS,
    origin: Any = "evaluation",
) -> None:
    await put(log, game(name, seats, ticket=ticket, node=node, origin=origin))


def scored(ticket: str) -> EvaluationScored:
    names = tuple(one.participant for one in RIVALS)
    ranking = Ranking(order=names, ranks=(1, 2), count=2)
    return replace(
        loop_facts.scored("random", 1, 0, MODEL),
        ticket=ticket,
        candidate=names[0],
        opponent=names[1],
        rankings=(ranking,),
        node="n2",
    )


@pytest.fixture
async def log() -> MemoryLog:
    """Two matches of a network, one scored and one not, and a game of self-play without it."""
    log = MemoryLog(MemoryBroker())
    await put(log, loop_facts.registered(MODEL))
    tickets = []
    for number in range(2):
        seq = await put(
            log,
            EvaluationRequested(
                config=CONFIG,
                generation=1,
                candidate=RIVALS[0],
                opponent=RIVALS[1],
                purpose="random",
                round=0,
                starts=1,
                seed=number,
                settings_version=1,
            ),
        )
        tickets.append(f"evaluation-events-{seq}")
        for index in range(2):
            await play(log, f"{tickets[-1]}-{index}", tickets[-1], f"n{1 + index}")
    await play(
        log, "s0", "selfplay", "n1", seats=(seat("gumbel", simulations=8),) * 2, origin="selfplay"
    )
    await put(log, scored(tickets[0]))
    return log


async def test_a_retracted_game_takes_its_whole_match_along(log: MemoryLog) -> None:
    (fact,), newest = await retractions(log, Selection(node="n1", why="w"))
    assert (fact.count, fact.first_seq, fact.last_seq) == (3, 1, 5)
    assert (fact.scored_tickets, fact.unscored_tickets) == (
        ("evaluation-events-2",),
        ("evaluation-events-3",),
    )
    assert (fact.rankings, fact.scored_games, fact.candidates) == (
        scored("x").rankings,
        2,
        (MODEL,),
    )
    assert newest == 4


async def test_a_network_is_selected_by_the_first_digits_of_its_digest(log: MemoryLog) -> None:
    (fact,), _ = await retractions(log, Selection(model="aaa", why="w"))
    assert (fact.model, fact.count) == (MODEL, 4)
    with pytest.raises(CommandError, match="no networks in the log start with 'b'"):
        await retractions(log, Selection(model="b", why="w"))


async def test_a_match_is_retracted_once(log: MemoryLog) -> None:
    (first,), _ = await retractions(log, Selection(node="n1", why="w"))
    await put(log, first)
    (second,), _ = await retractions(log, Selection(node="n2", why="w"))
    assert isinstance(second, GamesRetracted)
    assert (second.count, second.scored_tickets, second.unscored_tickets, second.rankings) == (
        2,
        (),
        (),
        (),
    )
    await put(log, second)
    with pytest.raises(CommandError, match="already retracted"):
        await retractions(log, Selection(model="aaa", why="w"))
