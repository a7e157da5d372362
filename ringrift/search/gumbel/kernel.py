"""Gumbel search over the real game, compiled: the positions behind the nodes of a forest.

One compiled function, `drive`, does everything that touches the rules, because each compiled
function that calls them carries a copy of their machine code.

With the evaluator NETWORK all games wait for the caller together, so each has its tree. Other
evaluators are compiled: one search after the other is carried through in the only tree, which stays
in the cache.
"""

from typing import Annotated, Final, NamedTuple

from ringrift.nets.nnue.inference import refresh, update, value
from ringrift.nets.nnue.policy import Inference, write_logits
from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, copy_state
from ringrift.rules.legal import legal_moves, sort_moves
from ringrift.rules.outcome import final_values
from ringrift.search.arrays import Codes, Ints, allocate
from ringrift.search.compile import compiled, inlined
from ringrift.search.gumbel.forest import (
    NONE,
    UNSCORED,
    Forest,
    backup,
    expand,
    expand_unscored,
    plant,
    set_logits,
)
from ringrift.search.gumbel.games import Games, Plan, tree_of
from ringrift.search.gumbel.puct import GUMBEL, NOISY_PUCT, add_noise, pick
from ringrift.search.gumbel.selection import best_edge, improved_policy, next_leaf
from ringrift.search.heuristic import evaluate
from ringrift.search.splitmix import gumbel_noise, mix
from ringrift.search.status import ANSWERED, DONE, FULL, NEW, NODES_AT_ONCE, WAITING
from ringrift.search.values import NETWORK, NNUE, compiled_values, person_of

# Tasks of `drive`.
SEARCH: Final = 0  # simulate until every game waits for the caller or is done
PLAY: Final = 1  # play a move and the forced plies after it

# What `forced_plies` returns: legal moves, and plies played above them.
FORCED_SHIFT: Final = 32
FORCED_COUNT: Final = (1 << FORCED_SHIFT) - 1


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
def answer_inside(
    g: Geometry, plan: Plan, f: Forest, d: Games, e: Inference, game: int, node: int, root: bool
) -> None:
    """Write values of the pending node, and logits of a root, from a compiled evaluator."""
    s = d.states[node]
    for i in range(d.legal[game]):
        d.logits[game, i] = 0.0
    if plan.evaluator == NNUE:
        if root:
            refresh(g, e.network, s, e.acc, node)
            write_logits(g, e, node, s, d.moves[game, : d.legal[game]], d.logits[game])
        else:
            update(g, e.network, e.acc, i64(f.game[tree_of(plan, game)].leaf_node), s, node)
        value(g, e.network, e.acc, node, s, d.values[game])
        return
    if root and plan.lookahead > 0.0:
        look_ahead(g, plan, d, game, s)
    compiled_values(g, plan.evaluator, s, d.weights, d.features, d.values[game])


@compiled
def grow(f: Forest, plan: Plan, d: Games, game: int, node: int, root: bool) -> bool:
    """Add the pending node with its answer to the tree.

    Returns False, with nothing changed, if the edge pool has no room."""
    s, tree = d.states[node], i64(tree_of(plan, game))
    count = i64(d.legal[game])
    for seat in range(1, d.values.shape[1] + 1):
        d.seat_values[person_of(s, seat)] = d.values[game, seat - 1]
    mover = person_of(s, i64(s[U(la.TURN)])) if count else 0
    logits = d.logits[game, :count]
    if root:
        key = mix(d.seeds[game], i64(s[U(la.PLY)]))
        kind, noisy = plan.settings.kind, d.scale[game] > 0.0 and plan.settings.kind == GUMBEL
        if kind == NOISY_PUCT:
            add_noise(logits, d.noise, key)
        for i in range(count):
            d.noise[i] = d.scale[game] * gumbel_noise(key, i) if noisy else 0.0
        if plant(f, tree, mover, logits, d.seat_values, d.noise[:count], False) == NONE:
            return False
    else:
        if plan.evaluator == NNUE:
            added = expand_unscored(f, tree, mover, count, d.seat_values)
        else:
            added = expand(f, tree, mover, logits, d.seat_values)
        if added == NONE:
            return False
        backup(f, node)
    first = i64(f.node[node].first_edge)
    for i in range(count):
        d.edge_move[first + i] = d.moves[game, i]
    return True


@inlined
def next_position(g: Geometry, f: Forest, d: Games, tree: int, game: int, node: int) -> None:
    """Set up the position and the legal moves of the leaf that the tree has chosen."""
    s = d.states[node]
    copy_state(s, d.states[f.game[tree].leaf_node])
    apply_move(g, s, d.edge_move[f.game[tree].leaf_edge])
    d.legal[game] = forced_plies(g, s, d.moves[game], d.spare[:0], 0) & FORCED_COUNT
    if d.legal[game] == 0:
        final_values(s, g.seats, d.values[game])


