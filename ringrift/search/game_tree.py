"""Gumbel search over the real game, compiled: two to four seats, several moves in a row by one
seat, forced plies for free.

The tree is that of `ringrift.search.gumbel`; here are the positions behind its nodes. One compiled
function, `drive`, does all that touches the rules, because every compiled function that calls them
carries a copy of their machine code.

Values in the tree are by *person*, the seat a player had before any swap of the pie rule: a swap
changes who moves, not what a number means."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, copy_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search import gumbel as tree
from ringrift.search.compile import compiled, inlined
from ringrift.search.gumbel import NONE, Floats, Forest, Ints, Settings
from ringrift.search.heuristic import SCRATCH, evaluate
from ringrift.search.splitmix import gumbel_noise, mix

Codes = NDArray[np.int64]

# What `drive` does.
SEARCH: Final = 0  # simulate until every game waits for the caller or is done
PLAY: Final = 1  # play a move and the forced plies after it

# What values a leaf.
NETWORK: Final = 0  # the caller, between two calls of `drive`
HEURISTIC: Final = 1  # the handcrafted evaluation, inside compiled code
NULL: Final = 2  # nothing: equal logits, value 0
NNUE: Final = 3  # an NNUE inside compiled code; of depth-first searches only

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
    """HEURISTIC: a root's logits are this times the value after each move, forced plies played; 0:
    equal logits"""


class Grove(NamedTuple):
    """The games of one forest: G games, nodes as in the forest, A the longest possible legal
    list."""

    states: Words  # [nodes, S] position of a node, forced plies played
    edge_move: Codes  # [E]
    seeds: NDArray[np.uint64]  # [G] key of a game's choices; its numbers depend on the ply too
    scale: Floats  # [G] of the root noise, 0: none
    status: Ints  # [G]
    legal: Ints  # [G] number of legal moves of the pending node
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


def new_grove(g: Geometry, games: int, nodes: int, edges: int, weights: Floats) -> Grove:
    """Room for the games of a forest with so many nodes and edges."""
    return Grove(
        states=np.zeros((nodes, g.state_size), np.int32),
        edge_move=np.zeros(edges, np.int64),
        seeds=np.zeros(games, np.uint64),
        scale=np.zeros(games, np.float32),
        status=np.zeros(games, np.int32),
        legal=np.zeros(games, np.int32),
        moves=np.zeros((games, g.moves_max), np.int64),
        logits=np.zeros((games, g.moves_max), np.float32),
        values=np.zeros((games, g.seats), np.float32),
        visits=np.zeros((games, g.moves_max), np.int32),
        best=np.zeros(games, np.int64),
        weights=weights,
        spare=np.zeros(g.moves_max, np.int64),
        noise=np.zeros(g.moves_max, np.float32),
        state=np.zeros(g.state_size, np.int32),
        features=np.zeros(SCRATCH, np.float32),
        seat_values=np.zeros(g.seats, np.float32),
    )


class Table(NamedTuple):
    """Games being played, apart from any tree: B games."""

    states: Words  # [B, S]
    chosen: Codes  # [B] move to play, 0: the game waits
    record: Codes  # [B, plies] moves of the game so far
    plies: Codes  # [B]


def no_table(g: Geometry) -> Table:
    """A table without games, for searches."""
    return Table(
        np.zeros((0, g.state_size), np.int32),
        np.zeros(0, np.int64),
        np.zeros((0, 1), np.int64),
        np.zeros(0, np.int64),
    )


@compiled
def person_of(s: Words, seat: int) -> int:
    """0-based person at `seat`: another one after a swap of the pie rule."""
    return 2 - seat if s[U(la.SWAPPED)] else seat - 1


@inlined
def forced_plies(g: Geometry, s: Words, moves: Codes, record: Codes, at: int) -> int:
    """Play on while there is one legal move only; plies go to `record[at:]`, unless `record` is
    empty, and stop at its end.

    Leaves the legal list in `moves` and returns its length (0: the game is over) + the number of
    plies played << FORCED_SHIFT."""
    played = i64(0)
    count = i64(legal_moves(g, s, moves))
    while count == 1 and (record.size == 0 or at + played < record.size):
        if record.size > 0:
            record[at + played] = moves[0]
        apply_move(g, s, moves[0])
        played += 1
        count = i64(legal_moves(g, s, moves))
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
def look_ahead(g: Geometry, plan: Plan, d: Grove, game: int, s: Words) -> None:
    """Logits of a root from the heuristic value, for the mover, of the position after each move."""
    person = person_of(s, i64(s[U(la.TURN)]))
    for i in range(d.legal[game]):
        copy_state(d.state, s)
        apply_move(g, d.state, d.moves[game, i])
        forced_plies(g, d.state, d.spare, d.spare[:0], 0)
        evaluate(g, d.state, d.weights, d.features, d.seat_values)
        seat = person if person_of(d.state, person + 1) == person else 1 - person
        d.logits[game, i] = plan.lookahead * d.seat_values[seat]


@inlined
def answer_inside(g: Geometry, plan: Plan, d: Grove, game: int, node: int, root: bool) -> None:
    """Logits and values of the pending node from a compiled evaluator."""
    s = d.states[node]
    for i in range(d.legal[game]):
        d.logits[game, i] = 0.0
    if plan.evaluator == NULL:
        for seat in range(g.seats):
            d.values[game, seat] = 0.0
        return
    if root and plan.lookahead > 0.0:
        look_ahead(g, plan, d, game, s)
    evaluate(g, s, d.weights, d.features, d.values[game])


@compiled
def grow(f: Forest, d: Grove, game: int, node: int, root: bool) -> bool:
    """Give the tree the pending node with its answer. False if the edge pool has no room: nothing
    has changed then."""
    s = d.states[node]
    count = i64(d.legal[game])
    for seat in range(1, d.values.shape[1] + 1):
        d.seat_values[person_of(s, seat)] = d.values[game, seat - 1]
    mover = person_of(s, i64(s[U(la.TURN)])) if count else 0
    if root:
        key = mix(d.seeds[game], i64(s[U(la.PLY)]))
        for i in range(count):
            d.noise[i] = d.scale[game] * gumbel_noise(key, i) if d.scale[game] > 0.0 else 0.0
        if (
            tree.plant(
                f, game, mover, d.logits[game, :count], d.seat_values, d.noise[:count], False
            )
            == NONE
        ):
            return False
    else:
        if tree.expand(f, game, mover, d.logits[game, :count], d.seat_values) == NONE:
            return False
        tree.backup(f, node)
    first = i64(f.node[node].first_edge)
    for i in range(count):
        d.edge_move[first + i] = d.moves[game, i]
    return True


@inlined
def next_position(g: Geometry, f: Forest, d: Grove, game: int, node: int) -> None:
    """Set up the position and the legal moves of the leaf that the tree has chosen."""
    s = d.states[node]
    copy_state(s, d.states[f.game[game].leaf_node])
    apply_move(g, s, d.edge_move[f.game[game].leaf_edge])
    d.legal[game] = forced_plies(g, s, d.moves[game], d.spare[:0], 0) & FORCED_COUNT
    if d.legal[game] == 0:
        final_values(s, g.seats, d.values[game])


@compiled
def finish_search(f: Forest, plan: Plan, d: Grove, game: int) -> None:
    """Write what the search has found about its root."""
    root = game * f.stride
    first, count = i64(f.node[root].first_edge), i64(f.node[root].edge_count)
    d.legal[game] = count
    tree.improved_policy(f, plan.settings, game, d.logits[game, :count])
    for i in range(count):
        d.moves[game, i] = d.edge_move[first + i]
        d.visits[game, i] = f.edge[first + i].visits
    s = d.states[root]
    for seat in range(1, d.values.shape[1] + 1):
        d.values[game, seat - 1] = f.mean[root, person_of(s, seat)]
    d.best[game] = d.edge_move[tree.best_edge(f, plan.settings, game)]
    d.status[game] = DONE


@inlined
def search_game(g: Geometry, f: Forest, plan: Plan, d: Grove, considered: Ints, game: int) -> None:
    """Simulate until the game waits for the caller or is done."""
    root = game * f.stride
    node = root + i64(f.game[game].node_count)
    if d.status[game] == NEW:
        node = root
        d.legal[game] = legal_moves(g, d.states[root], d.moves[game])
        sort_moves(d.moves[game], i64(d.legal[game]))
        if plan.evaluator == NETWORK:
            d.status[game] = WAITING
            return
        answer_inside(g, plan, d, game, root, True)
    while True:
        if not grow(f, d, game, node, node == root):
            d.status[game] = FULL
            return
        if tree.next_leaf(f, plan.settings, game, considered) == NONE:
            finish_search(f, plan, d, game)
            return
        node = root + i64(f.game[game].node_count)
        next_position(g, f, d, game, node)
        if d.legal[game] > 0:
            if plan.evaluator == NETWORK:
                d.status[game] = WAITING
                return
            answer_inside(g, plan, d, game, node, False)


@inlined
def play_game(g: Geometry, t: Table, b: int, spare: Codes) -> None:
    """Play the chosen move and the forced plies after it, and record them as far as the record has
    room."""
    s = t.states[b]
    at = i64(t.plies[b])
    if at == t.record.shape[1]:
        return
    t.record[b, at] = t.chosen[b]
    apply_move(g, s, t.chosen[b])
    at += 1
    t.plies[b] = at + (forced_plies(g, s, spare, t.record[b], at) >> FORCED_SHIFT)


@compiled
def drive(
    task: int, g: Geometry, f: Forest, plan: Plan, d: Grove, considered: Ints, t: Table
) -> None:
    """SEARCH: go on with every game of the forest that is not done and does not wait. PLAY: play on
    at the table."""
    if task == SEARCH:
        for game in range(d.status.size):
            if d.status[game] not in (WAITING, DONE):
                search_game(g, f, plan, d, considered, game)
    else:
        for b in range(t.chosen.size):
            if t.chosen[b] != 0:
                play_game(g, t, b, d.spare)


@compiled
def principal_lines(f: Forest, d: Grove, games: int, lines: Codes, lengths: Ints) -> None:
    """For each of the first `games`, whose searches are done: the move to play and the most visited
    after it, into lines[game]."""
    for game in range(games):
        node = i64(game * f.stride)
        edge = i64(f.node[node].first_edge)
        while d.edge_move[edge] != d.best[game]:
            edge += 1
        length = 0
        while edge != NONE and length < lines.shape[1]:
            lines[game, length] = d.edge_move[edge]
            length += 1
            node = i64(f.edge[edge].child)
            edge = i64(NONE)
            if node != NONE:
                visits = 0
                for e in range(
                    f.node[node].first_edge, f.node[node].first_edge + f.node[node].edge_count
                ):
                    if f.edge[e].visits > visits:
                        visits = f.edge[e].visits
                        edge = i64(e)
        lengths[game] = length
