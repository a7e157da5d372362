"""Gumbel AlphaZero search on trees in flat arrays: the compiled kernel.

Sequential halving over Gumbel-sampled root moves, completed Q values inside and the improved policy as target (Danihelka et al.,
"Policy improvement by planning with Gumbel", ICLR 2022; the details are those of DeepMind's mctx, to which two players come down).
Values are vectors with one entry a seat, and each node names its mover, so that two to four seats and several moves in a row by one
seat need no special case: whoever moves at a node reads its own entry.

A `Forest` holds one tree for each of G games, which advance together:

    plant(forest, game, ...)                     a root with its evaluation, for each game
    while next_leaves(f, s, considered):        one simulation on for each game, stopping where an evaluation is needed
        evaluate the move leaf_edge[game] of the position at leaf_node[game], for all games at once
        node = expand(f, game, ...); backup(f, node)
    best_edge(f, s, game), improved_policy(f, s, game, out)

Visits to known ends (a finished game, the depth limit) need no evaluation and are backed up on the way, so all games but the finished
ones always have a leaf to evaluate. Arrays are float32, as in play; sums of one row are formed in float64.
"""

from functools import lru_cache
from math import ceil, log2
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.search.compile import compiled

NONE: Final = -1  # no node, no edge
DEPTH_UNLIMITED: Final = 1 << 30
LOW_SCORE: Final = -1e9  # floor of a root score, as in mctx
RANGE_SHARE_MIN: Final = 1e-4
"""Completed Q values whose range is below this share of the largest of them are taken as equal: to stretch float32 rounding noise over
the whole range would turn it into targets (the same table of Q values in float32 was found to move a policy by 0.69)."""
RANGE_MIN: Final = 1e-8

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


class Settings(NamedTuple):
    """How Q values weigh against priors. Defaults are the paper's for rescaled values: c_visit 50, c_scale 0.1.

    `rescale`: map the completed Q values of a node onto [0, 1]; `mixed`: complete with the mix of the node's value and its visited
    children, not with the value alone; `depth_max`: nodes this deep are evaluated but not descended from.
    """

    value_scale: float = 0.1
    maxvisit_init: float = 50.0
    rescale: bool = True
    mixed: bool = True
    depth_max: int = DEPTH_UNLIMITED


class Forest(NamedTuple):
    """Trees of G games with up to S = stride nodes each, E edges in one pool, P seats. Node g * S is the root of game g.

    Node arrays (G * S,):
      first_edge, edge_count  its edges (legal moves) are first_edge .. first_edge + edge_count - 1; none: the game is over there
      mover                   seat index 0..P-1 that moves
      visits                  1 + simulations through it
      parent, in_edge         how it was reached; NONE at a root
      keep                    what is added above it is multiplied by this (1; 0 after an edge that ends the game in a table)
      illegal                 1: the environment has further actions here that are illegal (see `completed_scores`)
      raw, mean, reward       (G * S, P): evaluation, mean of all backed up values, reward of the edge into it
    Edge arrays (E,):
      logit, visits_of_edge, child (node or NONE), gumbel (noise, at roots), score (scratch)
    Per game (G,):
      node_count, leaf_node, leaf_edge (NONE: all simulations done), carry (G, P) scratch of `backup`
    Scalars: edge_top (1,) edges taken from the pool, stride.
    """

    stride: int
    first_edge: Ints
    edge_count: Ints
    mover: Ints
    visits: Ints
    parent: Ints
    in_edge: Ints
    keep: Floats
    illegal: Ints
    raw: Floats
    mean: Floats
    reward: Floats
    logit: Floats
    visits_of_edge: Ints
    child: Ints
    gumbel: Floats
    score: Floats
    node_count: Ints
    leaf_node: Ints
    leaf_edge: Ints
    carry: Floats
    edge_top: NDArray[np.int64]


EDGE_ARRAYS: Final = ("logit", "visits_of_edge", "child", "gumbel", "score")


