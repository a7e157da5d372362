"""Elo after a sequential test, corrected for the bias of stopping at a bound.

A test that stops early at "accepted" overestimates the Elo. The log-likelihood ratio is modelled as
a Brownian motion between the two bounds. Each true Elo then gives the probability of an outcome
worse than the observed one: a faster rejection, a slower acceptance, or a lower ratio at the same
time. The Elo where it is one half is the median-unbiased estimate, and other probabilities give an
interval (Siegmund, "Sequential Analysis", 1985; Fishtest does the same)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ringrift.deciders.stats.sprt import (
    NELO_PER_T,
    Pdf,
    Sprt,
    bisect,
    distribution,
    moments,
    normal_cdf,
    score_of_elo,
)

ELO_LIMIT = 1000.0
"""Limit of the estimates: beyond it all results look the same."""
IMAGES = 12
SERIES_TERMS = 40
SERIES_TIME_MIN = 1.0
"""Time, in squared widths of the corridor per variance, from which the sine series is used and
below which images are."""


@dataclass(frozen=True, slots=True)
class UnbiasedElo:
    """Median-unbiased logistic Elo and the interval that covers the true one with 95 %."""

    elo: float
    low: float
    high: float


def unbiased_elo(test: Sprt, results: Sequence[float]) -> UnbiasedElo:
    """Estimate from the outcome of `test` on trinomial or pentanomial `results`, decided or not."""
    total, pdf = distribution(results)
    score0, score1 = _scores(test, pdf)
    drift, _ = _llr_drift(pdf, score0, score1, None)
    llr = min(max(total * drift, test.lower), test.upper)
    time = total if drift == 0.0 else llr / drift

    def worse(elo: float) -> float:
        mu, variance = _llr_drift(pdf, score0, score1, score_of_elo(elo))
        return outcome_probability(test.lower, test.upper, mu, variance, time, llr)

    def at(probability: float) -> float:
        return bisect(lambda elo: worse(elo) - probability, -ELO_LIMIT, ELO_LIMIT)

    return UnbiasedElo(elo=at(0.5), low=at(0.975), high=at(0.025))


def outcome_probability(
    lower: float, upper: float, drift: float, variance: float, time: float, level: float
) -> float:
    """Probability that Brownian motion from 0, absorbed at `lower` and `upper`, ends worse than at
    (`time`, `level`).

    Worse: absorbed at `lower` by `time`, or still inside and at most at `level` then. `drift` and
    `variance` are per unit of time."""
    width = upper - lower
    start, at = -lower / width, (level - lower) / width
    tau = variance * time / width**2
    pull = drift * width / variance
    by = _by_images if tau < SERIES_TIME_MIN else _by_series
    return min(max(by(start, at, pull, tau), 0.0), 1.0)


def _by_images(start: float, at: float, pull: float, tau: float) -> float:
    """Unit corridor, unit variance, drift `pull`: sum over mirror images of the start, each kept to
    its small tail."""
    deviation, moved = math.sqrt(tau), pull * tau
    total = 0.0
    for n in range(-IMAGES, IMAGES + 1):
        direct = (at - start - 2 * n - moved) / deviation
        mirrored = (at + start - 2 * n - moved) / deviation
        if n >= 0:
            total += _scaled_cdf(2 * n * pull, direct)
        else:
            total -= _scaled_cdf(2 * n * pull, -direct)
        if n >= 1:
            total -= _scaled_cdf(2 * pull * (n - start), mirrored)
        else:
            total += _scaled_cdf(2 * pull * (n - start), -mirrored)
    return total


def _by_series(start: float, at: float, pull: float, tau: float) -> float:
    """The same by eigenfunctions: absorption at the lower end in the long run, minus the part
    still open at `tau`."""
    if abs(pull) < 1e-8:
        total = 1.0 - start
    elif pull > 0.0:
        total = (math.exp(-2 * pull * start) - math.exp(-2 * pull)) / -math.expm1(-2 * pull)
    else:
        total = math.expm1(2 * pull * (1 - start)) / math.expm1(2 * pull)
    for n in range(1, SERIES_TERMS + 1):
        k = math.pi * n
        rate = (k * k + pull * pull) / 2.0
        size = 2.0 * math.exp(pull * (at - start) - rate * tau) / (k * k + pull * pull)
        total += size * math.sin(k * start) * (pull * math.sin(k * at) - k * math.cos(k * at))
    return total


def _scaled_cdf(log_scale: float, x: float) -> float:
    """exp(log_scale) * normal_cdf(x) where the one may overflow while the other vanishes."""
    if x > -30.0:
        tail = normal_cdf(x)
        return math.exp(min(log_scale + math.log(tail), 700.0))
    log_tail = -x * x / 2.0 - math.log(-x * math.sqrt(2.0 * math.pi)) + math.log1p(-1.0 / (x * x))
    return math.exp(min(log_scale + log_tail, 700.0))


def _scores(test: Sprt, pdf: Pdf) -> tuple[float, float]:
    """Mean scores of the two hypotheses, at the observed deviation when Elo is normalized."""
    if test.model == "logistic":
        return score_of_elo(test.elo0), score_of_elo(test.elo1)
    _, variance = moments(pdf)
    games = 2 if len(pdf) == 5 else 1
    deviation = math.sqrt(games * variance)
    return 0.5 + test.elo0 / NELO_PER_T * deviation, 0.5 + test.elo1 / NELO_PER_T * deviation


def _llr_drift(pdf: Pdf, score0: float, score1: float, score: float | None) -> tuple[float, float]:
    """Mean and variance of the log-likelihood ratio of one sample when the true mean score is
    `score` (None: the observed).

    To second order in the distances of the scores, with the observed variance.
    """
    observed, variance = moments(pdf)
    if score is None:
        score = observed
    distance = score1 - score0
    drift = (score - (score0 + score1) / 2.0) * distance / variance
    return drift, distance**2 / variance
