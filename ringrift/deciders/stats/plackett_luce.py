"""Ratings by maximum likelihood: Bradley-Terry for two seats, Plackett-Luce for more.

Each player has a strength theta on the natural logarithmic scale, shown as Elo = 400 / ln 10 *
theta with the mean of all players at 0. A game is a ranking, best to worst. Plackett-Luce (Luce
1959, Plackett 1975) picks the places in turn:

    P(r_1, r_2, ..., r_k) = prod_i exp(theta_{r_i}) / sum_{j >= i} exp(theta_{r_j})

With two players this is Bradley-Terry, so both share one code path. Players who share a rank (a
draw between two) count as every order that agrees with the result, each with an equal share of the
game: a draw is half a win for each.

Standard errors come from the pseudo-inverse of the Fisher information at the maximum (the observed
information; for Bradley-Terry it equals the expected one). Treating a game of three or four seats
as independent pairs would underestimate them.

The result depends on the multiset of games only, not on their order: games are gathered and sorted
first, each fit starts from zero, and sums have a fixed order, without a linear algebra library
whose threads could change it. The same log gives the same bits on the same machine."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

ELO_PER_NAT = 400.0 / math.log(10.0)
"""Elo points of one unit of theta: odds of 10 to 1 are 400 points"""

ITERATIONS_MAX = 200
STEP_THETA_MAX = 2.0
"""largest change of a strength in one Newton step; far from the maximum the quadratic model
overshoots"""
CONVERGED_THETA = 1e-11
SEATS_MAX = 4

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Ranking = tuple[str | tuple[str, ...], ...]
"""Names from best to worst; names in a tuple share a rank: `("a", ("b", "c"))`."""


class RatingError(ValueError):
    """The games cannot be rated; the message says which and what to do."""


class NoFiniteRatingError(RatingError):
    """Without a prior some strengths have no finite maximum: a group never beat, or never met, the
    others."""

    def __init__(self, group: tuple[str, ...], others: tuple[str, ...]) -> None:
        self.group, self.others = group, others
        super().__init__(
            f"no finite rating: {_listing(group)} never finished ahead of {_listing(others)}; "
            "add games or give a prior in Elo"
        )


@dataclass(frozen=True, slots=True)
class PlayerRating:
    """One row of the table. `elo` relative to the mean of all players, `se` its standard error in
    Elo, `games` played."""

    name: str
    elo: float
    se: float
    games: float


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Fitted strengths of P players.

    players: in order of name; `covariance`: (P, P) in Elo squared, in the same order, under a mean
    of 0; `model`: "bradley-terry" or "plackett-luce" (some game had more than two seats);
    `prior_elo`: as given to `fit`."""

    players: tuple[PlayerRating, ...]
    covariance: FloatArray
    model: str
    prior_elo: float | None

    def ranked(self) -> tuple[PlayerRating, ...]:
        """The table from strongest to weakest, equal ones by name."""
        return tuple(sorted(self.players, key=lambda player: (-player.elo, player.name)))


