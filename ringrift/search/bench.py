"""How fast the search is by itself, on one core, without a network: `ringrift bench search`."""

import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ringrift.rules.config import Config
from ringrift.search import game_tree as gt
from ringrift.search.players import Boards, SearchOptions, TreePlayer

CONFIGS: Final = ("square8_2p", "hex8_2p", "square8_4p", "square19_2p", "hexagonal_2p")
POSITIONS: Final = 32
SIMULATIONS: Final = 64
RUN_SECONDS: Final = 0.5
DECISIONS_APART: Final = 2
"""position i is 2 i decisions into a random game, so that openings do not decide the result"""
SEED: Final = 7


def bench_search(configs: Sequence[str] = CONFIGS, runs: int = 5) -> list[dict[str, Any]]:
    """Simulations a second on one core, with no evaluation at the leaves and with the heuristic.

    Items `{"name": "search/<config>/null", "value": median, "unit": "simulations/s/core", "runs": [...]}`."""
    results = []
    for key in configs:
        config = Config.parse(key)
        boards = _positions(config)
        states = np.array([boards.table.states[slot] for slot in range(POSITIONS) if not boards.over(slot)])
        for name, evaluator in (("null", gt.NULL), ("heuristic", gt.HEURISTIC)):
            player = TreePlayer(config, evaluator, SearchOptions(simulations=SIMULATIONS))
            rates = [_rate(player, states) for _ in range(runs + 1)][1:]  # the first run warms up
            results.append(
                {
                    "name": f"search/{key}/{name}",
                    "value": statistics.median(rates),
                    "unit": "simulations/s/core",
                    "runs": rates,
                }
            )
    return results


def _rate(player: TreePlayer, states: np.ndarray[Any, np.dtype[np.int32]]) -> float:
    seeds = np.arange(len(states)).astype(np.uint64)
    simulations = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < RUN_SECONDS:
        player.choose(states, seeds)
        simulations += len(states) * player.options.simulations
    return simulations / spent


def _positions(config: Config) -> Boards:
    """Random games, one in each slot, broken off further and further in."""
    mover = TreePlayer(config, gt.NULL, SearchOptions(simulations=0))
    boards = Boards(config, POSITIONS, 4000)
    for slot in range(POSITIONS):
        boards.start(slot, False)
    for step in range(POSITIONS * DECISIONS_APART):
        slots = [slot for slot in range(POSITIONS) if slot * DECISIONS_APART > step and not boards.over(slot)]
        if not slots:
            break
        decisions = mover.choose(boards.table.states[slots], np.array(slots, np.uint64) + np.uint64(SEED))
        boards.play(slots, [decision.move for decision in decisions])
    return boards
