"""Which edge a simulation follows, and what a finished search says about its root.

Equations of Danihelka et al. (2022), with the completed Q values and defaults of mctx."""

from functools import lru_cache
from math import ceil, log2
from typing import Final, NamedTuple

import numpy as np

from ringrift.rules.compile import i64
from ringrift.search.arrays import Floats, Index, Ints
from ringrift.search.compile import compiled
from ringrift.search.gumbel import puct
from ringrift.search.gumbel.forest import (
    NONE,
    UNRANKED,
    UNSCORED,
    Forest,
    backup,
    edge_value,
    find_best,
    rank,
)
from ringrift.search.gumbel.puct import GUMBEL, NOISY_PUCT, UNVISITED_REDUCTION

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
    kind       GUMBEL, or PUCT or NOISY_PUCT, for which the other settings do not matter
    """

    value_scale: float = 0.1
    maxvisit_init: float = 50.0
    rescale: bool = True
    mixed: bool = True
    depth_max: int = DEPTH_UNLIMITED
    kind: int = GUMBEL


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
def completion(f: Forest, s: Settings, node: Index) -> tuple[float, float, float]:
    """Return the completed Q of unvisited edges (appendix D), and `scale` and `shift` of sigma(q) =
    scale * (q - shift) (equation 8).

    Completed Q is the mix (value + N * prior-weighted mean Q of visited edges) / (N + 1) after N
    visits, if `mixed`. The scale is (maxvisit_init + max visits) * value_scale, with q mapped onto
    [0, 1] over the node if `rescale`. Where the environment has illegal actions besides the edges,
    their completed value takes part in the range, as they are never visited."""
    seat = f.node[node].mover
    unvisited = np.float64(f.raw[node, seat])
    low, high = np.inf, -np.inf
    visits, visits_max, count, weight, weighted = 0, 0, 0, 0.0, 0.0
    edge = i64(f.node[node].visited)
    while edge != NONE:
        q = edge_value(f, edge, seat)
        low, high = min(low, q), max(high, q)
        count += 1
        visits += f.edge[edge].visits
        visits_max = max(visits_max, f.edge[edge].visits)
        weight += f.edge[edge].prior
        weighted += f.edge[edge].prior * q
        edge = i64(f.edge[edge].next)
    if s.mixed and visits:
        unvisited = (unvisited + visits * (weighted / weight)) / (visits + 1)
    if count < f.node[node].edge_count or f.node[node].illegal:
        low, high = min(low, unvisited), max(high, unvisited)
    scale = (s.maxvisit_init + visits_max) * s.value_scale
    if not s.rescale:
        return unvisited, scale, 0.0
    spread = high - low
    equal = spread < RANGE_SHARE_MIN * max(1.0, abs(low), abs(high))
    return unvisited, 0.0 if equal else scale / spread, low


@compiled
def sigma(q: float, scale: float, shift: float) -> float:
    """sigma of a completed Q, which is a float32 as its parts are."""
    return scale * (np.float64(np.float32(q)) - shift)


@compiled
def _best_root_edge(f: Forest, s: Settings, root: Index, visits: Index) -> int:
    """Among root edges with exactly `visits`: the first with the largest gumbel + logit +
    sigma(Q)."""
    unvisited, scale, shift = completion(f, s, root)
    best, best_score = i64(NONE), -np.inf
    first = i64(f.node[root].first_edge)
    seat, last = f.node[root].mover, first + f.node[root].edge_count
    edge = i64(f.node[root].visited) if visits else first
    while edge != NONE and edge < last:
        if f.edge[edge].visits == visits:
            q = edge_value(f, edge, seat) if visits else unvisited
            noisy = np.float64(f.edge[edge].gumbel) + np.float64(f.edge[edge].logit)
            score = max(LOW_SCORE, noisy + sigma(q, scale, shift))
            # an edge is chosen even if an evaluation was not a number
            if best == NONE or score > best_score:
                best, best_score = edge, score
        edge = i64(f.edge[edge].next) if visits else edge + 1
    return best


@compiled
def select_inner(f: Forest, s: Settings, node: Index) -> int:
    """Edge whose visits lag most behind the improved policy: the first with the largest
    policy - N(a) / (1 + sum N) (equation 14)."""
    if f.node[node].best == UNRANKED:
        rank(f, node)
    elif f.node[node].best != NONE and f.edge[f.node[node].best].visits:
        find_best(f, node)
    unvisited, scale, shift = completion(f, s, node)
    other, seat = i64(f.node[node].best), f.node[node].mover
    rest = sigma(unvisited, scale, shift)
    top = -np.inf if other == NONE else rest + np.float64(f.edge[other].logit)
    edge, visits = i64(f.node[node].visited), 1
    while edge != NONE:
        score = np.float64(f.edge[edge].logit) + sigma(edge_value(f, edge, seat), scale, shift)
        f.edge[edge].score = score
        top = max(top, score)
        visits += f.edge[edge].visits
        edge = i64(f.edge[edge].next)
    total = 0.0 if other == NONE else f.node[node].rest * np.exp(rest - top)
    edge = i64(f.node[node].visited)
    while edge != NONE:
        f.edge[edge].score = np.exp(f.edge[edge].score - top)
        total += f.edge[edge].score
        edge = i64(f.edge[edge].next)
    best, best_score = other, -np.inf
    if other != NONE:
        best_score = np.exp(np.float64(f.edge[other].logit) + rest - top) / total
    edge = i64(f.node[node].visited)
    while edge != NONE:
        score = f.edge[edge].score / total - f.edge[edge].visits / visits
        if best == NONE or score > best_score or (score == best_score and edge < best):
            best, best_score = edge, score
        edge = i64(f.edge[edge].next)
    return best


@compiled
def descend(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Walk from the root of `game` to an edge without a node, and return it.

    The edge is also left in leaf_edge, and its node in leaf_node. If the walk ends at a known node
    instead (the end of a game, or the depth limit), its evaluation is backed up once more, which
    completes the simulation, and NONE is returned. UNSCORED: leaf_node needs logits first."""
    node: Index = game * f.stride
    depth = 0
    if s.kind == GUMBEL:
        row = min(considered.shape[0] - 1, f.node[node].edge_count)
        edge = _best_root_edge(f, s, node, i64(considered[row, f.node[node].visits - 1]))
    else:
        edge = puct.select(f, node, 0.0 if s.kind == NOISY_PUCT else UNVISITED_REDUCTION)
    while True:
        child = i64(f.edge[edge].child)
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
        if f.node[node].best == UNSCORED:
            f.game[game].leaf_node = node
            f.game[game].leaf_edge = UNSCORED
            return UNSCORED
        if s.kind == GUMBEL:
            edge = select_inner(f, s, node)
        else:
            edge = puct.select(f, node, UNVISITED_REDUCTION)


