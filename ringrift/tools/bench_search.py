"""How fast the search is by itself, on one core, without a network: `ringrift bench search`."""

import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ringrift.rules.config import Config
from ringrift.rules.position import Position
from ringrift.search import game_tree as gt
from ringrift.search.gumbel import Floats
from ringrift.search.players import Boards, Codes, Evaluate, SearchOptions, States, TreePlayer

CONFIGS: Final = ("square8_2p", "hex8_2p", "square8_4p", "square19_2p", "hexagonal_2p")
POSITIONS: Final = 32
SIMULATIONS: Final = 64
RUN_SECONDS: Final = 0.3
DECISIONS_APART: Final = 2
"""position i is 2 i decisions into a random game, so that openings do not decide the result"""
SEED: Final = 7


def bench_search(configs: Sequence[str] = CONFIGS, runs: int = 5) -> list[dict[str, Any]]:
    """Simulations a second on one core: without evaluation, with the heuristic, and with a network
    that costs nothing.

    The last one hands every leaf out and takes zeros back, so what it loses against the first is
    the price of asking. Items `{"name": "search/<config>/null", "value": median, "unit":
    "simulations/s/core", "runs": [...]}`, and the ratio of each to the first, named
    `.../heuristic:null`, in units of "x"."""
    results = []
    for key in configs:
        config = Config.parse(key)
        states, _ = positions(config)
        base: list[float] = []
        for name, evaluator in (
            ("null", gt.NULL),
            ("heuristic", gt.HEURISTIC),
            ("null-network", gt.NETWORK),
        ):
            evaluate = _costs_nothing(config.seats) if evaluator == gt.NETWORK else None
            player = TreePlayer(
                config, evaluator, SearchOptions(simulations=SIMULATIONS), evaluate=evaluate
            )
            rates = [_rate(player, states) for _ in range(runs + 1)][1:]  # the first run warms up
            results.append(_item(f"search/{key}/{name}", "simulations/s/core", rates))
            if base:
                ratios = [rate / null for rate, null in zip(rates, base, strict=True)]
                results.append(_item(f"search/{key}/{name}:null", "x", ratios))
            base = base or rates
    return results


def _item(name: str, unit: str, runs: list[float]) -> dict[str, Any]:
    return {"name": name, "value": statistics.median(runs), "unit": unit, "runs": runs}


def _costs_nothing(seats: int) -> Evaluate:
    """A network that finds every move and every seat equal, at once."""

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.zeros(len(codes), np.float32), np.zeros((len(states), seats), np.float32)

    return evaluate


def _rate(player: TreePlayer, states: States) -> float:
    seeds = np.arange(len(states)).astype(np.uint64)
    simulations = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < RUN_SECONDS:
        player.choose(states, seeds)
        simulations += len(states) * player.options.simulations
    return simulations / spent


def positions(config: Config) -> tuple[States, list[Codes]]:
    """Positions of random games, further and further in, none of them over, and the legal moves of
    each."""
    boards = _random_games(config)
    states = np.array(
        [boards.table.states[slot] for slot in range(POSITIONS) if not boards.over(slot)]
    )
    return states, [Position(config, state.copy()).legal_codes() for state in states]


def _random_games(config: Config) -> Boards:
    """Random games, one in each slot, broken off further and further in."""
    mover = TreePlayer(config, gt.NULL, SearchOptions(simulations=0))
    boards = Boards(config, POSITIONS, 4000)
    for slot in range(POSITIONS):
        boards.start(slot, False)
    for step in range(POSITIONS * DECISIONS_APART):
        slots = [
            slot
            for slot in range(POSITIONS)
            if slot * DECISIONS_APART > step and not boards.over(slot)
        ]
        if not slots:
            break
        decisions = mover.choose(
            boards.table.states[slots], np.array(slots, np.uint64) + np.uint64(SEED)
        )
        boards.play(slots, [decision.move for decision in decisions])
    return boards
