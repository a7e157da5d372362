"""The self-play worker."""

from __future__ import annotations

import pytest
from support.system import PLAN, System, running

from ringrift.consumers import selfplay
from ringrift.events.facts import GameCompleted, SelfplayFinished
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.runtime.process import Process


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("selfplay")


async def test_the_games_of_a_ticket_are_recorded_before_its_outcome(
    system: System, process: Process
) -> None:
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await system.write(PLAN)}")
    await system.put(ticket)
    async with running(selfplay.main(process)):
        finished, meta = await system.first(SelfplayFinished)
    (game,) = await system.facts(GameCompleted)
    assert (finished.ticket, finished.games, finished.lost) == (ticket.ticket, 1, 0)
    assert (game.ticket, finished.plies) == (ticket.ticket, game.plies)
    assert meta.cause == ticket.cause


async def test_a_finished_ticket_is_not_played_again(system: System, process: Process) -> None:
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await system.write(PLAN)}")
    assert isinstance(ticket, SelfplayTicket)
    await system.write(selfplay.failed(process, ticket, "no luck"))
    await system.put(ticket)
    async with running(selfplay.main(process)):
        while system.queue.entries:
            await process.wait(1.0)
    assert await system.facts(GameCompleted) == []


async def test_a_ticket_that_failed_for_good_is_finished_without_its_games(
    process: Process,
) -> None:
    (ticket, *_) = tickets_of(PLAN, "EVENTS/1")
    outcome = selfplay.failed(process, ticket, "no luck")
    assert isinstance(outcome, SelfplayFinished)
    assert (outcome.games, outcome.lost) == (0, 1)
