"""How the heuristic's weights were found: `python -m ringrift.search.heuristic_fit [GAMES] [ROUNDS]`.

Gumbel search with the heuristic at the leaves plays against itself, with a random move now and then so that lopsided positions occur.
Every position is a row of features a seat and the final ranks. The weights are the maximum likelihood of those ranks under "seat a
ends before seat b with probability sigmoid(w . f_a - w . f_b)", by Newton's method with a small ridge. The next round plays with the
new weights. One set is fitted for two seats and one for more, on both small boards together; features are shares of the constants of
a config, so that they carry over to the large boards.
"""

import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.search import game_tree as gt
from ringrift.search.heuristic import FEATURE_NAMES, FEATURES, SCRATCH, features
from ringrift.search.outcome import final_rank
from ringrift.search.players import Boards, SearchOptions, TreePlayer
from ringrift.search.weights import heuristic_weights

Array = NDArray[np.float64]

SIMULATIONS: Final = 16
NOISE_PLIES: Final = 40
BATCH: Final = 128
RANDOM_MOVES: Final = 0.08
"""share of decisions made at random"""
KEPT: Final = 0.4
"""share of positions kept: neighbours say the same"""
RIDGE: Final = 1e-4
"""penalty a row on squared weights: enough to tell collinear features apart, too little to shrink any that matters"""
NEWTON_STEPS: Final = 12
PLIES_MAX: Final = 4000
GROUPS: Final = {"two": ("hex8_2p", "square8_2p"), "more": ("hex8_3p", "square8_3p", "hex8_4p", "square8_4p")}


def positions(config: Config, weights: NDArray[np.float32], games: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Features [rows, n, FEATURES] of positions of `games` games and the ranks [rows, n] in which those ended."""
    player = TreePlayer(config, gt.HEURISTIC, SearchOptions(simulations=SIMULATIONS, noise_plies=NOISE_PLIES), weights=weights)
    rng = np.random.default_rng(seed)
    rows: list[Array] = []
    ranks: list[NDArray[np.int64]] = []
    for first in range(0, games, BATCH):
        found, ends = _play(config, player, min(BATCH, games - first), seed * 1_000_003 + first, rng)
        rows += found
        ranks += ends
    return np.concatenate(rows), np.concatenate(ranks)


def _play(
    config: Config, player: TreePlayer, games: int, key: int, rng: np.random.Generator
) -> tuple[list[Array], list[NDArray[np.int64]]]:
    G, n = geometry(config), config.seats
    boards = Boards(config, games, PLIES_MAX)
    for slot in range(games):
        boards.start(slot, False)
    seen: list[list[Array]] = [[] for _ in range(games)]
    seeds = np.arange(key, key + games).astype(np.uint64)
    scratch = np.zeros(SCRATCH, np.float32)
    live = list(range(games))
    while live:
        states = boards.table.states[live]
        moves = []
        for slot, state, decision in zip(live, states, player.choose(states, seeds[live]), strict=True):
            if rng.random() < KEPT:
                features(G, state, scratch)
                seen[slot].append(scratch[: n * FEATURES].reshape(n, FEATURES).astype(np.float64))
            moves.append(int(rng.choice(decision.moves)) if rng.random() < RANDOM_MOVES else decision.move)
        boards.play(live, moves)
        live = [slot for slot in live if not boards.over(slot)]
    ends = [[final_rank(boards.table.states[slot], n, seat) for seat in range(1, n + 1)] for slot in range(games)]
    return (
        [np.array(rows) for rows in seen if rows],
        [np.tile(end, (len(rows), 1)) for rows, end in zip(seen, ends, strict=True) if rows],
    )


def ordered_pairs(rows: Array, ranks: NDArray[np.int64]) -> Array:
    """[pairs, FEATURES] difference of the features of the better seat and the worse, for all pairs of seats of all rows."""
    n = rows.shape[1]
    parts = [rows[ranks[:, a] < ranks[:, b], a] - rows[ranks[:, a] < ranks[:, b], b] for a in range(n) for b in range(n) if a != b]
    return np.concatenate(parts)


def fit(differences: Array) -> tuple[NDArray[np.float32], float]:
    """Weights of largest likelihood that every difference is positive, and the mean log loss."""
    w = np.zeros(FEATURES)
    count = len(differences)
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-differences @ w))
        gradient = differences.T @ (1.0 - p) / count - RIDGE * w
        curvature = (differences.T * (p * (1.0 - p))) @ differences / count + RIDGE * np.eye(FEATURES)
        w = w + np.linalg.solve(curvature, gradient)
    loss = float(np.logaddexp(0.0, -differences @ w).mean())
    return w.astype(np.float32), loss


def main(arguments: list[str]) -> None:
    """Fit all groups and print them as they stand in `ringrift.search.weights`."""
    games = int(arguments[0]) if arguments else 1024
    rounds = int(arguments[1]) if len(arguments) > 1 else 3
    for group, keys in GROUPS.items():
        weights = heuristic_weights(Config.parse(keys[0]))
        for turn in range(rounds):
            data = [positions(Config.parse(key), weights, games // len(keys), 7 * turn + index) for index, key in enumerate(keys)]
            differences = np.concatenate([ordered_pairs(rows, ranks) for rows, ranks in data])
            weights, loss = fit(differences)
            print(f"# {group} seats, round {turn + 1}: {len(differences)} pairs, log loss {loss:.4f}", flush=True)
        print(f'    "{group}": {{')
        for name, weight in zip(FEATURE_NAMES, weights.tolist(), strict=True):
            print(f'        "{name}": {weight:.3f},')
        print("    },", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
