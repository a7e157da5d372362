"""Gumbel search over the real game, compiled: two to four seats, several moves in a row by one seat, forced plies for free.

The tree is that of `ringrift.search.gumbel`; here are the positions behind its nodes. One compiled function, `drive`, does everything
that touches the rules, because every compiled function that calls them carries a copy of their machine code.

Values in the tree are by *person*, the seat a player had before any swap of the pie rule: a swap changes who moves, not what a
number means.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.compile import U
from ringrift.rules.core import apply_move, copy_state, legal_moves
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.search import gumbel as tree
from ringrift.search.compile import compiled, inlined
from ringrift.search.gumbel import NONE, Floats, Forest, Ints, Settings
from ringrift.search.heuristic import SCRATCH, evaluate
from ringrift.search.outcome import final_values
from ringrift.search.splitmix import gumbel_noise, mix

Codes = NDArray[np.int64]

# What `drive` does.
SEARCH: Final = 0  # simulate until every game waits for the caller or is done
PLAY: Final = 1  # play a move and the forced plies after it

# What values a leaf.
NETWORK: Final = 0  # the caller, between two calls of `drive`
HEURISTIC: Final = 1  # the handcrafted evaluation, inside compiled code
NULL: Final = 2  # nothing: equal logits, value 0

# How far the search of a game is.
NEW: Final = 0  # the root's state stands, nothing else
WAITING: Final = 1  # the pending node needs logits and values from the caller
ANSWERED: Final = 2  # they are in place
FULL: Final = 3  # they are in place, but the edge pool has to be enlarged first
DONE: Final = 4  # all simulations are made; policy and best are written

FORCED_SHIFT: Final = 32
FORCED_COUNT: Final = (1 << FORCED_SHIFT) - 1


class Plan(NamedTuple):
    """How a search is made."""

    evaluator: int
    settings: Settings
    lookahead: float
    """HEURISTIC: a root's logits are this times the value after each move, forced plies played; 0: equal logits"""


class Grove(NamedTuple):
    """The games of one forest: G games, nodes as in the forest, A the longest possible legal list."""

    states: Words  # [nodes, S] position of a node, forced plies played
    edge_move: Codes  # [E]
    seeds: NDArray[np.uint64]  # [G] key of a game's choices; its numbers depend on the ply too
    scale: Floats  # [G] of the root noise, 0: none
    status: Ints  # [G]
    count: Ints  # [G] legal moves of the pending node
    moves: Codes  # [G, A] the legal moves themselves; at a root in ascending order
    logits: Floats  # [G, A] answer for the pending node, afterwards the improved policy of the root
    values: Floats  # [G, n] answer by seat, afterwards the root's mean value by seat
    visits: Ints  # [G, A] of the root's edges, once the search is done
    best: Codes  # [G] move to play, once the search is done
    weights: Floats  # [FEATURES] of the heuristic
    # scratch
    spare: Codes  # [A]
    noise: Floats  # [A]
    state: Words  # [S]
    features: Floats  # [SCRATCH]
    seat_values: Floats  # [n]


def new_grove(G: Geometry, games: int, nodes: int, edges: int, weights: Floats) -> Grove:
    """Room for the games of a forest with so many nodes and edges."""
    return Grove(
        states=np.zeros((nodes, G.state_size), np.int32),
        edge_move=np.zeros(edges, np.int64),
        seeds=np.zeros(games, np.uint64),
        scale=np.zeros(games, np.float32),
        status=np.zeros(games, np.int32),
        count=np.zeros(games, np.int32),
        moves=np.zeros((games, G.moves_max), np.int64),
        logits=np.zeros((games, G.moves_max), np.float32),
        values=np.zeros((games, G.seats), np.float32),
        visits=np.zeros((games, G.moves_max), np.int32),
        best=np.zeros(games, np.int64),
        weights=weights,
        spare=np.zeros(G.moves_max, np.int64),
        noise=np.zeros(G.moves_max, np.float32),
        state=np.zeros(G.state_size, np.int32),
        features=np.zeros(SCRATCH, np.float32),
        seat_values=np.zeros(G.seats, np.float32),
    )


