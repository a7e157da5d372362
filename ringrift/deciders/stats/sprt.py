"""Sequential probability ratio test: is the candidate better by elo1, or no better than elo0?

The statistic is the generalized log-likelihood ratio of Fishtest (M. Van den Bergh, "The
generalized maximum likelihood ratio for the expectation value of a distribution" and "Normalized
Elo", support material of the Stockfish testing framework). Samples must be independent: a single
game, or better a pair of games from one start with seats swapped, since these two are not. With
three or four seats a sample is the candidate's mean placement score over all seat rotations of one
start.

`results` counts samples by score: k equally spaced scores from 0 (all lost) to 1 (all won), so
trinomial [L, D, W] and pentanomial [LL, LD+DL, LW+DD+WL, DW+WD, WW] are k = 3 and 5. A count of
zero is taken as 0.001."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ringrift.events.facts import Z_95

Model = Literal["logistic", "normalized"]
State = Literal["", "accepted", "rejected"]

ZERO_COUNT = 1e-3
"""count of an empty class, so that every score has a probability under either hypothesis
(Fishtest's choice)"""
NELO_PER_T = 800.0 / math.log(10.0)
"""Normalized Elo of one unit of (mean score - 1/2) / (deviation of one game's score):
347.4355855..."""
SCORE_MARGIN = 1e-3
"""distance from 0 and 1 at which the Elo of a score is cut off, at about 1200 points"""
FIXED_POINT_ITERATIONS_MAX = 10
FIXED_POINT_TOLERANCE = 1e-9
GAMES_PER_SAMPLE = {3: 1, 5: 2}


class SprtError(ValueError):
    """Results or limits that are no test; the message says which, and what to give instead."""


@dataclass(frozen=True, slots=True)
class Sprt:
    """A test of the hypothesis that the Elo difference is elo1 (accept) against elo0 (reject).

    `alpha` is the probability to accept at elo0, `beta` that to reject at elo1. `model` is the
    measure of Elo: mean score (logistic), or standard deviations of the score of one game
    (normalized), with which the length of a test hardly depends on the share of draws."""

    elo0: float
    elo1: float
    alpha: float = 0.05
    beta: float = 0.05
    model: Model = "logistic"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.elo0) and math.isfinite(self.elo1) and self.elo0 < self.elo1):
            raise SprtError(
                f"elo0 = {self.elo0}, elo1 = {self.elo1}: give finite values with elo0 below elo1"
            )
        if not (0.0 < self.alpha < 1.0 and 0.0 < self.beta < 1.0 and self.alpha + self.beta < 1.0):
            raise SprtError(
                f"alpha = {self.alpha}, beta = {self.beta}: give values above 0 with a sum below 1"
            )
        if self.model not in ("logistic", "normalized"):
            raise SprtError(f"model {self.model!r}: give logistic or normalized")

    @property
    def lower(self) -> float:
        """At or below this log-likelihood ratio elo1 is rejected (Wald 1945)."""
        return math.log(self.beta / (1.0 - self.alpha))

    @property
    def upper(self) -> float:
        """At or above this log-likelihood ratio elo1 is accepted."""
        return math.log((1.0 - self.beta) / self.alpha)

    def state(self, llr: float) -> State:
        """The verdict at a log-likelihood ratio; empty while the test is open."""
        if llr >= self.upper:
            return "accepted"
        return "rejected" if llr <= self.lower else ""

    def llr(self, results: Sequence[float], games_per_sample: int | None = None) -> float:
        """Log-likelihood ratio of elo1 to elo0. `games_per_sample` (normalized only) is 1 for k = 3
        and 2 for k = 5."""
        total, pdf = distribution(results)
        elos = (self.elo0, self.elo1)
        if self.model == "logistic":
            pdf0, pdf1 = (_most_likely_with_mean(pdf, score_of_elo(elo)) for elo in elos)
        else:
            scale = math.sqrt(_games_per_sample(results, games_per_sample)) / NELO_PER_T
            pdf0, pdf1 = (_most_likely_with_t(pdf, elo * scale) for elo in elos)
        ratio = math.fsum(
            p * math.log(p1 / p0) for (_, p), (_, p0), (_, p1) in zip(pdf, pdf0, pdf1, strict=True)
        )
        return total * ratio


@dataclass(frozen=True, slots=True)
class SprtResult:
    """State of a test. `elo` is the logistic Elo of the mean score, `elo_95_half_width` half of its
    95 % interval, `los` the probability that the candidate is stronger (mean score above 1/2)."""

    llr: float
    lower: float
    upper: float
    state: State
    elo: float
    elo_95_half_width: float
    los: float


def evaluate(
    test: Sprt, results: Sequence[float], games_per_sample: int | None = None
) -> SprtResult:
    """The verdict of `test` on `results`, with an estimate of Elo."""
    llr = test.llr(results, games_per_sample)
    return SprtResult(llr, test.lower, test.upper, test.state(llr), *elo_estimate(results))


