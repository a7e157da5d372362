"""Best-first search that grows the tree where both sides play best, compiled: unbounded best-first
minimax with completion.

Cohen-Solal, "Learning to play two-player perfect-information games without knowledge" (2020): the
search of that paper's player, and of its Descent if that stopped at the first new position in place
of the end of the game, which at our budgets would be one line. A step walks from the root along the
best moves to a position not yet expanded, values all its children in one batch, and carries the
values up. A node is worth its best child for whoever moves there; with a vector of values, one a
person, that holds for two to four seats.

Completion: a node is *solved* if a child is a solved win of its mover, or if all children are
solved. Its value is exact then, solved children are not entered any more, and a solved root ends
the search. At the end the safest move is played: a solved win, no solved last place if there is
anything else, and otherwise the most visited, then the better value.

Values are those of `depth_first`: estimates fill [-ESTIMATE_MAX, ESTIMATE_MAX], a first or last
place lies outside, a sooner win higher."""

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
from ringrift.search.compile import compiled, inlined
from ringrift.search.depth_first import (
    ANSWERED,
    DONE,
    ESTIMATE_MAX,
    NEW,
    RUNNING,
    STEPS,
    WAITING,
    Codes,
    Records,
)
from ringrift.search.game_tree import HEURISTIC, NETWORK, person_of
from ringrift.search.gumbel import NONE, Floats, Ints
from ringrift.search.heuristic import SCRATCH, evaluate
from ringrift.search.splitmix import mix

DEPTH_MAX: Final = (
    200  # decisions a line may have: a win there is still worth more than an estimate (STEPS)
)

NODE: Final = np.dtype(
    [
        ("move", np.int64),
        ("tie", np.uint32),
        ("parent", np.int32),
        ("first", np.int32),
        ("count", np.int32),
        ("visits", np.int32),
        ("solved", np.int32),
        ("mover", np.int32),
        ("level", np.int32),
        ("swapped", np.int32),
        ("place", np.int32),
    ]
)
GAME: Final = np.dtype(
    [
        ("seed", np.uint64),
        ("status", np.int32),
        ("need", np.int32),
        ("top", np.int32),
        ("expanded", np.int32),
        ("leaf", np.int32),
        ("asked", np.int32),
        ("asked_count", np.int32),
        ("depth", np.int32),
    ]
)


class Plan(NamedTuple):
    """How a search is made: one of `game_tree`'s evaluators; positions to look at."""

    evaluator: int
    budget: int


class Grove(NamedTuple):
    """Trees of G games with up to N nodes each, node 0 the root, of which X may be expanded; Q
    places for positions to be valued.

    game (G,):
      status, need     how far it is (`depth_first`'s); nodes the tree must hold for it to go on,
      else 0 top, expanded    nodes, and of these the expanded leaf             node whose children
      are valued asked, asked_count  their places among `questions` depth            of the deepest
      node
    node (G, N):
      move, tie        that led here; number by lot that decides between equals
      first, count     its children, a run; no count: not expanded, or the game is over
      visits           walks through it
      solved           its value is exact
      mover, level     person that moves there, NONE at an end; decisions since the root
      swapped          as in its state; place: of the state among `states`, if expanded
    """

    game: Records
    node: Records
    value: Floats  # [G, N, n] by person
    states: Words  # [G, X, S]
    questions: Words  # [Q, S] positions to be valued in this round, of all games
    question_move: Codes  # [Q] a legal move of each
    question_node: Ints  # [Q]
    answers: Floats  # [Q, n] by seat
    asked: NDArray[np.int64]  # [1] places taken
    weights: Floats
    # scratch
    moves: Codes  # [A]
    spare: Codes  # [A]
    state: Words  # [S]
    features: Floats  # [SCRATCH]
    seat_values: Floats  # [n]


