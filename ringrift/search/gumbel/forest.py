"""Search trees of many games in flat arrays.

Values are vectors with one entry for each seat, and each node names its mover, who reads its own
entry. So two to four seats and several moves in a row by one seat need no special case. Arrays are
float32, as in play; sums over a row are formed in float64.

A forest advances as follows:

    plant(f, game, ...)                        a root with its evaluation, for each game
    while next_leaf(f, s, game, considered) != NONE:
        evaluate move leaf_edge[game] of the position at leaf_node[game], for all games at once
        node = expand(f, game, ...); backup(f, node)
    best_edge(f, s, game); improved_policy(f, s, game, out)

A simulation looks at visited edges and at the best of the others only, which all have the same
completed Q: the visited ones of a node are a list, and priors are computed at the first descent
from it. Most nodes are never descended from.
"""

from typing import Annotated, Final, NamedTuple

import numpy as np

from ringrift.search.arrays import Codes, Floats, Index, Records, allocate, record, records
from ringrift.search.compile import compiled

NONE: Final = -1  # no node, no edge
UNRANKED: Final = -2  # as best edge: not yet known
UNSCORED: Final = -3  # as best edge: the node has no logits yet
PRIOR_MIN: Final = 1e-300
"""Smallest prior, so that those of visited edges cannot all vanish."""

NODE: Final = record(
    i4="first_edge edge_count mover visits parent in_edge illegal visited best",
    f4="keep",
    f8="rest",
)
EDGE: Final = record(i4="visits child next", f4="logit gumbel score", f8="prior")
GAME: Final = record(i4="node_count leaf_node leaf_edge")


class Forest(NamedTuple):
    """Trees of G games with up to S = stride nodes each, E edges in one pool, P seats.

    Node g * S is the root of game g.

    node (G * S,)
      first_edge, edge_count  its edges (legal moves); none if the game is over there
      mover                   seat index 0..P-1 that moves
      visits                  1 + simulations through it
      parent, in_edge         how it was reached; NONE at a root
      illegal                 1: the environment has further actions here, which are illegal
                              (see `selection.completed_scores`)
      visited                 its first visited edge or NONE; `next` of an edge is the one after it
                              in ascending order
      best, rest              the unvisited edge with the largest logit, NONE, UNRANKED or UNSCORED;
                              sum of the priors of unvisited edges
      keep                    factor on values backed up from it: 1, or 0 after an edge that ends
                              the game in a table of the reference
    edge (E,)
      visits, child           child: node or NONE
      next                    the next visited edge of the node
      logit                   the largest of a node is 0
      gumbel, score           noise, at roots; scratch
      prior                   exp(logit), if the node is ranked
    game (G,)
      node_count
      leaf_node, leaf_edge    the edge that waits for an evaluation; NONE: all simulations are done;
                              UNSCORED: the node waits for logits
    raw, mean, reward (G * S, P)
                              evaluation of a node, mean of all values backed up to it, reward on
                              the edge into it
    carry (G, P)              scratch of `backup`
    edge_top (1,)             edges taken from the pool
    """

    stride: int
    node: Annotated[Records, "GS", NODE]
    edge: Annotated[Records, "E", EDGE]
    game: Annotated[Records, "G", GAME]
    raw: Annotated[Floats, "GS P"]
    mean: Annotated[Floats, "GS P"]
    reward: Annotated[Floats, "GS P"]
    carry: Annotated[Floats, "G P"]
    edge_top: Annotated[Codes, "1"]


def new_forest(games: int, simulations_max: int, seats: int, edges: int) -> Forest:
    """Return empty trees for `games` searches of up to `simulations_max` simulations, with a pool
    of `edges`."""
    if games < 1 or simulations_max < 1 or not 2 <= seats <= 4 or edges < 1:
        wanted = f"{games} games, {simulations_max} simulations, {seats} seats, {edges} edges"
        raise ValueError(f"a forest of {wanted} is too small")
    stride = simulations_max + 1
    sizes = {"G": games, "GS": games * stride, "E": edges, "P": seats, "1": 1}
    return allocate(Forest, sizes, stride=stride)


def with_edges(forest: Forest, room: int) -> Forest:
    """Return `forest` if at least `room` edges are free, else a copy with a larger pool.

    The copy shares the arrays of nodes."""
    needed = int(forest.edge_top[0]) + room
    if needed <= len(forest.edge):
        return forest
    edge = records(max(needed, 2 * len(forest.edge)), EDGE)
    edge[: len(forest.edge)] = forest.edge
    return forest._replace(edge=edge)


def clear(forest: Forest) -> None:
    """Remove all trees, so that the next roots start with an empty pool."""
    forest.game["node_count"] = 0
    forest.game["leaf_edge"] = NONE
    forest.edge_top[0] = 0


@compiled
def plant(
    f: Forest, game: int, mover: int, logits: Floats, values: Floats, gumbel: Floats, illegal: bool
) -> int:
    """Start the tree of `game` and return the root node.

    Takes logits (K,) and Gumbel noise (K,) of its K legal moves, and values (P,); `illegal`: there
    are actions besides the K. Returns NONE if the pool lacks room for K edges: call `with_edges`
    and try again."""
    f.game[game].node_count = 0
    node = _add_node(f, game, mover, len(logits), values)
    if node != NONE:
        f.node[node].illegal = 1 if illegal else 0
        set_logits(f, node, logits)
        rank(f, node)
        first = f.node[node].first_edge
        for k in range(len(logits)):
            f.edge[first + k].gumbel = gumbel[k]
    return node