def new_forest(games: int, simulations_max: int, seats: int, edges: int) -> Forest:
    """Empty trees for `games` searches of up to `simulations_max` simulations, with a pool of `edges` (see `with_edges`)."""
    if games < 1 or simulations_max < 1 or not 2 <= seats <= 4 or edges < 1:
        raise ValueError(f"forest of {games} games, {simulations_max} simulations, {seats} seats, {edges} edges: too small")
    stride = simulations_max + 1
    nodes = games * stride
    return Forest(
        stride=stride,
        first_edge=np.zeros(nodes, np.int32),
        edge_count=np.zeros(nodes, np.int32),
        mover=np.zeros(nodes, np.int32),
        visits=np.zeros(nodes, np.int32),
        parent=np.full(nodes, NONE, np.int32),
        in_edge=np.full(nodes, NONE, np.int32),
        keep=np.ones(nodes, np.float32),
        illegal=np.zeros(nodes, np.int32),
        raw=np.zeros((nodes, seats), np.float32),
        mean=np.zeros((nodes, seats), np.float32),
        reward=np.zeros((nodes, seats), np.float32),
        logit=np.zeros(edges, np.float32),
        visits_of_edge=np.zeros(edges, np.int32),
        child=np.full(edges, NONE, np.int32),
        gumbel=np.zeros(edges, np.float32),
        score=np.zeros(edges, np.float32),
        node_count=np.zeros(games, np.int32),
        leaf_node=np.full(games, NONE, np.int32),
        leaf_edge=np.full(games, NONE, np.int32),
        carry=np.zeros((games, seats), np.float32),
        edge_top=np.zeros(1, np.int64),
    )


def with_edges(forest: Forest, room: int) -> Forest:
    """`forest` with at least `room` edges free: itself, or a copy with a larger pool (the node arrays stay shared)."""
    needed = int(forest.edge_top[0]) + room
    if needed <= len(forest.logit):
        return forest
    capacity = max(needed, 2 * len(forest.logit))
    grown = {name: np.resize(getattr(forest, name), capacity) for name in EDGE_ARRAYS}
    return forest._replace(**grown)


def clear(forest: Forest) -> None:
    """Forget all trees, so that the next roots start with an empty pool."""
    forest.node_count[:] = 0
    forest.leaf_edge[:] = NONE
    forest.edge_top[0] = 0


def considered_visits(considered: int, simulations: int) -> Ints:
    """Visits a root move must have to be in turn, for each simulation (n,), with `considered` moves in sequential halving."""
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
    """Row m of (considered_max + 1, n): `considered_visits(m, n)`, for roots with m legal moves up to the most considered."""
    if considered_max < 1 or simulations < 1:
        raise ValueError(f"{considered_max} considered moves, {simulations} simulations: give at least 1 of each")
    table = np.stack([considered_visits(m, simulations) for m in range(considered_max + 1)])
    table.setflags(write=False)
    return table


@compiled
def plant(f: Forest, game: int, mover: int, logits: Floats, values: Floats, gumbel: Floats, illegal: bool) -> int:
    """Start the tree of `game`: logits (K,) and Gumbel noise (K,) of its K legal moves, values (P,). Returns the root node.

    NONE if the pool lacks room for K edges (`with_edges`, then again). `illegal`: there are actions besides the K.
    """
    f.node_count[game] = 0
    node = _add_node(f, game, mover, logits, values)
    if node != NONE:
        f.illegal[node] = 1 if illegal else 0
        first = f.first_edge[node]
        for k in range(len(logits)):
            f.gumbel[first + k] = gumbel[k]
    return node


@compiled
def expand(f: Forest, game: int, mover: int, logits: Floats, values: Floats) -> int:
    """Add the node behind the leaf of `game`; no logits if the game is over there, `values` (P,) then its result.

    Returns the node, to be handed to `backup`; NONE if the pool lacks room (nothing has changed then).
    """
    node = _add_node(f, game, mover, logits, values)
    if node != NONE:
        f.parent[node] = f.leaf_node[game]
        f.in_edge[node] = f.leaf_edge[game]
        f.child[f.leaf_edge[game]] = node
    return node


@compiled
def _add_node(f: Forest, game: int, mover: int, logits: Floats, values: Floats) -> int:
    count = len(logits)
    first = f.edge_top[0]
    if first + count > len(f.logit):
        return NONE
    node = game * f.stride + f.node_count[game]
    f.node_count[game] += 1
    f.edge_top[0] = first + count
    f.first_edge[node] = first
    f.edge_count[node] = count
    f.mover[node] = mover
    f.visits[node] = 1
    f.parent[node] = NONE
    f.in_edge[node] = NONE
    f.keep[node] = 1.0
    f.illegal[node] = 0
    for seat in range(f.raw.shape[1]):
        f.raw[node, seat] = values[seat]
        f.mean[node, seat] = values[seat]
        f.reward[node, seat] = 0.0
    top = np.float32(-np.inf)
    for k in range(count):
        top = max(top, logits[k])
    for k in range(count):
        f.logit[first + k] = logits[k] - top
        f.visits_of_edge[first + k] = 0
        f.child[first + k] = NONE
    return node