def new_grove(
    g: Geometry, games: int, nodes: int, expanded: int, questions: int, weights: Floats
) -> Grove:
    """Room for so many games with so many nodes and expanded nodes each, and for so many positions
    to be valued at once."""
    return Grove(
        game=np.zeros(games, GAME).view(np.recarray),
        node=np.zeros((games, nodes), NODE).view(np.recarray),
        value=np.zeros((games, nodes, g.seats), np.float32),
        states=np.zeros((games, expanded, g.state_size), np.int32),
        questions=np.zeros((questions, g.state_size), np.int32),
        question_move=np.zeros(questions, np.int64),
        question_node=np.zeros(questions, np.int32),
        answers=np.zeros((questions, g.seats), np.float32),
        asked=np.zeros(1, np.int64),
        weights=weights,
        moves=np.zeros(g.moves_max, np.int64),
        spare=np.zeros(g.moves_max, np.int64),
        state=np.zeros(g.state_size, np.int32),
        features=np.zeros(SCRATCH, np.float32),
        seat_values=np.zeros(g.seats, np.float32),
    )


@compiled
def set_value(d: Grove, game: int, node: int, values: Floats, exact: bool) -> None:
    """Give a node the values of the seats, on the scale of this search."""
    x = d.node[game, node]
    late = np.float32(x.level) / np.float32(STEPS)
    for seat in range(1, values.size + 1):
        v = values[seat - 1]
        if exact:
            if abs(v) == np.float32(1.0):
                v -= v * late
        else:
            v = (
                min(max(v, np.float32(-1.0)), np.float32(1.0)) * ESTIMATE_MAX
                if v == v
                else np.float32(0.0)
            )
        d.value[game, node, 2 - seat if x.swapped else seat - 1] = v
    x.solved = 1 if exact else 0


@compiled
def verdict(d: Grove, game: int, node: int, person: int) -> int:
    """What is known about a child for the person who moves to it: 1 a solved win, -1 a solved last
    place, 0 anything else."""
    if d.node[game, node].solved == 0:
        return 0
    v = d.value[game, node, person]
    return 1 if v > ESTIMATE_MAX else (-1 if v < -ESTIMATE_MAX else 0)


@compiled
def best_child(d: Grove, game: int, node: int, to_enter: bool) -> int:
    """The best child for the mover by verdict, value, then visits, the fewest first `to_enter`
    (which leaves out solved ones)."""
    x = d.node[game, node]
    person = i64(x.mover)
    best = i64(NONE)
    best_verdict, best_visits, best_tie = i64(0), i64(0), i64(0)
    best_value = np.float32(0.0)
    for child in range(x.first, x.first + x.count):
        y = d.node[game, child]
        if to_enter and y.solved:
            continue
        known = i64(verdict(d, game, child, person))
        value = d.value[game, child, person]
        visits = -i64(y.visits) if to_enter else i64(y.visits)
        tie = i64(y.tie)
        better = best == NONE or known > best_verdict
        if not better and known == best_verdict:
            better = value > best_value or (
                value == best_value
                and (visits > best_visits or (visits == best_visits and tie > best_tie))
            )
        if better:
            best, best_verdict, best_value, best_visits, best_tie = child, known, value, visits, tie
    return best


@compiled
def safest_child(d: Grove, game: int) -> int:
    """The root's child to play: by verdict, visits, then value."""
    x = d.node[game, 0]
    person = i64(x.mover)
    best = i64(x.first)
    for child in range(x.first + 1, x.first + x.count):
        y, z = d.node[game, child], d.node[game, best]
        known, best_known = verdict(d, game, child, person), verdict(d, game, best, person)
        value, best_value = d.value[game, child, person], d.value[game, best, person]
        if known != best_known:
            better = known > best_known
        elif y.visits == z.visits or (
            y.solved and z.solved
        ):  # of solved ones the sooner win, or the later loss
            better = value > best_value or (value == best_value and y.tie > z.tie)
        else:
            better = y.visits > z.visits
        if better:
            best = i64(child)
    return best


@compiled
def back_up(d: Grove, game: int, node: int) -> None:
    """Carry the values of the children of `node` up to the root."""
    at = i64(node)
    while at != NONE:
        x = d.node[game, at]
        best = best_child(d, game, at, False)
        for i in range(d.value.shape[2]):
            d.value[game, at, i] = d.value[game, best, i]
        solved = 1
        if verdict(d, game, best, i64(x.mover)) != 1:
            for child in range(x.first, x.first + x.count):
                solved &= d.node[game, child].solved
        x.solved = solved
        at = i64(x.parent)


