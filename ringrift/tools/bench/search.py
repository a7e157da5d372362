"""Speed of the search on one core without a network, and of the network by itself.

The networks have fresh weights: speed does not depend on what they have learned.
"""

import time
from functools import partial

import numpy as np
import torch

from ringrift.events.settings import Settings
from ringrift.nets.architectures import build
from ringrift.nets.evaluator import Evaluator
from ringrift.rules.config import Config
from ringrift.rules.position import Position
from ringrift.search import values
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.boards import Boards
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.lockstep import LockstepPlayer
from ringrift.search.players import Evaluate
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Ratio, Scope

CONFIGS = ("square8_2p", "hex8_2p", "square8_4p", "square19_2p", "hexagonal_2p")
POSITIONS = 32
SIMULATIONS = 64
RUN_SECONDS = 0.3
"""Each of these measurements is short, whatever the length of a run."""
DECISIONS_APART = 2
"""Position i is 2 i decisions into a random game, so that openings do not decide the result."""
SEED = 7
ARCHITECTURE = Settings().training.architecture
NETWORK_CONFIGS = ("square8_2p",)
BATCHES = (1, 16, 128, 1024)
NO_MODEL = "0" * 64
"""Digest of a network that is in no store."""

Batch = tuple[States, Codes, Codes]


async def benchmarks(scope: Scope) -> Benchmarks:
    """Simulations per second with three evaluations: none, the heuristic, and a network that costs
    nothing; then evaluations per second of real networks by batch size, and each as a multiple of
    that of single positions.

    The free network is handed every leaf and answers zeros, so its ratio to `null` is the price of
    asking."""
    seconds = min(RUN_SECONDS, scope.seconds)
    for key in scope.configs or CONFIGS:
        config = Config.parse(key)
        states, _ = positions(config)
        for name, evaluator, evaluate in (
            ("null", values.NULL, None),
            ("heuristic", values.HEURISTIC, None),
            ("null-network", values.NETWORK, _free(config.seats)),
        ):
            options = GumbelSearch(simulations=SIMULATIONS)
            player = LockstepPlayer(config, evaluator, options, evaluate=evaluate)
            figure = f"search/{key}/{name}"
            run = partial(_rate, player, states, seconds)
            yield Benchmark(figure, "simulations/s/core", run, warm_up=True)
            if name != "null":
                yield Ratio(figure, f"search/{key}/null")
    for key in scope.configs or NETWORK_CONFIGS:
        config = Config.parse(key)
        for device in devices():
            network = fresh_network(config, device)
            prefix = f"search/{key}/network/{ARCHITECTURE}/{device}"
            for size in BATCHES:
                run = partial(evaluations, network, batch_of(config, size), seconds)
                name = f"{prefix}/batch-{size}"
                yield Benchmark(name, "evaluations/s", run, warm_up=True)
                if size > 1:
                    yield Ratio(name, f"{prefix}/batch-1")


def _free(seats: int) -> Evaluate:
    """A network that gives every move and every seat the same value, at once."""

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.zeros(len(codes), np.float32), np.zeros((len(states), seats), np.float32)

    return evaluate


def _rate(player: LockstepPlayer, states: States, seconds: float) -> float:
    seeds = np.arange(len(states)).astype(np.uint64)
    simulations = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        player.choose(states, seeds)
        simulations += len(states) * SIMULATIONS
    return simulations / spent


def positions(config: Config) -> tuple[States, list[Codes]]:
    """Positions of random games at growing depths, none of them final, and their legal moves."""
    boards = _random_games(config)
    open_slots = [slot for slot in range(POSITIONS) if not boards.over(slot)]
    states = boards.table.states[open_slots]
    return states, [Position(config, state.copy()).legal_codes() for state in states]


def _random_games(config: Config) -> Boards:
    """One random game in each slot, stopped after `DECISIONS_APART` times the slot decisions."""
    mover = LockstepPlayer(config, values.NULL, GumbelSearch(simulations=0))
    boards = Boards(config, POSITIONS, 4000)
    for slot in range(POSITIONS):
        boards.start(slot, False)
    for step in range(POSITIONS * DECISIONS_APART):
        later = range(step // DECISIONS_APART + 1, POSITIONS)
        slots = [slot for slot in later if not boards.over(slot)]
        if not slots:
            break
        seeds = np.array(slots, np.uint64) + np.uint64(SEED)
        decisions = mover.choose(boards.table.states[slots], seeds)
        boards.play(slots, [decision.move for decision in decisions])
    return boards


def devices() -> tuple[str, ...]:
    """The CPU and, if there is one, the GPU."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def fresh_network(config: Config, device: str) -> Evaluator:
    """A network of the default architecture with fresh weights."""
    return Evaluator(config, build(ARCHITECTURE, hex_board=config.shape.hex), device=device)


def batch_of(config: Config, size: int) -> Batch:
    """`size` positions of random games, repeated as often as necessary, with their legal moves."""
    states, lists = positions(config)
    chosen = np.arange(size) % len(states)
    moves = [lists[i] for i in chosen]
    offsets = np.zeros(size + 1, np.int64)
    np.cumsum([len(each) for each in moves], out=offsets[1:])
    return states[chosen], np.concatenate(moves), offsets


def evaluations(network: Evaluator, batch: Batch, seconds: float) -> float:
    """Evaluations a second of a batch."""
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or not done:
        network.evaluate(*batch)
        done += len(batch[0])
    return done / spent
