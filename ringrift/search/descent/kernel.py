"""Best-first search, compiled."""

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, copy_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search.arrays import Codes
from ringrift.search.compile import compiled, inlined
from ringrift.search.descent.tree import NONE, Plan, Trees, back_up, set_value, undo_walk, walk
from ringrift.search.splitmix import mix
from ringrift.search.status import ANSWERED, DONE, NEW, NODES_AT_ONCE, RUNNING, WAITING
from ringrift.search.values import NETWORK, compiled_values, person_of

DEPTH_MAX = 200  # decisions of a line at most: a win there is still worth more than an estimate


@inlined
def advance(g: Geometry, s: Words, move: int, moves: Codes) -> int:
    """Play `move`, if it is not 0, and the forced plies after it; return the number of legal moves
    there, which are in `moves`."""
    forced = i64(move)
    while True:
        if forced != 0:
            apply_move(g, s, forced)
        count = i64(legal_moves(g, s, moves))
        # the root is searched even if it has one move only
        if count != 1 or move == 0:
            return count
        forced = moves[0]


@inlined
def expand(g: Geometry, plan: Plan, d: Trees, game: int, node: int, count: int) -> None:
    """Add the children of `node`, whose `count` moves are in `moves`; those that need the caller's
    values become questions."""
    at = d.game[game]
    parent_state = d.states[game, at.expanded]
    x = d.node[game, node]
    x.first, x.count, x.place = at.top, count, at.expanded
    x.mover = person_of(parent_state, i64(parent_state[U(la.TURN)]))
    at.leaf, at.asked = node, d.asked[0]
    at.depth = max(at.depth, x.level + 1)
    at.expanded += 1
    for i in range(count):
        child = i64(at.top)
        copy_state(d.state, parent_state)
        choices = advance(g, d.state, d.moves[i], d.spare)
        y = d.node[game, child]
        y.move, y.parent, y.first, y.count, y.visits = d.moves[i], node, 0, 0, 0
        y.level, y.mover, y.swapped = x.level + 1, NONE, d.state[U(la.SWAPPED)]
        y.tie = mix(at.seed, d.moves[i]) >> U(32)
        at.top += 1
        if choices == 0:
            final_values(d.state, g.seats, d.seat_values)
            set_value(d, game, child, d.seat_values, True)
        elif plan.evaluator == NETWORK:
            q = d.asked[0]
            copy_state(d.questions[q], d.state)
            d.question_move[q] = d.spare[0]
            d.question_node[q] = child
            d.asked[0] = q + 1
        else:
            compiled_values(g, plan.evaluator, d.state, d.weights, d.features, d.seat_values)
            set_value(d, game, child, d.seat_values, False)
    at.asked_count = d.asked[0] - at.asked


@inlined
def search_game(g: Geometry, plan: Plan, d: Trees, game: int) -> None:
    """Grow the tree until the game waits for the caller, needs more room, is done, or has grown for
    a while."""
    at = d.game[game]
    began = i64(at.top)
    if at.status == NEW:
        at.top, at.expanded, at.depth = 1, 0, 0
        root = d.node[game, 0]
        root.parent, root.first, root.count = NONE, 0, 0
        root.visits, root.solved, root.level = 0, 0, 0
        at.seed = mix(at.seed, i64(d.states[game, 0][U(la.PLY)]))
        at.status = RUNNING
    elif at.status == ANSWERED:
        back_up(d, game, i64(at.leaf))
        at.status = RUNNING
    while at.status == RUNNING:
        if d.node[game, 0].solved or (at.top > 1 and at.top - 1 >= plan.budget):
            at.status = DONE
            return
        if at.expanded == d.states.shape[1]:
            at.need = i64(at.top)
            return
        node = walk(d, game)
        s = d.states[game, at.expanded]
        move = i64(0)
        if node > 0:
            move = i64(d.node[game, node].move)
            copy_state(s, d.states[game, d.node[game, d.node[game, node].parent].place])
        count = advance(g, s, move, d.moves)
        too_deep = d.node[game, node].level >= DEPTH_MAX
        questions_full = plan.evaluator == NETWORK and d.asked[0] + count > d.questions.shape[0]
        if at.top > 1 and (at.top - 1 + count > plan.budget or too_deep):
            undo_walk(d, game, node)
            at.status = DONE
        elif at.top + count > d.node.shape[1] or questions_full:
            undo_walk(d, game, node)
            at.need = at.top + count
            return
        else:
            expand(g, plan, d, game, node, count)
            if at.asked_count > 0:
                at.status = WAITING
            else:
                back_up(d, game, node)
                if at.top - began >= NODES_AT_ONCE:
                    return


@compiled
def drive(g: Geometry, plan: Plan, d: Trees, games: int) -> None:
    """Advance each of the first `games` that neither waits nor is done."""
    for game in range(games):
        if d.game[game].status not in (WAITING, DONE):
            search_game(g, plan, d, game)


@compiled
def take_answers(d: Trees, game: int) -> None:
    """Give the children of a waiting game's leaf the values in `answers`."""
    at = d.game[game]
    for q in range(at.asked, at.asked + at.asked_count):
        set_value(d, game, i64(d.question_node[q]), d.answers[q], False)
    at.status = ANSWERED