class Table(NamedTuple):
    """Games being played, apart from any tree: B games."""

    states: Words  # [B, S]
    chosen: Codes  # [B] move to play, 0: none
    record: Codes  # [B, plies] moves of the game so far
    plies: Codes  # [B]


def no_table(G: Geometry) -> Table:
    """A table without games, for searches."""
    return Table(
        np.zeros((0, G.state_size), np.int32), np.zeros(0, np.int64), np.zeros((0, 1), np.int64), np.zeros(0, np.int64)
    )


@compiled
def person_of(s: Words, seat: int) -> int:
    """0-based person at `seat`: another one after a swap of the pie rule."""
    return 2 - seat if s[U(la.SWAPPED)] else seat - 1


@inlined
def forced_plies(G: Geometry, s: Words, moves: Codes, record: Codes, at: int) -> int:
    """Play on while there is one legal move only; plies go to `record[at:]`, unless `record` is empty, and stop at its end.

    Leaves the legal list in `moves` and returns its length (0: the game is over) + the number of plies played << FORCED_SHIFT."""
    played = np.int64(0)
    count = np.int64(legal_moves(G, s, moves))
    while count == 1 and (record.size == 0 or at + played < record.size):
        if record.size > 0:
            record[at + played] = moves[0]
        apply_move(G, s, moves[0])
        played += 1
        count = np.int64(legal_moves(G, s, moves))
    return count + (played << FORCED_SHIFT)


@compiled
def sort_moves(moves: Codes, count: int) -> None:
    """Sort the first `count` in place (Shell 1959, gaps by halving)."""
    gap = count // 2
    while gap > 0:
        for i in range(gap, count):
            m = moves[U(i)]
            j = i
            while j >= gap and moves[U(j - gap)] > m:
                moves[U(j)] = moves[U(j - gap)]
                j -= gap
            moves[U(j)] = m
        gap //= 2


@inlined
def look_ahead(G: Geometry, plan: Plan, D: Grove, game: int, s: Words) -> None:
    """Logits of a root from the heuristic value, for the mover, of the position after each move."""
    person = person_of(s, np.int64(s[U(la.TURN)]))
    for i in range(D.count[game]):
        copy_state(D.state, s)
        apply_move(G, D.state, D.moves[game, i])
        forced_plies(G, D.state, D.spare, D.spare[:0], 0)
        evaluate(G, D.state, D.weights, D.features, D.seat_values)
        seat = person if person_of(D.state, person + 1) == person else 1 - person
        D.logits[game, i] = plan.lookahead * D.seat_values[seat]


@inlined
def answer_inside(G: Geometry, plan: Plan, D: Grove, game: int, node: int, root: bool) -> None:
    """Logits and values of the pending node from a compiled evaluator."""
    s = D.states[node]
    for i in range(D.count[game]):
        D.logits[game, i] = 0.0
    if plan.evaluator == NULL:
        for seat in range(G.seats):
            D.values[game, seat] = 0.0
        return
    if root and plan.lookahead > 0.0:
        look_ahead(G, plan, D, game, s)
    evaluate(G, s, D.weights, D.features, D.values[game])


@compiled
def grow(f: Forest, D: Grove, game: int, node: int, root: bool) -> bool:
    """Give the tree the pending node with its answer. False if the edge pool has no room: nothing has changed then."""
    s = D.states[node]
    count = np.int64(D.count[game])
    for seat in range(1, D.values.shape[1] + 1):
        D.seat_values[person_of(s, seat)] = D.values[game, seat - 1]
    mover = person_of(s, np.int64(s[U(la.TURN)])) if count else 0
    if root:
        key = mix(D.seeds[game], np.int64(s[U(la.PLY)]))
        for i in range(count):
            D.noise[i] = D.scale[game] * gumbel_noise(key, i) if D.scale[game] > 0.0 else 0.0
        if tree.plant(f, game, mover, D.logits[game, :count], D.seat_values, D.noise[:count], False) == NONE:
            return False
    else:
        if tree.expand(f, game, mover, D.logits[game, :count], D.seat_values) == NONE:
            return False
        tree.backup(f, node)
    first = np.int64(f.node[node].first_edge)
    for i in range(count):
        D.edge_move[first + i] = D.moves[game, i]
    return True