def elo_estimate(results: Sequence[float]) -> tuple[float, float, float]:
    """(Elo of the mean score, half width of its 95 % interval, likelihood of superiority), by the
    normal approximation."""
    total, pdf = distribution(results)
    mean, variance = moments(pdf)
    error = math.sqrt(variance / total)
    half_width = (elo_of_score(mean + Z_95 * error) - elo_of_score(mean - Z_95 * error)) / 2.0
    return elo_of_score(mean), half_width, normal_cdf((mean - 0.5) / error)


Pdf = list[tuple[float, float]]
"""Pairs (score, probability), scores ascending."""


def distribution(results: Sequence[float]) -> tuple[float, Pdf]:
    """Number of samples and the observed distribution over scores 0 to 1, empty classes counted as
    `ZERO_COUNT`."""
    if len(results) < 2:
        raise SprtError(f"{len(results)} results: give counts by score, worst first, such as L D W")
    for count in results:
        if not (math.isfinite(count) and count >= 0):
            raise SprtError(f"count {count} in results: give finite numbers of at least 0")
    if not any(results):
        raise SprtError("all counts in results are 0; play some games first")
    counts = [count if count > 0 else ZERO_COUNT for count in results]
    total = math.fsum(counts)
    return total, [(i / (len(counts) - 1), count / total) for i, count in enumerate(counts)]


def moments(pdf: Pdf) -> tuple[float, float]:
    """Mean and variance."""
    mean = math.fsum(p * a for a, p in pdf)
    return mean, math.fsum(p * (a - mean) ** 2 for a, p in pdf)


def score_of_elo(elo: float) -> float:
    """Expected score at a logistic Elo difference: 1 / (1 + 10^(-elo/400))."""
    return float(1.0 / (1.0 + 10.0 ** (-elo / 400.0)))


def elo_of_score(score: float) -> float:
    """Logistic Elo difference of an expected score, cut off `SCORE_MARGIN` away from 0 and 1."""
    score = min(max(score, SCORE_MARGIN), 1.0 - SCORE_MARGIN)
    return -400.0 * math.log10(1.0 / score - 1.0)


def normal_cdf(x: float) -> float:
    """Distribution function of the standard normal."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Root of a monotonic `function` in [low, high] to the last bit, or the end it is beyond."""
    rising = function(high) > function(low)
    while True:
        middle = low + (high - low) / 2.0
        if not low < middle < high:
            return middle
        if (function(middle) < 0.0) == rising:
            low = middle
        else:
            high = middle


def _most_likely_with_mean(pdf: Pdf, mean: float) -> Pdf:
    """The distribution on the same scores with this mean that makes the observed one most likely.

    p_i / (1 + x (a_i - mean)) with x the root of sum p_i (a_i - mean) / (1 + x (a_i - mean)) = 0,
    which decreases in x."""
    low, high = min(a for a, _ in pdf), max(a for a, _ in pdf)
    if not low < mean < high:
        raise SprtError(f"no results have a mean score of {mean}; move elo0 and elo1 closer to 0")

    def slope(x: float) -> float:
        return math.fsum(p * (a - mean) / (1.0 + x * (a - mean)) for a, p in pdf)

    x_low, x_high = -1.0 / (high - mean), 1.0 / (mean - low)
    margin = 1e-12 * (x_high - x_low)
    x = bisect(slope, x_low + margin, x_high - margin)
    return [(a, p / (1.0 + x * (a - mean))) for a, p in pdf]


def _most_likely_with_t(pdf: Pdf, t: float) -> Pdf:
    """The same with (mean - 1/2) / deviation = t: fixed-point iterations of Van den Bergh's
    normalized Elo, from the uniform distribution."""
    guess: Pdf = [(a, 1.0 / len(pdf)) for a, _ in pdf]
    for _ in range(FIXED_POINT_ITERATIONS_MAX):
        mean, variance = moments(guess)
        deviation = math.sqrt(variance)
        shifted = [
            (a - 0.5 - t * deviation * (1.0 + ((mean - a) / deviation) ** 2) / 2.0, p)
            for a, p in pdf
        ]
        solved = [
            (a, p) for (a, _), (_, p) in zip(pdf, _most_likely_with_mean(shifted, 0.0), strict=True)
        ]
        change = max(abs(new - old) for (_, new), (_, old) in zip(solved, guess, strict=True))
        guess = solved
        if change < FIXED_POINT_TOLERANCE:
            break
    return guess


def _games_per_sample(results: Sequence[float], given: int | None) -> int:
    games, classes = given or GAMES_PER_SAMPLE.get(len(results)), len(results)
    if games is None:
        raise SprtError(f"{classes} classes of results: give the games of a sample, or 3 or 5")
    return games