def fit(matches: Iterable[tuple[Ranking, float]], prior_elo: float | None = None) -> Ratings:
    """Fit all strengths to `matches`, pairs of a ranking and its number of games.

    One player may have several seats in a game, as baselines do with three and four seats.
    `prior_elo` is the standard deviation in Elo of an independent normal prior around 0 on each
    player; None for plain maximum likelihood, which raises `NoFiniteRatingError` if a sweep or
    separate groups leave no finite maximum. Without matches the table is empty. Raises
    `RatingError` for bad rankings, counts or priors."""
    if prior_elo is not None and not (math.isfinite(prior_elo) and prior_elo > 0):
        raise RatingError(
            f"prior of {prior_elo} Elo: give a finite standard deviation above 0, or none"
        )
    gathered = _gather(matches)
    names = sorted({name for ranking in gathered for rank in ranking for name in rank})
    index = {name: i for i, name in enumerate(names)}
    games = np.zeros(len(names))
    for ranking, count in gathered.items():
        for name in {name for rank in ranking for name in rank}:
            games[index[name]] += count
    orders = _orders(gathered, index)
    if prior_elo is None:
        _require_finite(orders, names)
    precision = 0.0 if prior_elo is None else (ELO_PER_NAT / prior_elo) ** 2
    theta, covariance = _maximize(orders, len(names), precision)
    elo = theta * ELO_PER_NAT
    se = np.sqrt(np.maximum(covariance.diagonal(), 0.0)) * ELO_PER_NAT
    players = tuple(map(PlayerRating, names, elo.tolist(), se.tolist(), games.tolist()))
    seats = max((players_in.shape[1] for players_in, _ in orders), default=2)
    model = "bradley-terry" if seats == 2 else "plackett-luce"
    return Ratings(players, covariance * ELO_PER_NAT**2, model, prior_elo)


_Canonical = tuple[tuple[str, ...], ...]
_Orders = list[tuple[IntArray, FloatArray]]
"""For each number of seats k: players (R, k), best first, and weight (R,) of each distinct strict
order."""


def _gather(matches: Iterable[tuple[Ranking, float]]) -> dict[_Canonical, float]:
    """Counts by distinct ranking, names within a shared rank sorted, in sorted order of the
    rankings."""
    counts: dict[_Canonical, list[float]] = {}
    for ranking, count in matches:
        canonical = tuple((one,) if isinstance(one, str) else tuple(sorted(one)) for one in ranking)
        names = [name for rank in canonical for name in rank]
        if len(set(names)) < 2 or len(names) > SEATS_MAX:
            raise RatingError(
                f"ranking {ranking!r}: give 2 to {SEATS_MAX} seats, at least two different players"
            )
        if any(not rank for rank in canonical):
            raise RatingError(f"ranking {ranking!r} has an empty rank; remove it")
        if not (math.isfinite(count) and count > 0):
            raise RatingError(
                f"ranking {ranking!r} counted {count} times: give a finite number above 0"
            )
        counts.setdefault(canonical, []).append(count)
    # fsum is exact before its one rounding, so the order in which games arrived leaves no trace
    return {ranking: math.fsum(counts[ranking]) for ranking in sorted(counts)}


def _orders(gathered: dict[_Canonical, float], index: dict[str, int]) -> _Orders:
    """Strict orders with weights: a shared rank of t players is spread evenly over its t!
    orders."""
    weights: dict[tuple[int, ...], float] = {}
    for ranking, count in gathered.items():
        strict = list(product(*(permutations(rank) for rank in ranking)))
        for order in strict:
            key = tuple(index[name] for rank in order for name in rank)
            weights[key] = weights.get(key, 0.0) + count / len(strict)
    groups: _Orders = []
    for seats in sorted({len(order) for order in weights}):
        keys = sorted(order for order in weights if len(order) == seats)
        groups.append((np.array(keys, dtype=np.int64), np.array([weights[key] for key in keys])))
    return groups


def _require_finite(orders: _Orders, names: list[str]) -> None:
    """A finite maximum exists only if "finished ahead of" leads from each player to each other
    (Ford 1957, Hunter 2004)."""
    count = len(names)
    ahead = np.zeros((count, count), dtype=np.bool_)
    for players, _ in orders:
        for better in range(players.shape[1] - 1):
            for worse in range(better + 1, players.shape[1]):
                ahead[players[:, better], players[:, worse]] = True
    for relation in (ahead, ahead.T):
        reached = np.zeros(count, dtype=np.bool_)
        reached[:1] = True
        while True:
            grown = reached | relation[reached].any(axis=0)
            if (grown == reached).all():
                break
            reached = grown
        if not reached.all():
            inside = tuple(name for name, hit in zip(names, reached, strict=True) if hit)
            outside = tuple(name for name, hit in zip(names, reached, strict=True) if not hit)
            behind_first = (inside, outside) if relation is ahead else (outside, inside)
            raise NoFiniteRatingError(*behind_first)


