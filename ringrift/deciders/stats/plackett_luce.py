"""Ratings by maximum likelihood: Bradley-Terry for two seats, Plackett-Luce for more.

Each player has a strength theta on the natural logarithmic scale, shown as Elo = 400 / ln 10 *
theta. Games determine differences only: either one player, the anchor, has Elo 0, or the mean of
all players is 0. A game is a ranking, best to worst. Plackett-Luce (Luce 1959, Plackett 1975) picks
the places in turn:

    P(r_1, r_2, ..., r_k) = prod_i exp(theta_{r_i}) / sum_{j >= i} exp(theta_{r_j})

With two players this is Bradley-Terry, so both share one code path. Players who share a rank (a
draw between two) count as every order that agrees with the result, each with an equal share of the
game: a draw is half a win for each.

The covariance is the inverse of the Fisher information at the maximum with the anchor fixed (the
observed information; for Bradley-Terry it equals the expected one), so the error of a rating is
that of its difference to the anchor. Treating a game of three or four seats as independent pairs
would underestimate it.

The result depends on the multiset of games only, not on their order: games are gathered and sorted
first, each fit starts from zero, and sums have a fixed order. With the arithmetic of
`ringrift.deciders.stats.portable` the same games give the same bits on every machine."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations, product

import numpy as np
import numpy.typing as npt

from ringrift.deciders.stats.portable import eliminated, exp, solved
from ringrift.events.facts import Z_95

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
    """One row of the table. `elo` relative to the anchor, or to the mean of all players, `se` the
    standard error of that difference in Elo, `games` played."""

    name: str
    elo: float
    se: float
    games: float

    @property
    def elo_95_half_width(self) -> float:
        """Half of the 95 % interval of `elo`."""
        return Z_95 * self.se


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Fitted strengths of P players.

    players: in order of name; `covariance`: (P, P) in Elo squared, in the same order; `anchor`: the
    player whose Elo is 0, None if the mean of all is; `unrated`: players without a chain of games
    to the anchor; `model`: "bradley-terry" or "plackett-luce" (some game had more than two seats);
    `prior_elo`: as given to `fit`."""

    players: tuple[PlayerRating, ...]
    covariance: FloatArray
    model: str
    prior_elo: float | None
    anchor: str | None = None
    unrated: tuple[str, ...] = ()

    def ranked(self) -> tuple[PlayerRating, ...]:
        """The table from strongest to weakest, equal ones by name."""
        return tuple(sorted(self.players, key=lambda player: (-player.elo, player.name)))

    def errors_to(self, name: str) -> dict[str, float]:
        """Standard error, in Elo, of the difference of each player to one of them, by name."""
        names, own = [player.name for player in self.players], self.covariance.diagonal()
        other = names.index(name)
        variance = own + own[other] - 2.0 * self.covariance[other]
        return dict(zip(names, np.sqrt(np.maximum(variance, 0.0)).tolist(), strict=True))


