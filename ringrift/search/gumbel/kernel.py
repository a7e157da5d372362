"""Gumbel search over the real game, compiled: the positions behind the nodes of a forest.

One compiled function, `drive`, does everything that touches the rules, because each compiled
function that calls them carries a copy of their machine code.
"""

from typing import Annotated, Final, NamedTuple

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, copy_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search.arrays import Codes, Floats, Ints, Seeds, allocate
from ringrift.search.compile import compiled, inlined
from ringrift.search.gumbel.forest import NONE, Forest, backup, expand, plant
from ringrift.search.gumbel.selection import Settings, best_edge, improved_policy, next_leaf
from ringrift.search.heuristic import SCRATCH, evaluate
from ringrift.search.splitmix import gumbel_noise, mix
from ringrift.search.status import ANSWERED, DONE, FULL, NEW, NODES_AT_ONCE, WAITING
from ringrift.search.values import NETWORK, compiled_values, person_of

# Tasks of `drive`.
SEARCH: Final = 0  # simulate until every game waits for the caller or is done
PLAY: Final = 1  # play a move and the forced plies after it

# What `forced_plies` returns: legal moves, and plies played above them.
FORCED_SHIFT: Final = 32
FORCED_COUNT: Final = (1 << FORCED_SHIFT) - 1


class Plan(NamedTuple):
    """How to search.

    lookahead  HEURISTIC: the logits of a root are this times the value after each move and the
               forced plies; 0: equal logits
    """

    evaluator: int
    settings: Settings
    lookahead: float


class Games(NamedTuple):
    """The G games of one forest; A is the longest possible legal list, S the size of a state."""

    states: Annotated[Ints, "nodes S"]  # position of a node, forced plies played
    edge_move: Annotated[Codes, "E"]
    seeds: Annotated[Seeds, "G"]  # key of a game's choices; its numbers also depend on the ply
    scale: Annotated[Floats, "G"]  # of the root noise, 0: none
    status: Annotated[Ints, "G"]
    legal: Annotated[Ints, "G"]  # number of legal moves of the pending node
    moves: Annotated[Codes, "G A"]  # the legal moves themselves; at a root in ascending order
    logits: Annotated[Floats, "G A"]  # answer for the pending node, then the root's new policy
    values: Annotated[Floats, "G n"]  # answer by seat, afterwards the root's mean value by seat
    visits: Annotated[Ints, "G A"]  # of the root's edges, once the search is done
    best: Annotated[Codes, "G"]  # move to play, once the search is done
    weights: Floats  # of the heuristic
    # scratch
    spare: Annotated[Codes, "A"]
    noise: Annotated[Floats, "A"]
    state: Annotated[Ints, "S"]
    features: Annotated[Floats, "SCRATCH"]
    seat_values: Annotated[Floats, "n"]


def new_games(g: Geometry, games: int, nodes: int, edges: int, weights: Floats) -> Games:
    """Return room for the games, none of them searched, of a forest with this many nodes and
    edges."""
    sizes = {"G": games, "nodes": nodes, "E": edges, "SCRATCH": SCRATCH}
    sizes |= {"S": g.state_size, "A": g.moves_max, "n": g.seats}
    found = allocate(Games, sizes, weights=weights)
    found.status[:] = DONE
    return found


class Table(NamedTuple):
    """B games in play, apart from any tree."""

    states: Annotated[Ints, "B S"]
    chosen: Annotated[Codes, "B"]  # move to play; 0: the game waits
    record: Annotated[Codes, "B plies"]  # moves of the game so far
    plies: Annotated[Codes, "B"]


def new_table(g: Geometry, games: int, plies_max: int) -> Table:
    """Return a table with room for `games` games."""
    return allocate(Table, {"B": games, "S": g.state_size, "plies": plies_max})


@inlined
def forced_plies(g: Geometry, s: Words, moves: Codes, record: Codes, at: int) -> int:
    """Play while there is only one legal move.

    The plies are written to `record[at:]` unless `record` is empty; play stops at its end. The
    legal moves of the last position are left in `moves`. Returns their number (0: the game is over)
    + the number of plies played << FORCED_SHIFT."""
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
    """Sort the first `count` moves in place (Shell 1959, gaps by halving)."""
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
def look_ahead(g: Geometry, plan: Plan, d: Games, game: int, s: Words) -> None:
    """Write logits of a root from the heuristic value, for the mover, after each move."""
    person = person_of(s, i64(s[U(la.TURN)]))
    for i in range(d.legal[game]):
        copy_state(d.state, s)
        apply_move(g, d.state, d.moves[game, i])
        forced_plies(g, d.state, d.spare, d.spare[:0], 0)
        evaluate(g, d.state, d.weights, d.features, d.seat_values)
        seat = person if person_of(d.state, person + 1) == person else 1 - person
        d.logits[game, i] = plan.lookahead * d.seat_values[seat]


