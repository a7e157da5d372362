"""Games of a ticket are published once each."""

from __future__ import annotations

import pytest
from support.games import recorded_game
from support.system import System, selfplay_finished

from ringrift.consumers.games.playing import publish_games
from ringrift.events.facts import GameCompleted, SelfplayFinished
from ringrift.events.tickets import Ticket
from ringrift.log.topology import GAME_IDS_SECONDS
from ringrift.runtime.process import Drained, Process
from ringrift.runtime.work import conclude
from ringrift.tools.memory_log import MemoryBroker, MemoryLog


def names(ticket: Ticket) -> list[str]:
    return [f"{ticket.ticket}-{number}" for number in range(3)]


def game(ticket: Ticket, number: int) -> GameCompleted:
    return recorded_game(0, game=names(ticket)[number], ticket=ticket.ticket)


@pytest.fixture
async def process(system: System) -> Process:
    return system.process()


async def test_all_games_are_in_the_log_when_the_block_ends(
    system: System, process: Process
) -> None:
    (ticket, *_) = await system.request()
    async with publish_games(process, ticket, names(ticket), 1) as publish:
        for number in range(3):
            await publish(game(ticket, number))
    assert [fact.game for fact in await system.facts(GameCompleted)] == names(ticket)


async def test_games_of_an_earlier_delivery_are_not_written_again(
    system: System, process: Process
) -> None:
    (ticket, *_) = await system.request()
    async with publish_games(process, ticket, names(ticket), 1) as publish:
        await publish(game(ticket, 1))
    system.loop.clock.seconds += 86_400  # the server has forgotten the ids of messages
    async with publish_games(process, ticket, names(ticket), 2) as publish:
        for number in range(3):
            await publish(game(ticket, number))
    assert len(await system.facts(GameCompleted)) == 3


async def test_games_that_another_worker_wrote_while_this_one_was_frozen_are_not_written_again(
    system: System, process: Process
) -> None:
    (ticket, *_) = await system.request()
    other = system.process(node="other")
    async with publish_games(process, ticket, names(ticket), 1) as frozen:
        await frozen(game(ticket, 0))
        async with publish_games(other, ticket, names(ticket), 2) as publish:
            for number in range(2):
                await publish(game(ticket, number))
        system.loop.clock.seconds += GAME_IDS_SECONDS + 60  # the server has forgotten their ids
        for number in range(3):
            await frozen(game(ticket, number))
    assert sorted(fact.game for fact in await system.facts(GameCompleted)) == names(ticket)


async def test_an_outcome_is_written_once_however_late(system: System, process: Process) -> None:
    (ticket, *_) = await system.request()
    for _ in range(2):
        await conclude(process, ticket, selfplay_finished(ticket.ticket))
        system.loop.clock.seconds += 86_400  # the server has forgotten the ids of messages
    assert len(await system.facts(SelfplayFinished)) == 1


async def test_games_on_an_edge_are_waited_for_until_the_process_stops(
    system: System, process: Process
) -> None:
    (ticket, *_) = await system.request()
    process.edge = MemoryLog(MemoryBroker(system.loop.wall))
    system.loop.call_later(100.0, process.stop)
    with pytest.raises(Drained):
        async with publish_games(process, ticket, names(ticket), 1) as publish:
            await publish(game(ticket, 0))
    assert process.doing == "waiting: 1 games of hex8_2p are on the edge"
    assert system.loop.time() == pytest.approx(100.0)


async def test_games_on_an_edge_are_done_once_the_cluster_has_them(
    system: System, process: Process
) -> None:
    (ticket, *_) = await system.request()
    process.edge = MemoryLog(MemoryBroker(system.loop.wall))
    async with publish_games(process, ticket, names(ticket), 1) as publish:
        await publish(game(ticket, 0))
        draft = process.draft(game(ticket, 0), cause=ticket.cause, key=names(ticket)[0])
        await system.log.append([draft])
    assert len(await system.facts(GameCompleted)) == 1