@compiled
def finish_search(f: Forest, plan: Plan, d: Games, game: int) -> None:
    """Write what the search has found about its root."""
    tree = i64(tree_of(plan, game))
    root = tree * f.stride
    first, count = i64(f.node[root].first_edge), i64(f.node[root].edge_count)
    d.legal[game] = count
    improved_policy(f, plan.settings, tree, d.logits[game, :count])
    for i in range(count):
        d.moves[game, i] = d.edge_move[first + i]
        d.visits[game, i] = f.edge[first + i].visits
    s = d.states[root]
    for seat in range(1, d.values.shape[1] + 1):
        d.values[game, seat - 1] = f.mean[root, person_of(s, seat)]
    edge = i64(best_edge(f, plan.settings, tree))
    if d.scale[game] > 0.0 and plan.settings.kind != GUMBEL:
        edge = i64(pick(f, root, mix(d.seeds[game], i64(s[U(la.PLY)]))))
    d.best[game] = d.edge_move[edge]
    d.nodes[game] = f.game[tree].node_count - 1
    principal_line(f, d, edge, game)
    d.status[game] = DONE


@compiled
def principal_line(f: Forest, d: Games, edge: int, game: int) -> None:
    """Write the move to play, that of `edge`, and the most visited moves after it."""
    length = 0
    while edge != NONE and length < d.lines.shape[1]:
        d.lines[game, length] = d.edge_move[edge]
        length += 1
        node = i64(f.edge[edge].child)
        edge = i64(NONE)
        if node != NONE:
            visits = 0
            below = i64(f.node[node].visited)
            while below != NONE:
                if f.edge[below].visits > visits:
                    visits = f.edge[below].visits
                    edge = below
                below = i64(f.edge[below].next)
    d.lengths[game] = length


@inlined
def start_search(g: Geometry, f: Forest, plan: Plan, d: Games, game: int, root: int) -> None:
    """Set up the position and the legal moves of the root."""
    copy_state(d.states[root], d.roots[game])
    d.legal[game] = legal_moves(g, d.states[root], d.moves[game])
    sort_moves(d.moves[game], i64(d.legal[game]))
    if plan.evaluator != NETWORK:
        f.edge_top[0] = 0


@inlined
def score_node(g: Geometry, f: Forest, d: Games, e: Inference, game: int, node: int) -> None:
    """Give a node in the tree its logits."""
    first = i64(f.node[node].first_edge)
    last = first + f.node[node].edge_count
    logits = d.logits[game, : last - first]
    write_logits(g, e, node, d.states[node], d.edge_move[first:last], logits)
    set_logits(f, node, logits)


@inlined
def search_game(
    g: Geometry, f: Forest, plan: Plan, d: Games, e: Inference, considered: Ints, game: int
) -> None:
    """Simulate until the game waits for the caller, is done, or has grown for a while."""
    tree = i64(tree_of(plan, game))
    root = tree * f.stride
    last = i64(f.game[tree].node_count) + NODES_AT_ONCE
    node = root + i64(f.game[tree].node_count)
    if d.status[game] == NEW:
        node = root
        start_search(g, f, plan, d, game, root)
        if plan.evaluator == NETWORK:
            d.status[game] = WAITING
            return
        answer_inside(g, plan, f, d, e, game, root, True)
    while True:
        if not grow(f, plan, d, game, node, node == root):
            d.status[game] = FULL
            return
        leaf = next_leaf(f, plan.settings, tree, considered)
        while leaf == UNSCORED:
            score_node(g, f, d, e, game, i64(f.game[tree].leaf_node))
            leaf = next_leaf(f, plan.settings, tree, considered)
        if leaf == NONE:
            finish_search(f, plan, d, game)
            return
        node = root + i64(f.game[tree].node_count)
        next_position(g, f, d, tree, game, node)
        if d.legal[game] > 0:
            if plan.evaluator == NETWORK:
                d.status[game] = WAITING
                return
            answer_inside(g, plan, f, d, e, game, node, False)
        if i64(f.game[tree].node_count) >= last:
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
    task: int,
    g: Geometry,
    f: Forest,
    plan: Plan,
    d: Games,
    e: Inference,
    considered: Ints,
    t: Table,
) -> None:
    """SEARCH: advance every game of the forest that neither waits nor is done; if there is only
    one tree, stop at one that is not done yet. PLAY: play the chosen moves at the table."""
    if task == SEARCH:
        for game in range(d.status.size):
            if d.status[game] not in (WAITING, DONE):
                search_game(g, f, plan, d, e, considered, game)
                if d.status[game] != DONE and plan.evaluator != NETWORK:
                    return
    else:
        for b in range(t.chosen.size):
            if t.chosen[b] != 0:
                play_game(g, t, b, d.spare)
