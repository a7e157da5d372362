"""How fast the rules are: recorded moves a second of uniformly random play, the whole legal list
written at every ply."""

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypedDict

import numpy as np

from ringrift.rules.config import CONFIGS, LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.geometry import geometry
from ringrift.rules.layout import STATE_DTYPE, init_state
from ringrift.rules.position import warm_up
from ringrift.tools.playout import copy_many, play_games

RUNS_DEFAULT: Final = 5
SECONDS_DEFAULT: Final = 1.0  # a run
CALIBRATION_PLIES: Final = 20_000
COPIES: Final = 1_000_000
CACHE_LINE_WORDS: Final = 16


class BenchResult(TypedDict):
    """One measured number: the median of its runs."""

    name: str
    value: float
    unit: str
    runs: list[float]


def bench_rules(
    configs: Sequence[Config] = CONFIGS,
    seconds: float = SECONDS_DEFAULT,
    runs: int = RUNS_DEFAULT,
    threads: int | None = None,
) -> list[BenchResult]:
    """Measure each config on one core, on `threads` cores (default: all) if more than one, and the
    copying of a state."""
    warm_up()
    cores = threads or os.cpu_count() or 1
    results: list[BenchResult] = []
    for config in configs:
        plies = _plies_for(config, seconds)
        name = f"rules/{config.key}"
        results.append(
            _result(name, "moves/s/core", [_speed(config, plies, 1, run) for run in range(runs)])
        )
        if cores > 1:
            speeds = [_speed(config, plies, cores, run) for run in range(runs)]
            results.append(_result(f"{name}/{cores}_cores", "moves/s", speeds))
        results.append(_result(f"{name}/copy", "ns", [_copy_ns(config) for _ in range(runs)]))
    return results


def _result(name: str, unit: str, runs: list[float]) -> BenchResult:
    return {"name": name, "value": statistics.median(runs), "unit": unit, "runs": runs}


def _play(config: Config, plies: int, seed: int) -> int:
    G = geometry(config)
    state, out = (
        np.zeros(G.state_size + CACHE_LINE_WORDS, STATE_DTYPE),
        np.empty(G.moves_max, np.int64),
    )
    return play_games(G, state[: G.state_size], LPS_ROUNDS_DEFAULT, seed, plies, out)


def _plies_for(config: Config, seconds: float) -> int:
    """Plies that one core plays in about this time."""
    _play(config, 1, 1)
    start = time.perf_counter()
    played = _play(config, CALIBRATION_PLIES, 1)
    return max(1, int(played * seconds / (time.perf_counter() - start)))


def _speed(config: Config, plies: int, threads: int, run: int) -> float:
    """Plies a second of all threads together; each plays at least `plies`."""
    seeds = [1_000_000 * run + 1_000 * thread + 1 for thread in range(threads)]
    start = time.perf_counter()
    if threads == 1:
        played = _play(config, plies, seeds[0])
    else:
        with ThreadPoolExecutor(threads) as pool:
            played = sum(pool.map(lambda seed: _play(config, plies, seed), seeds))
    return played / (time.perf_counter() - start)


def _copy_ns(config: Config) -> float:
    """Nanoseconds to copy one state inside compiled code, both in the cache."""
    G = geometry(config)
    states = np.zeros((2, G.state_size), STATE_DTYPE)
    init_state(G, states[0], 0, LPS_ROUNDS_DEFAULT)
    copy_many(states, 1)
    start = time.perf_counter()
    copy_many(states, COPIES)
    return (time.perf_counter() - start) / COPIES * 1e9


def _print_results(results: Sequence[BenchResult]) -> None:
    for result in results:
        print(f"{result['name']:32} {result['value']:14,.1f} {result['unit']}")


if __name__ == "__main__":
    _print_results(
        bench_rules([Config(board, 2) for board in ("square8", "hex8", "square19", "hexagonal")])
    )