@compiled
def next_leaf(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Run simulations of `game` until one needs an evaluation, and return its edge.

    `considered` is a `considered_table` whose number of columns is the budget. Returns NONE when
    all simulations are done, and for a root without edges; UNSCORED if leaf_node needs logits,
    after which the simulation begins again. The result is also in leaf_edge."""
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
    return _best_root_edge(f, s, root, i64(visits_max))


@compiled
def improved_policy(f: Forest, s: Settings, game: int, out: Floats) -> None:
    """Write the policy target of the root, softmax(logit + sigma(completed Q)) without noise, to
    out (K,) (equation 11); with PUCT the share of visits."""
    root = game * f.stride
    if s.kind != GUMBEL:
        puct.visit_shares(f, root, out)
        return
    unvisited, scale, shift = completion(f, s, root)
    first, seat = f.node[root].first_edge, f.node[root].mover
    count, top, total = f.node[root].edge_count, -np.inf, 0.0
    for edge in range(first, first + count):
        q = edge_value(f, edge, seat) if f.edge[edge].visits else unvisited
        score = np.float64(f.edge[edge].logit) + sigma(q, scale, shift)
        f.edge[edge].score = score
        top = max(top, score)
    for edge in range(first, first + count):
        f.edge[edge].score = np.exp(f.edge[edge].score - top)
        total += f.edge[edge].score
    for k in range(count):
        out[k] = f.edge[first + k].score / total
