"""Searches in work are stopped when nobody waits for them any more."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ringrift.analysis.participants import Participant
from ringrift.analysis.searching import searcher
from ringrift.events.participants import seat
from ringrift.learning.play import player_of
from ringrift.rules import Config, Position
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.harness import Model
from ringrift.search.players import Stopped
from ringrift.search.status import NODES_AT_ONCE

HEX8 = Config.parse("hex8_2p")


class Network:
    """An evaluator that finds all moves and seats equal, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls, self.asked = 0, asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def evaluate(self, states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        self.calls += 1
        self.loop.call_soon_threadsafe(self.asked.set)
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    def player(self, harness: str, simulations: int) -> Participant:
        named = seat(harness, model="c0ffee" + "0" * 58, simulations=simulations)
        return Participant(named, Model(self.evaluate))


@pytest.mark.parametrize("harness", ["gumbel", "minimax"])
async def test_a_cancelled_search_stops_and_leaves_no_trace(harness: str) -> None:
    network, position = Network(), Position.start(HEX8)
    player = network.player(harness, 2_000)
    async with searcher(threads=1) as fresh:
        alone, _ = await fresh.search(player, position)
    whole, network.calls = network.calls, 0
    network.asked.clear()
    async with searcher(threads=1) as searching:
        running = asyncio.create_task(searching.search(player, position))
        await network.asked.wait()
        running.cancel()
        after, _ = await searching.search(player, position)
    assert network.calls < 1.5 * whole
    assert after.move == alone.move
    assert (after.visits == alone.visits).all()


@pytest.mark.parametrize("harness", ["gumbel", "descent"])
def test_a_search_with_the_heuristic_stops_before_its_end(harness: str) -> None:
    player = player_of(HEX8, seat(harness, model=None, simulations=3 * NODES_AT_ONCE), None, 1)
    states, seeds, asked = Position.start(HEX8).state[None], np.zeros(1, np.uint64), list[int]()

    def second() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Stopped):
        player.explain(states, seeds, second)
    ((decision, _),) = player.explain(states, seeds)
    assert decision.nodes > 2 * NODES_AT_ONCE


async def test_a_search_goes_on_for_those_who_still_wait() -> None:
    network, position = Network(), Position.start(HEX8)
    async with searcher(threads=1) as searching:
        player = network.player("gumbel", 64)
        gone, stays = (asyncio.create_task(searching.search(player, position)) for _ in "ab")
        await network.asked.wait()
        gone.cancel()
        decision, _ = await stays
    assert decision.nodes == 64