@inlined
def answer_inside(g: Geometry, plan: Plan, d: Games, game: int, node: int, root: bool) -> None:
    """Write logits and values of the pending node from a compiled evaluator."""
    s = d.states[node]
    for i in range(d.legal[game]):
        d.logits[game, i] = 0.0
    if root and plan.lookahead > 0.0:
        look_ahead(g, plan, d, game, s)
    compiled_values(g, plan.evaluator, s, d.weights, d.features, d.values[game])


@compiled
def grow(f: Forest, d: Games, game: int, node: int, root: bool) -> bool:
    """Add the pending node with its answer to the tree.

    Returns False, with nothing changed, if the edge pool has no room."""
    s = d.states[node]
    count = i64(d.legal[game])
    for seat in range(1, d.values.shape[1] + 1):
        d.seat_values[person_of(s, seat)] = d.values[game, seat - 1]
    mover = person_of(s, i64(s[U(la.TURN)])) if count else 0
    logits = d.logits[game, :count]
    if root:
        key = mix(d.seeds[game], i64(s[U(la.PLY)]))
        for i in range(count):
            d.noise[i] = d.scale[game] * gumbel_noise(key, i) if d.scale[game] > 0.0 else 0.0
        if plant(f, game, mover, logits, d.seat_values, d.noise[:count], False) == NONE:
            return False
    else:
        if expand(f, game, mover, logits, d.seat_values) == NONE:
            return False
        backup(f, node)
    first = i64(f.node[node].first_edge)
    for i in range(count):
        d.edge_move[first + i] = d.moves[game, i]
    return True


@inlined
def next_position(g: Geometry, f: Forest, d: Games, game: int, node: int) -> None:
    """Set up the position and the legal moves of the leaf that the tree has chosen."""
    s = d.states[node]
    copy_state(s, d.states[f.game[game].leaf_node])
    apply_move(g, s, d.edge_move[f.game[game].leaf_edge])
    d.legal[game] = forced_plies(g, s, d.moves[game], d.spare[:0], 0) & FORCED_COUNT
    if d.legal[game] == 0:
        final_values(s, g.seats, d.values[game])


@compiled
def finish_search(f: Forest, plan: Plan, d: Games, game: int) -> None:
    """Write what the search has found about its root."""
    root = game * f.stride
    first, count = i64(f.node[root].first_edge), i64(f.node[root].edge_count)
    d.legal[game] = count
    improved_policy(f, plan.settings, game, d.logits[game, :count])
    for i in range(count):
        d.moves[game, i] = d.edge_move[first + i]
        d.visits[game, i] = f.edge[first + i].visits
    s = d.states[root]
    for seat in range(1, d.values.shape[1] + 1):
        d.values[game, seat - 1] = f.mean[root, person_of(s, seat)]
    d.best[game] = d.edge_move[best_edge(f, plan.settings, game)]
    d.status[game] = DONE


@inlined
def search_game(g: Geometry, f: Forest, plan: Plan, d: Games, considered: Ints, game: int) -> None:
    """Simulate until the game waits for the caller, is done, or has grown for a while."""
    root = game * f.stride
    last = i64(f.game[game].node_count) + NODES_AT_ONCE
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
        if next_leaf(f, plan.settings, game, considered) == NONE:
            finish_search(f, plan, d, game)
            return
        node = root + i64(f.game[game].node_count)
        next_position(g, f, d, game, node)
        if d.legal[game] > 0:
            if plan.evaluator == NETWORK:
                d.status[game] = WAITING
                return
            answer_inside(g, plan, d, game, node, False)
        if i64(f.game[game].node_count) >= last:
            d.status[game] = ANSWERED
            return


@inlined
def play_game(g: Geometry, t: Table, b: int, spare: Codes) -> None:
    """Play the chosen move and the forced plies after it, and record them up to the end of the
    record."""
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
    task: int, g: Geometry, f: Forest, plan: Plan, d: Games, considered: Ints, t: Table
) -> None:
    """SEARCH: advance every game of the forest that neither waits nor is done. PLAY: play the
    chosen moves at the table."""
    if task == SEARCH:
        for game in range(d.status.size):
            if d.status[game] not in (WAITING, DONE):
                search_game(g, f, plan, d, considered, game)
    else:
        for b in range(t.chosen.size):
            if t.chosen[b] != 0:
                play_game(g, t, b, d.spare)


@compiled
def principal_lines(f: Forest, d: Games, games: int, lines: Codes, lengths: Ints) -> None:
    """Write the principal variation of each of the first `games` finished searches to lines[game]:
    the move to play, then the most visited moves."""
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
                first = f.node[node].first_edge
                for e in range(first, first + f.node[node].edge_count):
                    if f.edge[e].visits > visits:
                        visits = f.edge[e].visits
                        edge = i64(e)
        lengths[game] = length
