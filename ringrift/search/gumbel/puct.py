"""The search of AlphaZero in the same trees: PUCT, Dirichlet noise at the root, shares of visits as
the policy (Silver et al. 2018). A baseline to compare Gumbel search with.

Constants and the value of unvisited moves are those of KataGo (Wu 2019)."""

import math
from typing import Final

import numpy as np

from ringrift.rules.compile import U, i64
from ringrift.search.arrays import Floats, Index
from ringrift.search.compile import compiled
from ringrift.search.gumbel.forest import NONE, UNRANKED, Forest, edge_value, find_best, rank
from ringrift.search.splitmix import mix, uniform

# kinds of search in a forest
GUMBEL: Final = 0
PUCT: Final = 1
NOISY_PUCT: Final = 2  # with noise at the root

EXPLORATION: Final = 1.1
UNVISITED_REDUCTION: Final = 0.2
"""An unvisited move is worth the mean of its node less this times the root of the share of the
policy that was visited; at a root with noise the mean itself."""
NOISE_SHARE: Final = 0.25
NOISE_MOVES: Final = 10.83
"""alpha of the Dirichlet noise is this divided by the number of moves (0.03 on 361 points)."""
PICK_STREAM: Final = 1 << 32


@compiled
def select(f: Forest, node: Index, reduction: float) -> int:
    """Edge with the largest Q + U, of which the best unvisited one is that with the largest
    prior."""
    if f.node[node].best == UNRANKED:
        rank(f, node)
    elif f.node[node].best != NONE and f.edge[f.node[node].best].visits:
        find_best(f, node)
    seat, mass = f.node[node].mover, 0.0
    edge = i64(f.node[node].visited)
    while edge != NONE:
        mass += f.edge[edge].prior
        edge = i64(f.edge[edge].next)
    total = mass + f.node[node].rest
    explored = EXPLORATION * math.sqrt(np.float64(f.node[node].visits)) / total
    best, best_score = i64(f.node[node].best), -np.inf
    if best != NONE:
        unvisited = np.float64(f.mean[node, seat]) - reduction * math.sqrt(mass / total)
        best_score = unvisited + explored * f.edge[best].prior
    edge = i64(f.node[node].visited)
    while edge != NONE:
        bonus = explored * f.edge[edge].prior / (1 + f.edge[edge].visits)
        score = edge_value(f, edge, seat) + bonus
        if best == NONE or score > best_score or (score == best_score and edge < best):
            best, best_score = edge, score
        edge = i64(f.edge[edge].next)
    return best


@compiled
def visit_shares(f: Forest, root: Index, out: Floats) -> None:
    """Write the share of visits of each edge of a root to out (K,)."""
    first, count = i64(f.node[root].first_edge), i64(f.node[root].edge_count)
    for k in range(count):
        out[k] = f.edge[first + k].visits / max(1, f.node[root].visits - 1)


@compiled
def pick(f: Forest, root: Index, key: int) -> int:
    """Edge of a root drawn in proportion to its visits (temperature 1)."""
    first, count = i64(f.node[root].first_edge), i64(f.node[root].edge_count)
    left = uniform(key, PICK_STREAM) * (f.node[root].visits - 1)
    chosen = i64(NONE)
    for edge in range(first, first + count):
        if f.edge[edge].visits:
            chosen = edge
            left -= f.edge[edge].visits
            if left < 0.0:
                break
    return chosen


@compiled
def add_noise(logits: Floats, scratch: Floats, key: int) -> None:
    """Mix the policy of a root with Dirichlet noise, and leave it as logits."""
    count, top = len(logits), np.float64(-np.inf)
    for k in range(count):
        top = max(top, np.float64(logits[k]))
    alpha, noise, total = min(1.0, NOISE_MOVES / count), 0.0, 0.0
    for k in range(count):
        scratch[k] = _gamma(alpha, mix(key, k))
        noise += scratch[k]
        total += math.exp(np.float64(logits[k]) - top)
    for k in range(count):
        share = math.exp(np.float64(logits[k]) - top) / total
        mixed = (1.0 - NOISE_SHARE) * share + NOISE_SHARE * scratch[k] / max(noise, 1e-30)
        logits[k] = math.log(max(mixed, 1e-30))


@compiled
def _gamma(alpha: float, key: int) -> float:
    """A number from the gamma distribution with shape alpha <= 1 (Ahrens and Dieter 1974, GS)."""
    limit, at = 1.0 + alpha / math.e, U(0)
    while True:
        p, u = limit * uniform(key, at), uniform(key, at + U(1))
        at += U(2)
        if p <= 1.0:
            x = math.pow(p, 1.0 / alpha)
            if u <= math.exp(-x):
                return x
        else:
            x = -math.log((limit - p) / alpha)
            if u <= math.pow(x, alpha - 1.0):
                return x
