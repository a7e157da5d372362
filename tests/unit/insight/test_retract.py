"""What a retraction takes along: whole matches, whether their score is there or still to come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ringrift.errors import CommandError
from ringrift.events import Fact, draft
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GameCompleted,
    GamesRetracted,
    ModelRegistered,
    Ranking,
    Seat,
)
from ringrift.events.participants import seat
from ringrift.insight.retract import Selection, retractions
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
    await put(
        log,
        GameCompleted(
            game=name,
            config=CONFIG,
            origin=origin,
            ticket=ticket,
            seats=seats,
            pie=False,
            seed=1,
            moves="",
            plies=0,
            winner=1,
            reason="r",
            ranks=(1, 2),
            removed=(0, 0),
            territory=(0, 0),
            targets=b"",
            rules_version=1,
            play_seconds=0.0,
            node=node,
            settings_version=1,
        ),
    )


def scored(ticket: str) -> EvaluationScored:
    names = tuple(one.participant for one in RIVALS)
    return EvaluationScored(
        config=CONFIG,
        generation=1,
        ticket=ticket,
        candidate=names[0],
        candidate_model=MODEL,
        opponent=names[1],
        purpose="random",
        round=0,
        games=2,
        wins=2,
        scores=((1.0, 1),),
        rankings=(Ranking(order=names, ranks=(1, 2), count=2),),
        play_seconds=1.0,
        node="n2",
    )


@pytest.fixture
async def log() -> MemoryLog:
    """Two matches of a network, one scored and one not, and a game of self-play without it."""
    log = MemoryLog(MemoryBroker())
    await put(
        log,
        ModelRegistered(
            config=CONFIG,
            model=MODEL,
            generation=1,
            architecture="v2-micro",
            encoder="e",
            parameters=1,
            parents=(),
            ticket="t",
        ),
    )
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


async def test_a_match_with_one_bad_game_is_left_out_whole(log: MemoryLog) -> None:
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


async def test_games_of_a_network_are_named_by_the_beginning_of_its_digest(log: MemoryLog) -> None:
    (fact,), _ = await retractions(log, Selection(model="aaa", why="w"))
    assert (fact.model, fact.count) == (MODEL, 4)
    with pytest.raises(CommandError, match="no networks start with 'b'"):
        await retractions(log, Selection(model="b", why="w"))


async def test_a_match_is_not_taken_back_twice(log: MemoryLog) -> None:
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
    with pytest.raises(CommandError, match="retracted already"):
        await retractions(log, Selection(model="aaa", why="w"))
