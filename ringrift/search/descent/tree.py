"""Trees of best-first searches in flat arrays, and the choice among the children of a node."""

from typing import Annotated, Final, NamedTuple

import numpy as np

from ringrift.rules.compile import i64
from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Codes, Floats, Ints, Records, allocate, record
from ringrift.search.compile import compiled
from ringrift.search.heuristic import SCRATCH
from ringrift.search.values import ESTIMATE_MAX, end_value, estimate

NONE: Final = -1  # no node

NODE: Final = record(
    i8="move", u4="tie", i4="parent first count visits solved mover level swapped place"
)
GAME: Final = record(u8="seed", i4="status need top expanded leaf asked asked_count depth")


class Plan(NamedTuple):
    """How to search: an evaluator of `values`, and the number of positions to evaluate."""

    evaluator: int
    budget: int


class Trees(NamedTuple):
    """Trees of G games with up to N nodes each, of which X may be expanded; room for Q questions.

    Node 0 is the root.

    game (G,)
      status, need        one of `status`; nodes the tree must hold for the game to go on, or 0
      top, expanded       nodes, and expanded nodes
      leaf                node whose children are evaluated
      asked, asked_count  their range among `questions`
      depth               of the deepest node
    node (G, N)
      move, tie           move that led here; random number that decides between equals
      parent
      first, count        its children; count 0: not expanded, or the game is over
      visits              walks through it
      solved              1: its value is exact
      mover, level        person that moves there, NONE at an end; decisions since the root
      swapped             as in its state
      place               of its state among `states`, if expanded
    """

    game: Annotated[Records, "G", GAME]
    node: Annotated[Records, "G N", NODE]
    value: Annotated[Floats, "G N n"]  # by person
    states: Annotated[Ints, "G X S"]
    questions: Annotated[Ints, "Q S"]  # positions to be evaluated in this round, of all games
    question_move: Annotated[Codes, "Q"]  # a legal move of each
    question_node: Annotated[Ints, "Q"]
    answers: Annotated[Floats, "Q n"]  # by seat
    asked: Annotated[Codes, "1"]  # questions in use
    weights: Floats  # of the heuristic
    # scratch
    moves: Annotated[Codes, "A"]
    spare: Annotated[Codes, "A"]
    state: Annotated[Ints, "S"]
    features: Annotated[Floats, "SCRATCH"]
    seat_values: Annotated[Floats, "n"]


def new_trees(
    g: Geometry, games: int, nodes: int, expanded: int, questions: int, weights: Floats
) -> Trees:
    """Return room for `games` trees with `nodes` nodes, `expanded` of them expanded, and for
    `questions` positions to be evaluated at once."""
    sizes = {"G": games, "N": nodes, "X": expanded, "Q": questions, "1": 1, "SCRATCH": SCRATCH}
    sizes |= {"S": g.state_size, "A": g.moves_max, "n": g.seats}
    return allocate(Trees, sizes, weights=weights)


@compiled
def set_value(d: Trees, game: int, node: int, values: Floats, exact: bool) -> None:
    """Give a node the values of the seats, on the scale of the search."""
    x = d.node[game, node]
    for seat in range(1, values.size + 1):
        v = values[seat - 1]
        v = end_value(v, i64(x.level)) if exact else estimate(v)
        d.value[game, node, 2 - seat if x.swapped else seat - 1] = v
    x.solved = 1 if exact else 0


@compiled
def verdict(d: Trees, game: int, node: int, person: int) -> int:
    """What is known about a child for the person that moves to it: 1 a solved win, -1 a solved last
    place, 0 anything else."""
    if d.node[game, node].solved == 0:
        return 0
    v = d.value[game, node, person]
    if v > ESTIMATE_MAX:
        return 1
    return -1 if v < -ESTIMATE_MAX else 0


@compiled
def best_child(d: Trees, game: int, node: int, to_enter: bool) -> int:
    """The best child for the mover by verdict, value, then visits.

    `to_enter` leaves out solved children and prefers fewer visits."""
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
def safest_child(d: Trees, game: int) -> int:
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
        elif y.visits == z.visits or (y.solved and z.solved):
            # of solved ones the sooner win, or the later loss
            better = value > best_value or (value == best_value and y.tie > z.tie)
        else:
            better = y.visits > z.visits
        if better:
            best = i64(child)
    return best


@compiled
def back_up(d: Trees, game: int, node: int) -> None:
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
def walk(d: Trees, game: int) -> int:
    """Return the node to expand next: down from the root along the best children that are not
    solved, counting a visit to each."""
    node = i64(0)
    while d.node[game, node].count > 0:
        node = best_child(d, game, node, True)
        d.node[game, node].visits += 1
    return node


@compiled
def undo_walk(d: Trees, game: int, node: int) -> None:
    """Take back the visits of a walk that found no room."""
    at = i64(node)
    while at > 0:
        d.node[game, at].visits -= 1
        at = i64(d.node[game, at].parent)