def fit(
    matches: Iterable[tuple[Ranking, float]],
    prior_elo: float | None = None,
    *,
    virtual_draws: float = 0.0,
    anchor: str | None = None,
) -> Ratings:
    """Fit all strengths to `matches`, pairs of a ranking and its number of games.

    One player may have several seats in a game, as baselines do with three and four seats. With
    `anchor` only the players that a chain of games connects with it are rated.

    Plain maximum likelihood raises `NoFiniteRatingError` if a sweep or separate groups leave no
    finite maximum. Two priors keep it finite: `virtual_draws` are added between any two players
    that met; `prior_elo` is the standard deviation in Elo of an independent normal prior on each
    player around a common, unknown mean. Without matches the table is empty. Raises `RatingError`
    for bad rankings, counts or priors, and for an anchor without games."""
    if prior_elo is not None and not (math.isfinite(prior_elo) and prior_elo > 0):
        raise RatingError(f"prior of {prior_elo} Elo: give a finite one above 0, or none")
    gathered = _gather(matches)
    met = _opponents(gathered)
    if anchor is not None and anchor not in met:
        raise RatingError(f"anchor {anchor!r} has no games; choose one of {_listing(tuple(met))}")
    rated = set(met) if anchor is None else _connected(met, anchor)
    gathered = {ranking: count for ranking, count in gathered.items() if ranking[0][0] in rated}
    # players with few opponents come first, so that eliminating them touches few others
    names = sorted(rated, key=lambda name: (name == anchor, len(met[name]), name))
    index = {name: i for i, name in enumerate(names)}
    orders = _orders(gathered, index, virtual_draws)
    if prior_elo is None and not virtual_draws:
        _require_finite(orders, names)
    precision = 0.0 if prior_elo is None else (ELO_PER_NAT / prior_elo) ** 2
    theta, covariance = _maximize(orders, len(names), precision)
    if anchor is None and names:
        theta = theta - theta.mean()
        covariance = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None]
        covariance = covariance - covariance.mean()
    by_name = np.argsort(np.array(names)) if names else np.zeros(0, dtype=np.int64)
    covariance = covariance[np.ix_(by_name, by_name)] * ELO_PER_NAT**2
    games = _games(gathered)
    players = tuple(
        PlayerRating(name, elo, math.sqrt(max(variance, 0.0)), games[name])
        for name, elo, variance in zip(
            sorted(names),
            (theta[by_name] * ELO_PER_NAT).tolist(),
            covariance.diagonal().tolist(),
            strict=True,
        )
    )
    two = all(len(_names(ranking)) == 2 for ranking in gathered)
    model = "bradley-terry" if two else "plackett-luce"
    unrated = tuple(sorted(met.keys() - rated))
    return Ratings(players, covariance, model, prior_elo, anchor, unrated)


_Canonical = tuple[tuple[str, ...], ...]
_Orders = list[tuple[IntArray, FloatArray]]
"""For each number of seats k: players (R, k), best first, and weight (R,) of each strict order."""


def _gather(matches: Iterable[tuple[Ranking, float]]) -> dict[_Canonical, float]:
    """Counts by distinct ranking, in sorted order."""
    counts: dict[_Canonical, list[float]] = {}
    for ranking, count in matches:
        if not (math.isfinite(count) and count > 0):
            remedy = "give a finite number above 0"
            raise RatingError(f"ranking {ranking!r} counted {count} times: {remedy}")
        counts.setdefault(_canonical(ranking), []).append(count)
    # fsum is exact before its one rounding, so the order in which games arrived leaves no trace
    return {ranking: math.fsum(counts[ranking]) for ranking in sorted(counts)}


@lru_cache(maxsize=16_384)  # a year of one config has thousands of rankings
def _canonical(ranking: Ranking) -> _Canonical:
    """The ranking with the names within a shared rank sorted."""
    found = tuple((one,) if isinstance(one, str) else tuple(sorted(one)) for one in ranking)
    if not all(found):
        raise RatingError(f"ranking {ranking!r} has an empty rank; remove it")
    if len(set(_names(found))) < 2 or len(_names(found)) > SEATS_MAX:
        remedy = f"give 2 to {SEATS_MAX} seats, at least two different players"
        raise RatingError(f"ranking {ranking!r}: {remedy}")
    return found


def _names(ranking: _Canonical) -> list[str]:
    return [name for rank in ranking for name in rank]


def _games(gathered: dict[_Canonical, float]) -> dict[str, float]:
    """Games of each player."""
    games: dict[str, float] = {}
    for ranking, count in gathered.items():
        for name in set(_names(ranking)):
            games[name] = games.get(name, 0.0) + count
    return games


def _opponents(gathered: dict[_Canonical, float]) -> dict[str, set[str]]:
    """The players that each one met, in order of name."""
    met: dict[str, set[str]] = {}
    for ranking in gathered:
        players = set(_names(ranking))
        for name in players:
            met.setdefault(name, set()).update(players - {name})
    return {name: met[name] for name in sorted(met)}


