"""Which edge a simulation follows, and what a finished search says about its root.

Equations of Danihelka et al. (2022), with the completed Q values and defaults of mctx."""

from functools import lru_cache
from math import ceil, log2
from typing import Final, NamedTuple

import numpy as np

from ringrift.search.arrays import Floats, Index, Ints
from ringrift.search.compile import compiled
from ringrift.search.gumbel.forest import NONE, Forest, backup

DEPTH_UNLIMITED: Final = 1 << 30
LOW_SCORE: Final = -1e9  # least score of a root edge, as in mctx
RANGE_SHARE_MIN: Final = 1e-5
"""Completed Q values are taken as equal if their range is below this share of their scale (1, or
their largest magnitude if greater). Otherwise rescaling would stretch float32 rounding noise, about
1e-7, over the whole range and turn it into targets: policies were wrong by up to 0.69."""


class Settings(NamedTuple):
    """How Q values weigh against priors. The defaults are those of the paper for rescaled values:
    c_visit 50, c_scale 0.1.

    rescale    map the completed Q values of a node onto [0, 1]
    mixed      complete with the mix of the node's value and its visited children, instead of the
               value alone
    depth_max  nodes at this depth are evaluated but not descended from
    """

    value_scale: float = 0.1
    maxvisit_init: float = 50.0
    rescale: bool = True
    mixed: bool = True
    depth_max: int = DEPTH_UNLIMITED


