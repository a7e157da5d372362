"""The fit of the heuristic's weights: `python -m ringrift.tools.heuristic_fit two|more [STEPS]
[SEED]`.

1. Regression. Gumbel search with the heuristic at the leaves plays against itself, with a random
   move now and then so that lopsided positions occur. Every position is a row of features per seat
   and the final ranks. The weights are the maximum likelihood of those ranks under "seat a ends
   before seat b with probability sigmoid(w . f_a - w . f_b)", by Newton's method with a small
   ridge. This gave the first weights, and the scale on which each feature varies.
2. Climbing. A better prediction is not always better play: five more regressions on other data
   predicted better and lost to the first, scoring 25 to 48 %. From there on strength decides, by
   simultaneous perturbation (SPSA, Spall 1992, as testers of chess engines use it). Each step
   perturbs all weights at once by plus or minus a share of their scale, lets the plus side play the
   minus side, and moves the weights along the perturbation by the score. The small boards take
   turns; half of the steps play greedily, half with a small search.

One set of weights serves two seats, another one more seats. Features are shares of the constants of
a config, so that they carry over to large boards."""

import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.rules.outcome import final_rank
from ringrift.search import values as va
from ringrift.search.boards import Boards
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.harness import SHARP
from ringrift.search.heuristic import FEATURE_NAMES, FEATURES, SCRATCH, features, heuristic_weights
from ringrift.search.lockstep import LockstepPlayer
from ringrift.search.players import Player

Array = NDArray[np.float64]
Weights = NDArray[np.float32]

GROUPS: Final = {
    "two": ("hex8_2p", "square8_2p"),
    "more": ("hex8_3p", "square8_4p", "square8_3p", "hex8_4p"),
}
PLIES_MAX: Final = 4000
# Regression.
SIMULATIONS: Final = 16
RANDOM_MOVES: Final = 0.08
"""Share of decisions made at random."""
KEPT: Final = 0.4
"""Share of positions kept: neighbouring positions carry the same information."""
RIDGE: Final = 1e-4
"""Penalty per row on squared weights: it separates collinear features without shrinking any that
matters."""
NEWTON_STEPS: Final = 12
SCALE_GAMES: Final = 128
REGRESSION_GAMES: Final = 512
"""Of each config."""
# Climbing.
GAMES_PER_STEP: Final = 120  # divisible by 2, 3 and 4 seats
SEARCHED_SIMULATIONS: Final = 8
SEARCHED_NOISE_PLIES: Final = 30
PERTURBATION: Final = 0.15
"""Logits by which one perturbed feature typically shifts a comparison of two seats."""
DEVIATION_MIN: Final = 0.3
"""Features that vary less are perturbed as if they varied by this much."""
RATE_FIRST, RATE_LAST = 0.03, 0.01
"""Share of the perturbation moved for a score one standard error from even, at the first and the
last step. With 0.12 noise exceeded the signal (400 steps: 45 % against the first weights)."""
SURPRISE_MAX: Final = 3.0
REPORT_STEPS: Final = 50


def positions(
    config: Config, weights: Weights, games: int, seed: int
) -> tuple[Array, NDArray[np.int64]]:
    """Features [rows, n, FEATURES] of positions of `games` games, and the final ranks [rows, n] of
    those games."""
    g, n = geometry(config), config.seats
    options = GumbelSearch(simulations=SIMULATIONS)
    player = LockstepPlayer(config, va.HEURISTIC, options, weights=weights)
    rng = np.random.default_rng(seed)
    boards = _started(config, games)
    seen: list[list[Array]] = [[] for _ in range(games)]
    seeds = np.arange(seed * games, (seed + 1) * games).astype(np.uint64)
    scratch = np.zeros(SCRATCH, np.float32)
    live = list(range(games))
    while live:
        states = boards.table.states[live]
        moves, decisions = [], player.choose(states, seeds[live])
        for slot, state, decision in zip(live, states, decisions, strict=True):
            if rng.random() < KEPT:
                features(g, state, scratch)
                seen[slot].append(scratch[: n * FEATURES].reshape(n, FEATURES).astype(np.float64))
            at_random = rng.random() < RANDOM_MOVES
            moves.append(int(rng.choice(decision.moves)) if at_random else decision.move)
        boards.play(live, moves)
        live = [slot for slot in live if not boards.over(slot)]
    ends = [
        [final_rank(boards.table.states[slot], n, seat) for seat in range(1, n + 1)]
        for slot in range(games)
    ]
    rows = np.concatenate([np.array(found) for found in seen if found])
    return rows, np.repeat(np.array(ends), [len(found) for found in seen], axis=0)


def _started(config: Config, games: int) -> Boards:
    """Boards on which `games` games have started."""
    boards = Boards(config, games, PLIES_MAX)
    for slot in range(games):
        boards.start(slot, False)
    return boards