@compiled
def edge_value(f: Forest, edge: int, seat: int) -> float:
    """Q of a visited edge for `seat`: reward on the edge plus what is kept of the mean value behind it."""
    child = f.child[edge]
    return np.float64(f.reward[child, seat]) + np.float64(f.keep[child]) * np.float64(f.mean[child, seat])


@compiled
def mixed_value(f: Forest, s: Settings, node: int) -> float:
    """Value for the mover that stands in for unvisited edges: (value + N * prior-weighted mean Q of visited edges) / (N + 1)."""
    seat = f.mover[node]
    value = np.float64(f.raw[node, seat])
    if not s.mixed:
        return value
    first, count = f.first_edge[node], f.edge_count[node]
    top = -np.inf  # over visited edges, so that their priors cannot all vanish
    for edge in range(first, first + count):
        if f.visits_of_edge[edge] > 0:
            top = max(top, np.float64(f.logit[edge]))
    visits, weight, weighted = 0, 0.0, 0.0
    for edge in range(first, first + count):
        if f.visits_of_edge[edge] > 0:
            prior = np.exp(np.float64(f.logit[edge]) - top)
            visits += f.visits_of_edge[edge]
            weight += prior
            weighted += prior * edge_value(f, edge, seat)
    if visits == 0:
        return value
    return (value + visits * (weighted / weight)) / (visits + 1)


@compiled
def completed_scores(f: Forest, s: Settings, node: int) -> None:
    """Write to `score` of each edge of `node` how far its Q lifts its logit: sigma(completed Q).

    sigma(q) = (maxvisit_init + max visits) * value_scale * q, with q mapped onto [0, 1] over the node if `rescale`. Where the
    environment has illegal actions besides the edges, they are never visited, so their completed value takes part in the range.
    """
    first, count = f.first_edge[node], f.edge_count[node]
    seat = f.mover[node]
    unvisited = mixed_value(f, s, node)
    low, high = np.inf, -np.inf
    if f.illegal[node]:
        low, high = unvisited, unvisited
    visits_max = 0
    for edge in range(first, first + count):
        q = unvisited
        if f.visits_of_edge[edge] > 0:
            q = edge_value(f, edge, seat)
            visits_max = max(visits_max, f.visits_of_edge[edge])
        f.score[edge] = q
        low, high = min(low, q), max(high, q)
    scale = (s.maxvisit_init + visits_max) * s.value_scale
    shift = 0.0
    if s.rescale:
        spread = high - low
        if spread < RANGE_SHARE_MIN * max(abs(low), abs(high)):
            scale = 0.0
        shift = low
        scale /= max(spread, RANGE_MIN)
    for edge in range(first, first + count):
        f.score[edge] = scale * (np.float64(f.score[edge]) - shift)


@compiled
def _softmax(f: Forest, node: int) -> None:
    """Replace `score` of the edges of `node` by softmax(logit + score)."""
    first, count = f.first_edge[node], f.edge_count[node]
    top = -np.inf
    for edge in range(first, first + count):
        top = max(top, np.float64(f.logit[edge]) + np.float64(f.score[edge]))
    total = 0.0
    for edge in range(first, first + count):
        weight = np.exp(np.float64(f.logit[edge]) + np.float64(f.score[edge]) - top)
        total += weight
        f.score[edge] = weight
    for edge in range(first, first + count):
        f.score[edge] = np.float64(f.score[edge]) / total


@compiled
def _best_root_edge(f: Forest, s: Settings, root: int, visits: int) -> int:
    """Among root edges with exactly `visits`: arg-max of gumbel + logit + sigma(Q), the first of equals."""
    completed_scores(f, s, root)
    best, best_score = NONE, -np.inf
    first = f.first_edge[root]
    for edge in range(first, first + f.edge_count[root]):
        if f.visits_of_edge[edge] == visits:
            score = max(LOW_SCORE, np.float64(f.gumbel[edge]) + np.float64(f.logit[edge]) + np.float64(f.score[edge]))
            if score > best_score:
                best, best_score = edge, score
    return best