def considered_visits(considered: int, simulations: int) -> Ints:
    """Return, for each simulation (n,), the number of visits that a root move must have to be next
    in sequential halving of `considered` moves."""
    sequence: list[int] = []
    if considered <= 1:
        return np.arange(simulations, dtype=np.int32)
    phases = ceil(log2(considered))
    visits = [0] * considered
    left = considered
    while len(sequence) < simulations:
        for _ in range(max(1, simulations // (phases * left))):
            sequence.extend(visits[:left])
            visits[:left] = [count + 1 for count in visits[:left]]
        left = max(2, left // 2)
    return np.array(sequence[:simulations], dtype=np.int32)


@lru_cache(maxsize=64)
def considered_table(considered_max: int, simulations: int) -> Ints:
    """Return a table (considered_max + 1, n) with `considered_visits(m, n)` in row m.

    A root with fewer than `considered_max` legal moves uses the row of their number. Without
    simulations the table has no columns."""
    if considered_max < 1 or simulations < 0:
        sizes = f"{considered_max} considered moves, {simulations} simulations"
        raise ValueError(f"{sizes}: need at least 1 and 0")
    rows = [considered_visits(m, simulations) for m in range(considered_max + 1)]
    table = np.stack(rows)
    table.setflags(write=False)
    return table


@compiled
def edge_value(f: Forest, edge: int, seat: int) -> float:
    """Q of a visited edge for `seat`: reward on the edge + keep * mean value behind it."""
    child = f.edge[edge].child
    keep = np.float64(f.node[child].keep)
    return np.float64(f.reward[child, seat]) + keep * np.float64(f.mean[child, seat])


@compiled
def mixed_value(f: Forest, s: Settings, node: Index) -> float:
    """Value for the mover that stands in for unvisited edges (appendix D).

    It is (value + N * prior-weighted mean Q of visited edges) / (N + 1) after N visits."""
    seat = f.node[node].mover
    value = np.float64(f.raw[node, seat])
    if not s.mixed:
        return value
    first, count = f.node[node].first_edge, f.node[node].edge_count
    top = -np.inf  # over visited edges, so that their priors cannot all vanish
    for edge in range(first, first + count):
        if f.edge[edge].visits > 0:
            top = max(top, np.float64(f.edge[edge].logit))
    visits, weight, weighted = 0, 0.0, 0.0
    for edge in range(first, first + count):
        if f.edge[edge].visits > 0:
            prior = np.exp(np.float64(f.edge[edge].logit) - top)
            visits += f.edge[edge].visits
            weight += prior
            weighted += prior * edge_value(f, edge, seat)
    if visits == 0:
        return value
    return (value + visits * (weighted / weight)) / (visits + 1)


@compiled
def completed_scores(f: Forest, s: Settings, node: Index) -> None:
    """Write sigma(completed Q) to `score` of each edge of `node` (equation 8).

    sigma(q) = (maxvisit_init + max visits) * value_scale * q, with q mapped onto [0, 1] over the
    node if `rescale`. Where the environment has illegal actions besides the edges, their completed
    value takes part in the range, as they are never visited."""
    first, count = f.node[node].first_edge, f.node[node].edge_count
    seat = f.node[node].mover
    unvisited = mixed_value(f, s, node)
    low, high = np.inf, -np.inf
    if f.node[node].illegal:
        low, high = unvisited, unvisited
    visits_max = 0
    for edge in range(first, first + count):
        q = unvisited
        if f.edge[edge].visits > 0:
            q = edge_value(f, edge, seat)
            visits_max = max(visits_max, f.edge[edge].visits)
        f.edge[edge].score = q
        low, high = min(low, q), max(high, q)
    scale = (s.maxvisit_init + visits_max) * s.value_scale
    shift = 0.0
    if s.rescale:
        spread = high - low
        equal = spread < RANGE_SHARE_MIN * max(1.0, abs(low), abs(high))
        scale = 0.0 if equal else scale / spread
        shift = low
    for edge in range(first, first + count):
        f.edge[edge].score = scale * (np.float64(f.edge[edge].score) - shift)


@compiled
def _softmax(f: Forest, node: Index) -> None:
    """Replace `score` of the edges of `node` by softmax(logit + score)."""
    first, count = f.node[node].first_edge, f.node[node].edge_count
    top = -np.inf
    for edge in range(first, first + count):
        top = max(top, np.float64(f.edge[edge].logit) + np.float64(f.edge[edge].score))
    total = 0.0
    for edge in range(first, first + count):
        weight = np.exp(np.float64(f.edge[edge].logit) + np.float64(f.edge[edge].score) - top)
        total += weight
        f.edge[edge].score = weight
    for edge in range(first, first + count):
        f.edge[edge].score = np.float64(f.edge[edge].score) / total


@compiled
def _best_root_edge(f: Forest, s: Settings, root: Index, visits: Index) -> int:
    """Among root edges with exactly `visits`: the first with the largest gumbel + logit +
    sigma(Q)."""
    completed_scores(f, s, root)
    best, best_score = NONE, -np.inf
    first = f.node[root].first_edge
    for edge in range(first, first + f.node[root].edge_count):
        if f.edge[edge].visits == visits:
            noisy = np.float64(f.edge[edge].gumbel) + np.float64(f.edge[edge].logit)
            score = max(LOW_SCORE, noisy + np.float64(f.edge[edge].score))
            # an edge is chosen even if an evaluation was not a number
            if best == NONE or score > best_score:
                best, best_score = edge, score
    return best


@compiled
def select_inner(f: Forest, s: Settings, node: Index) -> int:
    """Edge whose visits lag most behind the improved policy: the first with the largest
    policy - N(a) / (1 + sum N) (equation 14)."""
    completed_scores(f, s, node)
    _softmax(f, node)
    first, count = f.node[node].first_edge, f.node[node].edge_count
    visits = 1
    for edge in range(first, first + count):
        visits += f.edge[edge].visits
    best, best_score = NONE, -np.inf
    for edge in range(first, first + count):
        score = np.float64(f.edge[edge].score) - f.edge[edge].visits / visits
        if best == NONE or score > best_score:
            best, best_score = edge, score
    return best


@compiled
def descend(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Walk from the root of `game` to an edge without a node, and return it.

    The edge is also left in leaf_edge, and its node in leaf_node. If the walk ends at a known node
    instead (the end of a game, or the depth limit), its evaluation is backed up once more, which
    completes the simulation, and NONE is returned."""
    node: Index = game * f.stride
    depth = 0
    row = min(considered.shape[0] - 1, f.node[node].edge_count)
    edge = _best_root_edge(f, s, node, np.int64(considered[row, f.node[node].visits - 1]))
    while True:
        child = np.int64(f.edge[edge].child)
        depth += 1
        if child == NONE:
            f.game[game].leaf_node = node
            f.game[game].leaf_edge = edge
            return edge
        if f.node[child].edge_count == 0 or depth >= s.depth_max:
            f.node[child].visits += 1
            backup(f, child)
            return NONE
        node = child
        edge = select_inner(f, s, node)


@compiled
def next_leaf(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Run simulations of `game` until one needs an evaluation, and return its edge.

    `considered` is a `considered_table` whose number of columns is the budget. Returns NONE when
    all simulations are done, and for a root without edges. The result is also in leaf_edge."""
    root = game * f.stride
    f.game[game].leaf_edge = NONE
    while f.node[root].edge_count > 0 and f.node[root].visits - 1 < considered.shape[1]:
        edge = descend(f, s, game, considered)
        if edge != NONE:
            return edge
    return NONE


@compiled
def best_edge(f: Forest, s: Settings, game: int) -> int:
    """Edge to play at the root: the best score, with noise, among the most visited; NONE if the
    root has no edges."""
    root = game * f.stride
    visits_max = 0
    for edge in range(f.node[root].first_edge, f.node[root].first_edge + f.node[root].edge_count):
        visits_max = max(visits_max, f.edge[edge].visits)
    return _best_root_edge(f, s, root, visits_max)


@compiled
def improved_policy(f: Forest, s: Settings, game: int, out: Floats) -> None:
    """Write the policy target of the root, softmax(logit + sigma(completed Q)) without noise, to
    out (K,) (equation 11)."""
    root = game * f.stride
    completed_scores(f, s, root)
    _softmax(f, root)
    for k in range(f.node[root].edge_count):
        out[k] = f.edge[f.node[root].first_edge + k].score
