"""Gumbel AlphaZero search on trees in flat arrays: the compiled kernel.

Sequential halving over Gumbel-sampled root moves, completed Q values inside and the improved policy
as target (Danihelka et al., "Policy improvement by planning with Gumbel", ICLR 2022; the details
are those of DeepMind's mctx, to which two players come down). Values are vectors with one entry a
seat, and each node names its mover, so that two to four seats and several moves in a row by one
seat need no special case: whoever moves at a node reads its own entry.

A `Forest` holds one tree for each of G games, which advance together:

    plant(forest, game, ...)                     a root with its evaluation, for each game while
    next_leaves(f, s, considered):        one simulation on for each game, stopping where an
    evaluation is needed
        evaluate the move leaf_edge[game] of the position at leaf_node[game], for all games at once
        node = expand(f, game, ...); backup(f, node)
    best_edge(f, s, game), improved_policy(f, s, game, out)

Visits to known ends (a finished game, the depth limit) need no evaluation and are backed up on the
way, so each game that is not done has a leaf to evaluate. Arrays are float32, as in play; sums of
one row are formed in float64."""

from functools import lru_cache
from math import ceil, log2
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.search.compile import compiled

NONE: Final = -1  # no node, no edge
DEPTH_UNLIMITED: Final = 1 << 30
LOW_SCORE: Final = -1e9  # floor of a root score, as in mctx
RANGE_SHARE_MIN: Final = 1e-5
"""Completed Q values whose range is below this share of the scale of values (1, or their largest
magnitude if above) are taken as equal: rescaling would stretch float32 rounding noise, some 1e-7,
over the whole range and turn it into targets (the reference found policies wrong by up to 0.69)."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


class Settings(NamedTuple):
    """How Q values weigh against priors. Defaults are the paper's for rescaled values: c_visit 50,
    c_scale 0.1.

    `rescale`: map the completed Q values of a node onto [0, 1]; `mixed`: complete with the mix of
    the node's value and its visited children, not with the value alone; `depth_max`: nodes this
    deep are evaluated but not descended from."""

    value_scale: float = 0.1
    maxvisit_init: float = 50.0
    rescale: bool = True
    mixed: bool = True
    depth_max: int = DEPTH_UNLIMITED


NODE: Final = np.dtype(
    [
        ("first_edge", np.int32),
        ("edge_count", np.int32),
        ("mover", np.int32),
        ("visits", np.int32),
        ("parent", np.int32),
        ("in_edge", np.int32),
        ("keep", np.float32),
        ("illegal", np.int32),
    ]
)
EDGE: Final = np.dtype(
    [
        ("logit", np.float32),
        ("gumbel", np.float32),
        ("score", np.float32),
        ("visits", np.int32),
        ("child", np.int32),
    ]
)
GAME: Final = np.dtype([("node_count", np.int32), ("leaf_node", np.int32), ("leaf_edge", np.int32)])
Records = np.recarray[Any, np.dtype[np.record]]
Index = (
    int | np.int64
)  # widened to int64 where it is handed on, so that a function is compiled once


class Forest(NamedTuple):
    """Trees of G games with up to S = stride nodes each, E edges in one pool, P seats. Node g * S
    is the root of game g.

    node (G * S,):
      first_edge, edge_count  its edges (legal moves) are first_edge .. first_edge + edge_count - 1;
      none: the game is over there mover                   seat index 0..P-1 that moves visits
      1 + simulations through it parent, in_edge         how it was reached; NONE at a root keep
      what is added above it is multiplied by this: 1, or 0 after an edge that ends the game in a
      table illegal                 1: the environment has further actions here that are illegal
      (see `completed_scores`)
    edge (E,): logit (the largest of a node is 0), gumbel (noise, at roots), score (scratch),
    visits, child (node or NONE) game (G,): node_count, and the edge leaf_edge of node leaf_node
    that waits for an evaluation (NONE: all simulations are done) raw, mean, reward (G * S, P):
    evaluation of a node, mean of all values backed up to it, reward on the edge into it carry (G,
    P): scratch of `backup` edge_top (1,): edges taken from the pool"""

    stride: int
    node: Records
    edge: Records
    game: Records
    raw: Floats
    mean: Floats
    reward: Floats
    carry: Floats
    edge_top: NDArray[np.int64]


def new_forest(games: int, simulations_max: int, seats: int, edges: int) -> Forest:
    """Empty trees for `games` searches of up to `simulations_max` simulations, with a pool of
    `edges` (see `with_edges`)."""
    if games < 1 or simulations_max < 1 or not 2 <= seats <= 4 or edges < 1:
        raise ValueError(
            f"forest of {games} games, {simulations_max} simulations, {seats} seats, {edges} edges: too small"
        )
    stride = simulations_max + 1
    nodes = games * stride
    return Forest(
        stride=stride,
        node=np.zeros(nodes, NODE).view(np.recarray),
        edge=np.zeros(edges, EDGE).view(np.recarray),
        game=np.zeros(games, GAME).view(np.recarray),
        raw=np.zeros((nodes, seats), np.float32),
        mean=np.zeros((nodes, seats), np.float32),
        reward=np.zeros((nodes, seats), np.float32),
        carry=np.zeros((games, seats), np.float32),
        edge_top=np.zeros(1, np.int64),
    )


def with_edges(forest: Forest, room: int) -> Forest:
    """`forest` with at least `room` edges free: itself, or a copy with a larger pool (the node
    arrays stay shared)."""
    needed = int(forest.edge_top[0]) + room
    if needed <= len(forest.edge):
        return forest
    edge = np.zeros(max(needed, 2 * len(forest.edge)), EDGE).view(np.recarray)
    edge[: len(forest.edge)] = forest.edge
    return forest._replace(edge=edge)


def clear(forest: Forest) -> None:
    """Forget all trees, so that the next roots start with an empty pool."""
    forest.game["node_count"] = 0
    forest.game["leaf_edge"] = NONE
    forest.edge_top[0] = 0


def considered_visits(considered: int, simulations: int) -> Ints:
    """Visits a root move must have to be in turn, for each simulation (n,), with `considered` moves
    in sequential halving."""
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
    """Row m of (considered_max + 1, n): `considered_visits(m, n)`, for roots with m legal moves up
    to the most considered."""
    if considered_max < 1 or simulations < 1:
        raise ValueError(
            f"{considered_max} considered moves, {simulations} simulations: give at least 1 of each"
        )
    table = np.stack([considered_visits(m, simulations) for m in range(considered_max + 1)])
    table.setflags(write=False)
    return table


@compiled
def plant(
    f: Forest, game: int, mover: int, logits: Floats, values: Floats, gumbel: Floats, illegal: bool
) -> int:
    """Start the tree of `game`: logits (K,) and Gumbel noise (K,) of its K legal moves, values
    (P,). Returns the root node.

    NONE if the pool lacks room for K edges (`with_edges`, then again). `illegal`: there are actions
    besides the K."""
    f.game[game].node_count = 0
    node = _add_node(f, game, mover, logits, values)
    if node != NONE:
        f.node[node].illegal = 1 if illegal else 0
        first = f.node[node].first_edge
        for k in range(len(logits)):
            f.edge[first + k].gumbel = gumbel[k]
    return node


@compiled
def expand(f: Forest, game: int, mover: int, logits: Floats, values: Floats) -> int:
    """Add the node behind the leaf of `game`; no logits if the game is over there, `values` (P,)
    then its result.

    Returns the node, to be handed to `backup`; NONE if the pool lacks room (nothing has changed
    then)."""
    node = _add_node(f, game, mover, logits, values)
    if node != NONE:
        f.node[node].parent = f.game[game].leaf_node
        f.node[node].in_edge = f.game[game].leaf_edge
        f.edge[f.game[game].leaf_edge].child = node
    return node


@compiled
def _add_node(f: Forest, game: int, mover: int, logits: Floats, values: Floats) -> int:
    count = len(logits)
    first = int(f.edge_top[0])
    if first + count > len(f.edge):
        return NONE
    node: int = game * f.stride + f.game[game].node_count
    f.game[game].node_count += 1
    f.edge_top[0] = first + count
    f.node[node].first_edge = first
    f.node[node].edge_count = count
    f.node[node].mover = mover
    f.node[node].visits = 1
    f.node[node].parent = NONE
    f.node[node].in_edge = NONE
    f.node[node].keep = 1.0
    f.node[node].illegal = 0
    for seat in range(f.raw.shape[1]):
        f.raw[node, seat] = values[seat]
        f.mean[node, seat] = values[seat]
        f.reward[node, seat] = 0.0
    top = np.float32(-np.inf)
    for k in range(count):
        top = max(top, logits[k])
    for k in range(count):
        f.edge[first + k].logit = logits[k] - top
        f.edge[first + k].visits = 0
        f.edge[first + k].child = NONE
    return node


@compiled
def edge_value(f: Forest, edge: int, seat: int) -> float:
    """Q of a visited edge for `seat`: reward on the edge plus what is kept of the mean value behind
    it."""
    child = f.edge[edge].child
    return np.float64(f.reward[child, seat]) + np.float64(f.node[child].keep) * np.float64(
        f.mean[child, seat]
    )


@compiled
def mixed_value(f: Forest, s: Settings, node: Index) -> float:
    """Value for the mover that stands in for unvisited edges: (value + N * prior-weighted mean Q of
    visited edges) / (N + 1)."""
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
    """Write to `score` of each edge of `node` how far its Q lifts its logit: sigma(completed Q).

    sigma(q) = (maxvisit_init + max visits) * value_scale * q, with q mapped onto [0, 1] over the
    node if `rescale`. Where the environment has illegal actions besides the edges, they are never
    visited, so their completed value takes part in the range."""
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
def _best_root_edge(f: Forest, s: Settings, root: int, visits: Index) -> int:
    """Among root edges with exactly `visits`: arg-max of gumbel + logit + sigma(Q), the first of
    equals."""
    completed_scores(f, s, root)
    best, best_score = NONE, -np.inf
    first = f.node[root].first_edge
    for edge in range(first, first + f.node[root].edge_count):
        if f.edge[edge].visits == visits:
            score = max(
                LOW_SCORE,
                np.float64(f.edge[edge].gumbel)
                + np.float64(f.edge[edge].logit)
                + np.float64(f.edge[edge].score),
            )
            if (
                best == NONE or score > best_score
            ):  # never NONE, even if an evaluation was not a number
                best, best_score = edge, score
    return best


@compiled
def select_root(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Edge of the next simulation at the root, by sequential halving; `considered` as of
    `considered_table`, its n the budget."""
    root = game * f.stride
    row = min(considered.shape[0] - 1, f.node[root].edge_count)
    return _best_root_edge(f, s, root, np.int64(considered[row, f.node[root].visits - 1]))


