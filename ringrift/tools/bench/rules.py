"""Speed of the rules: moves of uniformly random play, with the complete legal list at every ply."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np

from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.geometry import geometry
from ringrift.rules.layout import STATE_DTYPE, init_state
from ringrift.rules.position import warm_up
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.playout import copy_many, play_games

CONFIGS = ("square8_2p", "square19_2p", "hex8_2p", "hexagonal_2p")
CALIBRATION_PLIES = 20_000
COPIES = 1_000_000
CACHE_LINE_WORDS = 16


async def benchmarks(scope: Scope) -> Benchmarks:
    """Moves on one core, moves on all cores if there are several, and the copying of a state."""
    warm_up()
    cores = os.cpu_count() or 1
    for key in scope.configs or CONFIGS:
        config = Config.parse(key)
        plies = _plies_for(config, scope.seconds)
        name = f"rules/{key}"
        yield Benchmark(name, "moves/s/core", partial(_speed, config, plies, 1, count()))
        if cores > 1:
            run = partial(_speed, config, plies, cores, count())
            yield Benchmark(f"{name}/{cores}_cores", "moves/s", run)
        yield Benchmark(f"{name}/copy", "ns", partial(_copy_ns, config))


def _play(config: Config, plies: int, seed: int) -> int:
    board = geometry(config)
    # a cache line of room keeps the states of two threads from sharing one
    state = np.zeros(board.state_size + CACHE_LINE_WORDS, STATE_DTYPE)[: board.state_size]
    out = np.empty(board.moves_max, np.int64)
    return play_games(board, state, LPS_ROUNDS_DEFAULT, seed, plies, out)


def _plies_for(config: Config, seconds: float) -> int:
    """The number of plies that one core plays in about `seconds`."""
    _play(config, 1, 1)
    start = time.perf_counter()
    played = _play(config, CALIBRATION_PLIES, 1)
    return max(1, int(played * seconds / (time.perf_counter() - start)))


def _speed(config: Config, plies: int, threads: int, runs: Iterator[int]) -> float:
    """Plies per second of all threads together; each plays at least `plies`."""
    first = 1_000_000 * next(runs) + 1
    seeds = [first + 1_000 * thread for thread in range(threads)]
    start = time.perf_counter()
    if threads == 1:
        played = _play(config, plies, first)
    else:
        with ThreadPoolExecutor(threads) as pool:
            played = sum(pool.map(partial(_play, config, plies), seeds))
    return played / (time.perf_counter() - start)


def _copy_ns(config: Config) -> float:
    """Nanoseconds to copy one state in compiled code, both states in the cache."""
    board = geometry(config)
    states = np.zeros((2, board.state_size), STATE_DTYPE)
    init_state(board, states[0], 0, LPS_ROUNDS_DEFAULT)
    copy_many(states, 1)
    start = time.perf_counter()
    copy_many(states, COPIES)
    return (time.perf_counter() - start) / COPIES * 1e9