def _connected(met: dict[str, set[str]], start: str) -> set[str]:
    """The players that a chain of games connects with `start`, itself included."""
    found, ahead = {start}, [start]
    while ahead:
        new = met[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def _orders(
    gathered: dict[_Canonical, float], index: dict[str, int], virtual_draws: float
) -> _Orders:
    """Strict orders with weights: a shared rank of t players is spread evenly over its t!
    orders."""
    weights: dict[tuple[int, ...], float] = {}
    for ranking, count in gathered.items():
        shared = any(len(rank) > 1 for rank in ranking)
        strict = list(product(*map(permutations, ranking))) if shared else [ranking]
        for order in strict:
            key = tuple(index[name] for rank in order for name in rank)
            weights[key] = weights.get(key, 0.0) + count / len(strict)
    if virtual_draws:
        tables = {frozenset(index[name] for name in _names(ranking)) for ranking in gathered}
        for pair in {pair for seats in tables for pair in combinations(sorted(seats), 2)}:
            for key in (pair, pair[::-1]):
                weights[key] = weights.get(key, 0.0) + virtual_draws / 2.0
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
    """Newton's method with bounded, halved steps on the concave log-likelihood, the last player
    fixed at 0: theta (P,) and its covariance (P, P)."""
    theta, free, places = np.zeros(count), max(count - 1, 0), _places(orders, count)
    gradient, information = _slopes(orders, places, theta, precision)
    for _ in range(ITERATIONS_MAX):
        factors = eliminated(information[:free, :free])
        step = np.zeros(count)
        step[:free] = solved(factors, gradient[:free, None])[:, 0]
        length = float(np.abs(step).max(initial=0.0))
        if length < CONVERGED_THETA:
            covariance = np.zeros((count, count))
            inverse = solved(factors, np.eye(free))
            covariance[:free, :free] = (inverse + inverse.T) * 0.5
            return theta, covariance
        step = step * min(1.0, STEP_THETA_MAX / length)
        rising = float((gradient * step).sum())
        while True:
            trial = theta + step
            gradient, information = _slopes(orders, places, trial, precision)
            # beyond the maximum of the line the slope is negative; rounding hides it near the end
            if float((gradient * step).sum()) >= -0.5 * rising or np.abs(step).max() < 1e-6:
                break
            step, rising = step * 0.5, rising * 0.5
        theta = trial
    raise RatingError(
        f"ratings did not converge in {ITERATIONS_MAX} steps; the games nearly allow no finite "
        "rating: give a prior"
    )


def _places(orders: _Orders, count: int) -> tuple[IntArray, IntArray]:
    """Where the terms of `_slopes` belong: players of the gradient, and flat entries of the
    information."""
    gradient, information = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for players, _ in orders:
        for place in range(players.shape[1] - 1):
            left = players.T[place:]
            gradient += [left[0], left.ravel()]
            row = left[:, None] * count
            information.append(np.concatenate((row + left[:, None], row + left), axis=1).ravel())
    return np.concatenate(gradient), np.concatenate(information)


def _slopes(
    orders: _Orders, places: tuple[IntArray, IntArray], theta: FloatArray, precision: float
) -> tuple[FloatArray, FloatArray]:
    """Gradient (P,) of the log-posterior, and the information (P, P), minus its second derivative.
    Terms are added in the order of `places`."""
    count = len(theta)
    of_gradient, of_information = [np.zeros(0)], [np.zeros(0)]
    for players, weight in orders:
        strength, seats = theta[players.T], players.shape[1]
        left = np.tri(seats - 1, seats, -1)[:, :, None] == 0.0
        rests = np.where(left, strength, -np.inf)
        powers = exp(rests - rests.max(axis=1, keepdims=True))
        for place in range(seats - 1):
            share = powers[place, place:] / powers[place, place:].sum(axis=0)
            drawn = weight * share
            of_gradient += [weight, -drawn.ravel()]
            terms = np.concatenate((drawn[:, None], -drawn[:, None] * share), axis=1)
            of_information.append(terms.ravel())
    gradient = np.bincount(places[0], np.concatenate(of_gradient), count).astype(np.float64)
    flat = np.bincount(places[1], np.concatenate(of_information), count * count)
    information = flat.astype(np.float64).reshape(count, count)
    if precision:
        gradient = gradient - precision * (theta - theta.mean())
        information = information - precision / count + precision * np.eye(count)
    return gradient, information


def _listing(names: tuple[str, ...], shown_max: int = 5) -> str:
    more = f" and {len(names) - shown_max} more" if len(names) > shown_max else ""
    return ", ".join(names[:shown_max]) + more
