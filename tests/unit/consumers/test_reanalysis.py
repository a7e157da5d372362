"""Recorded games searched again by a self-play worker."""

from __future__ import annotations

from typing import Any

import pytest
from support.games import recorded_game, targets_at
from support.loop_facts import A
from support.system import System

from ringrift.consumers.games import reanalysis
from ringrift.events.facts import (
    GameReanalysed,
    GamesRetracted,
    ReanalysisFinished,
    ReanalysisRequested,
)
from ringrift.events.tickets import ReanalysisTicket, tickets_of
from ringrift.learning.shards import GameRejected
from ringrift.runtime.process import Process

REQUEST = ReanalysisRequested(
    config="hex8_2p",
    model=A,
    first_seq=1,
    last_seq=3,
    games=3,
    simulations=4,
    seed=1,
    settings_version=0,
)


class Networks:
    """Any network is there."""

    async def get(self, model: str, config: str) -> None:
        assert model == A


@pytest.fixture
async def process(system: System, monkeypatch: pytest.MonkeyPatch) -> Process:
    """A worker whose searches find the same targets, and reject game 2."""

    def search(game: Any, player: Any, seed: int) -> bytes:
        if game.game == "game-2":
            raise GameRejected("does not replay")
        return targets_at(1)

    monkeypatch.setattr(reanalysis, "player_of", lambda *_: None)
    monkeypatch.setattr(reanalysis.reanalysis, "reanalyse", search)
    await system.write(*map(recorded_game, range(3)))
    return system.process()


@pytest.fixture
async def ticket(system: System) -> ReanalysisTicket:
    (found,) = tickets_of(REQUEST, f"EVENTS/{await system.write(REQUEST)}")
    assert isinstance(found, ReanalysisTicket)
    return found


async def reanalyse(process: Process, ticket: ReanalysisTicket, deliveries: int = 1) -> None:
    networks: Any = Networks()
    await reanalysis.reanalyse(process, ticket, deliveries, networks)


async def test_new_targets_are_recorded_for_each_game(
    system: System, process: Process, ticket: ReanalysisTicket
) -> None:
    await reanalyse(process, ticket)
    facts = await system.facts(GameReanalysed)
    assert [(fact.game, fact.game_seq) for fact in facts] == [("game-0", 1), ("game-1", 2)]
    assert {fact.targets for fact in facts} == {targets_at(1)}


async def test_a_game_that_cannot_be_searched_is_lost(
    system: System, process: Process, ticket: ReanalysisTicket
) -> None:
    await reanalyse(process, ticket)
    (finished,) = await system.facts(ReanalysisFinished)
    assert (finished.games, finished.lost) == (2, 1)


async def test_retracted_games_are_not_searched(
    system: System, process: Process, ticket: ReanalysisTicket
) -> None:
    retraction = GamesRetracted(
        config="hex8_2p", first_seq=1, last_seq=1, count=1, games=("game-0",), why="bad memory"
    )
    await system.write(retraction)
    await reanalyse(process, ticket)
    assert [fact.game for fact in await system.facts(GameReanalysed)] == ["game-1"]


async def test_targets_of_an_earlier_delivery_are_not_written_again(
    system: System, process: Process, ticket: ReanalysisTicket
) -> None:
    earlier = GameReanalysed(
        game="game-0",
        config="hex8_2p",
        game_seq=1,
        ticket=ticket.ticket,
        model=A,
        simulations=4,
        targets=targets_at(1),
        search_seconds=0.1,
        node="other",
        settings_version=0,
    )
    await process.append(earlier, cause=ticket.cause, key="game-0")
    await reanalyse(process, ticket, deliveries=2)
    assert len(await system.facts(GameReanalysed)) == 2
    (finished,) = await system.facts(ReanalysisFinished)
    assert finished.games == 2


async def test_a_finished_ticket_is_not_searched_again(
    system: System, process: Process, ticket: ReanalysisTicket
) -> None:
    for _ in range(2):
        await reanalyse(process, ticket)
    assert len(await system.facts(ReanalysisFinished)) == 1