@compiled
def expand(f: Forest, game: int, mover: int, logits: Floats, values: Floats) -> int:
    """Add the node behind the leaf of `game` and return it, to be passed to `backup`.

    If the game is over there, pass no logits and the result as `values` (P,). Returns NONE, with
    nothing changed, if the pool lacks room."""
    node = expand_unscored(f, game, mover, len(logits), values)
    if node != NONE:
        set_logits(f, node, logits)
    return node


@compiled
def expand_unscored(f: Forest, game: int, mover: int, count: int, values: Floats) -> int:
    """As `expand`, for a node with `count` edges whose logits are given once `next_leaf` asks."""
    node = _add_node(f, game, mover, count, values)
    if node != NONE:
        f.node[node].parent = f.game[game].leaf_node
        f.node[node].in_edge = f.game[game].leaf_edge
        f.edge[f.game[game].leaf_edge].child = node
    return node


@compiled
def _add_node(f: Forest, game: int, mover: int, count: int, values: Floats) -> int:
    first = int(f.edge_top[0])
    if first + count > len(f.edge):
        return NONE
    node: int = game * f.stride + f.game[game].node_count
    f.game[game].node_count += 1
    f.edge_top[0] = first + count
    x = f.node[node]
    x.first_edge = first
    x.edge_count = count
    x.mover = mover
    x.visits = 1
    x.parent = NONE
    x.in_edge = NONE
    x.visited = NONE
    x.best = UNSCORED
    x.keep = 1.0
    x.illegal = 0
    for seat in range(f.raw.shape[1]):
        f.raw[node, seat] = values[seat]
        f.mean[node, seat] = values[seat]
        f.reward[node, seat] = 0.0
    for edge in range(first, first + count):
        f.edge[edge].visits = 0
        f.edge[edge].child = NONE
    return node


@compiled
def set_logits(f: Forest, node: Index, logits: Floats) -> None:
    """Give the edges of a new node their logits (K,)."""
    first = f.node[node].first_edge
    top = np.float32(-np.inf)
    for k in range(len(logits)):
        top = max(top, logits[k])
    for k in range(len(logits)):
        f.edge[first + k].logit = logits[k] - top
    f.node[node].best = UNRANKED


@compiled
def rank(f: Forest, node: Index) -> None:
    """Compute `prior`, `best` and `rest` of a node that has logits."""
    first = f.node[node].first_edge
    for edge in range(first, first + f.node[node].edge_count):
        f.edge[edge].prior = max(PRIOR_MIN, np.exp(np.float64(f.edge[edge].logit)))
    find_best(f, node)


@compiled
def find_best(f: Forest, node: Index) -> None:
    """Compute `best`, the first with the largest logit, and `rest` of a node that has priors."""
    first = f.node[node].first_edge
    best, rest = NONE, 0.0
    for edge in range(first, first + f.node[node].edge_count):
        if f.edge[edge].visits == 0:
            rest += f.edge[edge].prior
            if best == NONE or f.edge[edge].logit > f.edge[best].logit:
                best = edge
    f.node[node].best = best
    f.node[node].rest = rest


@compiled
def edge_value(f: Forest, edge: int, seat: int) -> float:
    """Q of a visited edge for `seat`: reward on the edge + keep * mean value behind it."""
    child = f.edge[edge].child
    keep = np.float64(f.node[child].keep)
    return np.float64(f.reward[child, seat]) + keep * np.float64(f.mean[child, seat])


@compiled
def backup(f: Forest, node: Index) -> None:
    """Carry the evaluation of `node` up to the root: v <- reward + keep * v on each edge, into the
    mean of each node on the way, with one more visit."""
    seats = f.raw.shape[1]
    carry = f.carry[node // f.stride]
    for seat in range(seats):
        carry[seat] = f.raw[node, seat]
    while f.node[node].parent != NONE:
        parent = np.int64(f.node[node].parent)
        edge = np.int64(f.node[node].in_edge)
        f.edge[edge].visits += 1
        if f.edge[edge].visits == 1:
            _list_visited(f, parent, edge)
        count = f.node[parent].visits + 1
        f.node[parent].visits = count
        for seat in range(seats):
            carry[seat] = f.reward[node, seat] + f.node[node].keep * carry[seat]
            # unlike (mean * n + v) / (n + 1), this adds no rounding error where all values are
            # equal
            f.mean[parent, seat] += (carry[seat] - f.mean[parent, seat]) / count
        node = parent


@compiled
def _list_visited(f: Forest, node: Index, edge: Index) -> None:
    """Insert an edge into the list of visited edges."""
    before, after = np.int64(NONE), np.int64(f.node[node].visited)
    while after != NONE and after < edge:
        before, after = after, np.int64(f.edge[after].next)
    f.edge[edge].next = after
    if before == NONE:
        f.node[node].visited = edge
    else:
        f.edge[before].next = edge