def ordered_pairs(rows: Array, ranks: NDArray[np.int64]) -> Array:
    """The features of the better seat minus those of the worse [pairs, FEATURES], for all pairs of
    seats of all rows."""
    seats = range(rows.shape[1])
    pairs = [(a, b, ranks[:, a] < ranks[:, b]) for a in seats for b in seats if a != b]
    return np.concatenate([rows[better, a] - rows[better, b] for a, b, better in pairs])


def fit(differences: Array) -> tuple[Weights, float]:
    """The weights that maximise the likelihood that every difference is positive, and the mean log
    loss."""
    w = np.zeros(FEATURES)
    count = len(differences)
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-differences @ w))
        gradient = differences.T @ (1.0 - p) / count - RIDGE * w
        curvature = (differences.T * (p * (1.0 - p))) @ differences / count
        curvature += RIDGE * np.eye(FEATURES)
        w = w + np.linalg.solve(curvature, gradient)
    loss = float(np.logaddexp(0.0, -differences @ w).mean())
    return w.astype(np.float32), loss


def duel(config: Config, plus: Player, minus: Player, games: int, seed: int) -> float:
    """Mean placement score 0..1 of `plus`, which takes each seat equally often, against `minus` at
    the other seats."""
    n = config.seats
    boards = _started(config, games)
    seeds = np.arange(seed * games, (seed + 1) * games).astype(np.uint64)
    live = list(range(games))
    while live:
        turn = boards.table.states[live, la.TURN]
        mine = [slot % n + 1 == seat for slot, seat in zip(live, turn.tolist(), strict=True)]
        for player, side in ((plus, True), (minus, False)):
            slots = [slot for slot, own in zip(live, mine, strict=True) if own == side]
            if slots:
                decisions = player.choose(boards.table.states[slots], seeds[slots])
                boards.play(slots, [decision.move for decision in decisions])
        live = [slot for slot in live if not boards.over(slot)]
    ranks = [final_rank(boards.table.states[slot], n, slot % n + 1) for slot in range(games)]
    return float(np.mean([(n - rank) / (n - 1) for rank in ranks]))


def climb(group: str, weights: Weights, steps: int, seed: int) -> Weights:
    """Improve `weights` by SPSA."""
    configs = [Config.parse(key) for key in GROUPS[group]]
    rows, ranks = positions(configs[0], weights, SCALE_GAMES, seed)
    scale = PERTURBATION / np.maximum(ordered_pairs(rows, ranks).std(axis=0), DEVIATION_MIN)
    greedy = GumbelSearch(simulations=0, lookahead=SHARP)
    searched = GumbelSearch(simulations=SEARCHED_SIMULATIONS, noise_plies=SEARCHED_NOISE_PLIES)
    rng = np.random.default_rng(seed)
    w = weights.astype(np.float64)
    trail = []
    for step in range(steps):
        config = configs[step // 2 % len(configs)]
        options = searched if step % 2 else greedy
        sign = rng.choice((-1.0, 1.0), FEATURES)
        perturbed = [(w + side * scale * sign).astype(np.float32) for side in (1, -1)]
        plus, minus = (
            LockstepPlayer(config, va.HEURISTIC, options, weights=each) for each in perturbed
        )
        score = duel(config, plus, minus, GAMES_PER_STEP, seed * steps + step)
        errors = (score - 0.5) * 2.0 * np.sqrt(GAMES_PER_STEP)
        surprise = np.clip(errors, -SURPRISE_MAX, SURPRISE_MAX)
        rate = RATE_FIRST + (RATE_LAST - RATE_FIRST) * step / steps
        w += rate * surprise * scale * sign
        trail.append(w.copy())
        if (step + 1) % REPORT_STEPS == 0:
            print(f"# step {step + 1}", flush=True)
            show(group, _mean_of_last_half(trail))
    return _mean_of_last_half(trail)


def _mean_of_last_half(trail: list[Array]) -> Weights:
    """The average of the last iterates, which varies less than the last one."""
    mean: Weights = np.mean(trail[len(trail) // 2 :], axis=0).astype(np.float32)
    return mean


def show(group: str, weights: Array | Weights) -> None:
    """Print one column of `ringrift.search.weights`."""
    print(f"# {group}")
    for name, weight in zip(FEATURE_NAMES, weights.tolist(), strict=True):
        print(f"{name:20} {weight:.3f}", flush=True)


def main(arguments: list[str]) -> None:
    """Climb from the current weights; with 0 steps print a regression on their games instead."""
    group = arguments[0]
    steps = int(arguments[1]) if len(arguments) > 1 else 1000
    seed = int(arguments[2]) if len(arguments) > 2 else 1
    start = heuristic_weights(Config.parse(GROUPS[group][0]))
    if steps:
        show(group, climb(group, start, steps, seed))
        return
    differences = []
    for index, key in enumerate(GROUPS[group]):
        rows, ranks = positions(Config.parse(key), start, REGRESSION_GAMES, seed + index)
        differences.append(ordered_pairs(rows, ranks))
    weights, loss = fit(np.concatenate(differences))
    print(f"# log loss {loss:.4f}")
    show(group, weights)


if __name__ == "__main__":
    main(sys.argv[1:])