def _maximize(orders: _Orders, count: int, precision: float) -> tuple[FloatArray, FloatArray]:
    """Newton's method with bounded, halved steps on the concave log-likelihood: theta (P,) and its
    covariance (P, P)."""
    theta = np.zeros(count)
    value, gradient, information = _likelihood(orders, theta, precision)
    for _ in range(ITERATIONS_MAX):
        inverse = _centered_inverse(information)
        step = (inverse * gradient).sum(axis=1) if count else theta
        length = float(np.abs(step).max(initial=0.0))
        if length < CONVERGED_THETA:
            return theta, inverse
        step = step * min(1.0, STEP_THETA_MAX / length)
        while True:
            trial = theta + step
            trial_value, gradient, information = _likelihood(orders, trial, precision)
            # near the maximum, rounding hides a gain in the last digits; short steps are safe there
            if trial_value >= value or float(np.abs(step).max()) < 1e-6:
                break
            step = step * 0.5
        theta, value = trial - trial.mean(), trial_value
    raise RatingError(
        f"ratings did not converge in {ITERATIONS_MAX} steps; the games nearly allow no finite "
        "rating: give a prior"
    )


def _likelihood(
    orders: _Orders, theta: FloatArray, precision: float
) -> tuple[float, FloatArray, FloatArray]:
    """Log-posterior, its gradient (P,) and the information (P, P), minus its second derivative."""
    count = len(theta)
    value = -0.5 * precision * float((theta * theta).sum())
    gradient = -precision * theta
    information = np.zeros((count, count))
    for players, weight in orders:
        seats = players.shape[1]
        strength = theta[players]
        for place in range(seats - 1):
            rest = strength[:, place:]
            top = rest.max(axis=1, keepdims=True)
            odds = np.exp(rest - top)
            total = odds.sum(axis=1, keepdims=True)
            share = odds / total
            value += float((weight * (rest[:, 0] - top[:, 0] - np.log(total[:, 0]))).sum())
            np.add.at(gradient, players[:, place], weight)
            for i in range(seats - place):
                left = players[:, place + i]
                np.add.at(gradient, left, -weight * share[:, i])
                np.add.at(information, (left, left), weight * share[:, i])
                for j in range(seats - place):
                    right = players[:, place + j]
                    np.add.at(information, (left, right), -weight * share[:, i] * share[:, j])
    diagonal = np.arange(count)
    information[diagonal, diagonal] += precision
    return value, gradient, information


def _centered_inverse(information: FloatArray) -> FloatArray:
    """Inverse of the information on the strengths with mean 0, zero along their sum.

    Only differences are measured, so the all-ones direction is an eigenvector of the information,
    with value 0 (or the prior's precision). Raising that value makes the matrix invertible;
    subtracting it afterwards leaves the pseudo-inverse."""
    count = len(information)
    if count == 0:
        return information
    lift = max(float(np.trace(information)) / count, 1e-300)
    along = float(information.sum()) / count
    return _inverse(information + (lift - along) / count) - 1.0 / (lift * count)


def _inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric positive definite matrix by Gauss-Jordan, element by element in a
    fixed order."""
    count = len(matrix)
    work = np.hstack([matrix, np.eye(count)])
    for row in range(count):
        # left of these the columns are done, right of them still those of the identity
        touched = work[:, row : count + row + 1]
        touched[row] /= work[row, row]
        factors = touched[:, 0].copy()
        factors[row] = 0.0
        touched -= factors[:, None] * touched[row]
    inverse = work[:, count:]
    return (inverse + inverse.T) * 0.5


def _listing(names: tuple[str, ...], shown_max: int = 5) -> str:
    more = f" and {len(names) - shown_max} more" if len(names) > shown_max else ""
    return ", ".join(names[:shown_max]) + more