@compiled
def select_root(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Edge of the next simulation at the root, by sequential halving; `considered` as of `considered_table`, its n the budget."""
    root = game * f.stride
    row = min(considered.shape[0] - 1, f.edge_count[root])
    return _best_root_edge(f, s, root, considered[row, f.visits[root] - 1])


@compiled
def select_inner(f: Forest, s: Settings, node: int) -> int:
    """Edge whose share of visits lags most behind its improved policy: arg-max of policy - N(a) / (1 + sum N), the first of equals."""
    completed_scores(f, s, node)
    _softmax(f, node)
    first, count = f.first_edge[node], f.edge_count[node]
    visits = 1
    for edge in range(first, first + count):
        visits += f.visits_of_edge[edge]
    best, best_score = NONE, -np.inf
    for edge in range(first, first + count):
        score = np.float64(f.score[edge]) - f.visits_of_edge[edge] / visits
        if score > best_score:
            best, best_score = edge, score
    return best


@compiled
def descend(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Walk from the root of `game` to an edge without a node: returns it and leaves it in leaf_edge, its node in leaf_node.

    Where the walk ends at a known node instead (no edges, or at the depth limit), that node's evaluation is backed up once more
    and NONE is returned: the simulation is complete.
    """
    node, depth = game * f.stride, 0
    edge = select_root(f, s, game, considered)
    while True:
        child = f.child[edge]
        depth += 1
        if child == NONE:
            f.leaf_node[game] = node
            f.leaf_edge[game] = edge
            return edge
        if f.edge_count[child] == 0 or depth >= s.depth_max:
            f.visits[child] += 1
            backup(f, child)
            return NONE
        node = child
        edge = select_inner(f, s, node)


@compiled
def backup(f: Forest, node: int) -> None:
    """Carry the evaluation of `node` up to the root: v <- reward + keep * v, into each mean on the way, one visit more each."""
    seats = f.raw.shape[1]
    carry = f.carry[node // f.stride]
    for seat in range(seats):
        carry[seat] = f.raw[node, seat]
    while f.parent[node] != NONE:
        parent = f.parent[node]
        f.visits_of_edge[f.in_edge[node]] += 1
        count = f.visits[parent] + 1
        f.visits[parent] = count
        for seat in range(seats):
            carry[seat] = f.reward[node, seat] + f.keep[node] * carry[seat]
            # this form of (mean * n + v) / (n + 1) adds no rounding error where all values are equal
            f.mean[parent, seat] += (carry[seat] - f.mean[parent, seat]) / count
        node = parent


@compiled
def next_leaf(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Run simulations of `game` until one needs an evaluation: its edge, or NONE when all n are done (also in leaf_edge)."""
    root = game * f.stride
    f.leaf_edge[game] = NONE
    while f.visits[root] - 1 < considered.shape[1]:
        edge = descend(f, s, game, considered)
        if edge != NONE:
            return edge
    return NONE


@compiled
def next_leaves(f: Forest, s: Settings, games: int, considered: Ints) -> int:
    """`next_leaf` for games 0 .. games - 1; returns how many need an evaluation."""
    pending = 0
    for game in range(games):
        if next_leaf(f, s, game, considered) != NONE:
            pending += 1
    return pending


@compiled
def best_edge(f: Forest, s: Settings, game: int) -> int:
    """Edge to play at the root: the best score, noise included, among the most visited. NONE at a root without edges."""
    root = game * f.stride
    visits_max = 0
    for edge in range(f.first_edge[root], f.first_edge[root] + f.edge_count[root]):
        visits_max = max(visits_max, f.visits_of_edge[edge])
    return _best_root_edge(f, s, root, visits_max)


@compiled
def improved_policy(f: Forest, s: Settings, game: int, out: Floats) -> None:
    """The policy target of the root, softmax(logit + sigma(completed Q)) without noise, into out (K,)."""
    root = game * f.stride
    completed_scores(f, s, root)
    _softmax(f, root)
    for k in range(f.edge_count[root]):
        out[k] = f.score[f.first_edge[root] + k]