@inlined
def next_position(G: Geometry, f: Forest, D: Grove, game: int, node: int) -> None:
    """Set up the position and the legal moves of the leaf that the tree has chosen."""
    s = D.states[node]
    copy_state(s, D.states[f.game[game].leaf_node])
    apply_move(G, s, D.edge_move[f.game[game].leaf_edge])
    D.count[game] = forced_plies(G, s, D.moves[game], D.spare[:0], 0) & FORCED_COUNT
    if D.count[game] == 0:
        final_values(s, G.seats, D.values[game])


@compiled
def finish_search(f: Forest, plan: Plan, D: Grove, game: int) -> None:
    """Write what the search has found about its root."""
    root = game * f.stride
    first, count = np.int64(f.node[root].first_edge), np.int64(f.node[root].edge_count)
    D.count[game] = count
    tree.improved_policy(f, plan.settings, game, D.logits[game, :count])
    for i in range(count):
        D.moves[game, i] = D.edge_move[first + i]
        D.visits[game, i] = f.edge[first + i].visits
    s = D.states[root]
    for seat in range(1, D.values.shape[1] + 1):
        D.values[game, seat - 1] = f.mean[root, person_of(s, seat)]
    D.best[game] = D.edge_move[tree.best_edge(f, plan.settings, game)]
    D.status[game] = DONE


@inlined
def search_game(G: Geometry, f: Forest, plan: Plan, D: Grove, considered: Ints, game: int) -> None:
    """Simulate until the game waits for the caller or is done."""
    root = game * f.stride
    node = root + np.int64(f.game[game].node_count)
    if D.status[game] == NEW:
        node = root
        D.count[game] = legal_moves(G, D.states[root], D.moves[game])
        sort_moves(D.moves[game], np.int64(D.count[game]))
        if plan.evaluator == NETWORK:
            D.status[game] = WAITING
            return
        answer_inside(G, plan, D, game, root, True)
    while True:
        if not grow(f, D, game, node, node == root):
            D.status[game] = FULL
            return
        if tree.next_leaf(f, plan.settings, game, considered) == NONE:
            finish_search(f, plan, D, game)
            return
        node = root + np.int64(f.game[game].node_count)
        next_position(G, f, D, game, node)
        if D.count[game] > 0:
            if plan.evaluator == NETWORK:
                D.status[game] = WAITING
                return
            answer_inside(G, plan, D, game, node, False)


@inlined
def play_game(G: Geometry, T: Table, b: int, spare: Codes) -> None:
    """Play the chosen move (0: none) and the forced plies after it, and record them as far as the record has room."""
    s = T.states[b]
    at = np.int64(T.plies[b])
    if T.chosen[b] != 0 and at < T.record.shape[1]:
        T.record[b, at] = T.chosen[b]
        apply_move(G, s, T.chosen[b])
        at += 1
    T.plies[b] = at + (forced_plies(G, s, spare, T.record[b], at) >> FORCED_SHIFT)


@compiled
def drive(task: int, G: Geometry, f: Forest, plan: Plan, D: Grove, considered: Ints, T: Table) -> None:
    """SEARCH: go on with every game of the forest that is not done and does not wait. PLAY: play on at the table."""
    if task == SEARCH:
        for game in range(D.status.size):
            if D.status[game] not in (WAITING, DONE):
                search_game(G, f, plan, D, considered, game)
    else:
        for b in range(T.chosen.size):
            play_game(G, T, b, D.spare)
