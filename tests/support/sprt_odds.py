"""How a gate behaves: its pass rate and length at a given true strength, for games won or lost.

Computed exactly, by stepping the probability of every number of wins from game to game, rather than
by drawing games: no seed, no error bars."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ringrift.deciders.stats.sprt import Sprt, score_of_elo

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GateOdds:
    """`pass_rate` and `undecided` (at the cap) as probabilities; mean and 95th percentile of the
    number of games played."""

    pass_rate: float
    mean_games: float
    p95_games: int
    undecided: float


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """For n = 0 .. games_max: at `reject_at[n]` wins or fewer the test rejects, at `accept_at[n]`
    or more it accepts."""

    reject_at: IntArray
    accept_at: IntArray


def stopping_rule(test: Sprt, games_max: int) -> StoppingRule:
    """The bounds of `test` on trinomial results without draws, checked after every game.

    The log-likelihood ratio rises with the wins, and one more game moves each bound by at most one
    win, so both are followed."""
    reject_at = np.full(games_max + 1, -1, dtype=np.int64)
    accept_at = np.ones(games_max + 1, dtype=np.int64)
    low, high = -1, 1
    for games in range(1, games_max + 1):
        while (
            low + 1 <= games and test.state(test.llr([games - low - 1, 0, low + 1])) == "rejected"
        ):
            low += 1
        high = max(high, low + 1)
        while high <= games and test.state(test.llr([games - high, 0, high])) != "accepted":
            high += 1
        reject_at[games], accept_at[games] = low, high
    return StoppingRule(reject_at=reject_at, accept_at=accept_at)


def gate_odds(rule: StoppingRule, true_elo: float) -> GateOdds:
    """Odds of a sequential gate against a candidate `true_elo` (logistic) stronger; at the cap it
    stays undecided."""
    win = score_of_elo(true_elo)
    games_max = len(rule.accept_at) - 1
    going = np.zeros(games_max + 2)
    going[0] = 1.0
    accepted, mean_games, p95_games = 0.0, 0.0, games_max
    for games in range(1, games_max + 1):
        mean_games += float(going.sum())
        going[1:] = going[1:] * (1.0 - win) + going[:-1] * win
        going[0] *= 1.0 - win
        accepted += float(going[rule.accept_at[games] :].sum())
        going[rule.accept_at[games] :] = 0.0
        going[: rule.reject_at[games] + 1] = 0.0
        if p95_games == games_max and going.sum() <= 0.05:
            p95_games = games
    return GateOdds(
        pass_rate=accepted, mean_games=mean_games, p95_games=p95_games, undecided=float(going.sum())
    )


def fixed_gate_pass_rate(true_elo: float, games: int, score_min: float) -> float:
    """Probability that a candidate `true_elo` stronger scores at least `score_min` in a fixed
    number of games."""
    win = score_of_elo(true_elo)
    needed = math.ceil(score_min * games - 1e-9)
    log_terms = (
        math.lgamma(games + 1)
        - math.lgamma(wins + 1)
        - math.lgamma(games - wins + 1)
        + wins * math.log(win)
        + (games - wins) * math.log1p(-win)
        for wins in range(needed, games + 1)
    )
    return math.fsum(math.exp(term) for term in log_terms)