@compiled
def walk(d: Grove, game: int) -> int:
    """The node to expand next: down from the root along the best children that are not solved,
    counting the visits."""
    node = i64(0)
    while d.node[game, node].count > 0:
        node = best_child(d, game, node, True)
        d.node[game, node].visits += 1
    return node


@compiled
def undo_walk(d: Grove, game: int, node: int) -> None:
    """Take back the visits of a walk that found no room."""
    at = i64(node)
    while at > 0:
        d.node[game, at].visits -= 1
        at = i64(d.node[game, at].parent)


@inlined
def settle(g: Geometry, d: Grove, s: Words, move: int, moves: Codes) -> int:
    """Play `move`, if it is not 0, and the forced plies after it; gives the number of legal moves
    there, which stand in `moves`."""
    forced = i64(move)
    while True:
        if forced != 0:
            apply_move(g, s, forced)
        count = i64(legal_moves(g, s, moves))
        if count != 1 or move == 0:
            return count
        forced = moves[0]


@inlined
def expand(g: Geometry, plan: Plan, d: Grove, game: int, node: int, count: int) -> None:
    """Make the children of `node`, whose `count` moves stand in `moves`; those that need the
    caller's values become questions."""
    at = d.game[game]
    parent_state = d.states[game, at.expanded]
    person = person_of(parent_state, i64(parent_state[U(la.TURN)]))
    x = d.node[game, node]
    x.first, x.count, x.mover, x.place = at.top, count, person, at.expanded
    at.leaf, at.asked = node, d.asked[0]
    at.depth = max(at.depth, x.level + 1)
    at.expanded += 1
    for i in range(count):
        child = i64(at.top)
        copy_state(d.state, parent_state)
        choices = settle(g, d, d.state, d.moves[i], d.spare)
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
            for seat in range(g.seats):
                d.seat_values[seat] = 0.0
            if plan.evaluator == HEURISTIC:
                evaluate(g, d.state, d.weights, d.features, d.seat_values)
            set_value(d, game, child, d.seat_values, False)
    at.asked_count = d.asked[0] - at.asked


@inlined
def search_game(g: Geometry, plan: Plan, d: Grove, game: int) -> None:
    """Grow the tree until the game waits for the caller, needs more room, or is done."""
    at = d.game[game]
    if at.status == NEW:
        at.top, at.expanded, at.depth = 1, 0, 0
        root = d.node[game, 0]
        root.parent, root.first, root.count, root.visits, root.solved, root.level = (
            NONE,
            0,
            0,
            0,
            0,
            0,
        )
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
        count = settle(g, d, s, move, d.moves)
        room = at.top + count <= d.node.shape[1]
        if at.top > 1 and (
            at.top - 1 + count > plan.budget or d.node[game, node].level >= DEPTH_MAX
        ):
            undo_walk(d, game, node)
            at.status = DONE
        elif not room or (plan.evaluator == NETWORK and d.asked[0] + count > d.questions.shape[0]):
            undo_walk(d, game, node)
            at.need = at.top + count
            return
        else:
            expand(g, plan, d, game, node, count)
            if at.asked_count > 0:
                at.status = WAITING
            else:
                back_up(d, game, node)


@compiled
def drive(g: Geometry, plan: Plan, d: Grove, games: int) -> None:
    """Go on with each of the first `games` that is not done and does not wait."""
    for game in range(games):
        if d.game[game].status not in (WAITING, DONE):
            search_game(g, plan, d, game)


@compiled
def take_answers(d: Grove, game: int) -> None:
    """Give the children of a waiting game's leaf the values in `answers`."""
    at = d.game[game]
    for q in range(at.asked, at.asked + at.asked_count):
        set_value(d, game, i64(d.question_node[q]), d.answers[q], False)
    at.status = ANSWERED