@compiled
def select_inner(f: Forest, s: Settings, node: Index) -> int:
    """Edge whose visits lag most behind its improved policy: arg-max of policy - N(a) / (1 + sum
    N), the first of equals."""
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
    """Walk from the root of `game` to an edge without a node: returns it and leaves it in
    leaf_edge, its node in leaf_node.

    Where the walk ends at a known node instead (no edges, or at the depth limit), that node's
    evaluation is backed up once more and NONE is returned: the simulation is complete."""
    node: Index = game * f.stride
    depth = 0
    edge = select_root(f, s, game, considered)
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
def backup(f: Forest, node: Index) -> None:
    """Carry the evaluation of `node` up to the root: v <- reward + keep * v, into each mean on the
    way, one visit more each."""
    seats = f.raw.shape[1]
    carry = f.carry[node // f.stride]
    for seat in range(seats):
        carry[seat] = f.raw[node, seat]
    while f.node[node].parent != NONE:
        parent = np.int64(f.node[node].parent)
        f.edge[f.node[node].in_edge].visits += 1
        count = f.node[parent].visits + 1
        f.node[parent].visits = count
        for seat in range(seats):
            carry[seat] = f.reward[node, seat] + f.node[node].keep * carry[seat]
            # this form of (mean * n + v) / (n + 1) adds no rounding error where all values are
            # equal
            f.mean[parent, seat] += (carry[seat] - f.mean[parent, seat]) / count
        node = parent


@compiled
def next_leaf(f: Forest, s: Settings, game: int, considered: Ints) -> int:
    """Run simulations of `game` until one needs an evaluation: its edge, or NONE when all n are
    done (also in leaf_edge).

    A root without edges has nothing to search and is done at once.
    """
    root = game * f.stride
    f.game[game].leaf_edge = NONE
    while f.node[root].edge_count > 0 and f.node[root].visits - 1 < considered.shape[1]:
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
    """Edge to play at the root: the best score, noise included, among the most visited. NONE at a
    root without edges."""
    root = game * f.stride
    visits_max = 0
    for edge in range(f.node[root].first_edge, f.node[root].first_edge + f.node[root].edge_count):
        visits_max = max(visits_max, f.edge[edge].visits)
    return _best_root_edge(f, s, root, visits_max)


@compiled
def improved_policy(f: Forest, s: Settings, game: int, out: Floats) -> None:
    """The policy target of the root, softmax(logit + sigma(completed Q)) without noise, into out
    (K,)."""
    root = game * f.stride
    completed_scores(f, s, root)
    _softmax(f, root)
    for k in range(f.node[root].edge_count):
        out[k] = f.edge[f.node[root].first_edge + k].score
