"""Gumbel search on finite tables in place of a game: for checks against reference outputs and for
tests.

The search builds a tree over the states; states met twice are different nodes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringrift.search.arrays import Floats, Ints
from ringrift.search.gumbel import forest as fo, selection as se
from ringrift.search.gumbel.forest import NONE
from ringrift.search.gumbel.selection import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A game of S states and A actions for P seats.

    child: (S, A) next state; logits: (S, A); values: (S, P) evaluation; mover: (S,) seat 0..P-1;
    terminal: (S,) the game is over there, with result: (S, P); reward: (S, A, P); keep: (S, A) what
    is kept of later values, 0 after an edge that ends the game without a terminal state."""

    child: NDArray[np.int64]
    logits: Floats
    values: Floats
    mover: NDArray[np.int64]
    terminal: NDArray[np.bool_]
    result: Floats
    reward: Floats
    keep: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """At the root: `action` to play, `visits` (A,), improved `policy` (A,), mean `root_values`
    (P,), `q` (A,) for the mover (nan: not visited)."""

    action: int
    visits: Ints
    policy: Floats
    root_values: Floats
    q: Floats


def two_player_table(
    *, child: NDArray[np.int64], reward: Floats, discount: Floats, logits: Floats, value: Floats
) -> Table:
    """The table of a two-player game whose values are seen by the player to move, who is seat 0 at
    states below S.

    `discount` (S, A): 0 the game ends, -1 the other moves next, +1 the same again. Each state
    becomes two, one for each seat on move (s and s + S), with values (v, -v) seen from that seat.
    """
    states = len(value)
    sign = np.array([1.0, -1.0], np.float32)
    # state s with seat 0 to move, state s + S with seat 1; a discount of -1 crosses over
    same = np.where(discount < 0, child + states, child)
    other = np.where(discount < 0, child, child + states)
    keep = np.where(discount == 0, 0.0, 1.0).astype(np.float32)
    values = value[:, None] * sign
    rewards = reward[:, :, None] * sign
    return Table(
        child=np.concatenate([same, other]),
        logits=np.concatenate([logits, logits]),
        values=np.concatenate([values, -values]),
        mover=np.repeat(np.arange(2), states),
        terminal=np.zeros(2 * states, np.bool_),
        result=np.zeros((2 * states, 2), np.float32),
        reward=np.concatenate([rewards, -rewards]),
        keep=np.concatenate([keep, keep]),
    )


def search_table(
    table: Table,
    *,
    root: int,
    noise: Floats,
    simulations: int,
    considered_max: int,
    settings: Settings,
    invalid: NDArray[np.bool_] | None = None,
) -> Outcome:
    """Search one table from state `root` with Gumbel `noise` (A,); `invalid` (A,) marks actions
    that are illegal at the root."""
    seats, actions = table.values.shape[1], table.logits.shape[1]
    legal = np.arange(actions) if invalid is None else np.flatnonzero(~invalid)
    forest = fo.new_forest(1, simulations, seats, actions * (simulations + 1))
    considered = se.considered_table(min(considered_max, actions), simulations)
    state_of = np.full(simulations + 1, root)
    fo.plant(
        forest,
        0,
        int(table.mover[root]),
        table.logits[root, legal],
        table.values[root],
        noise[legal],
        len(legal) < actions,
    )
    while se.next_leaf(forest, settings, 0, considered) != NONE:
        parent, edge = int(forest.game[0].leaf_node), int(forest.game[0].leaf_edge)
        slot = edge - int(forest.node[parent].first_edge)
        before, action = state_of[parent], legal[slot] if parent == 0 else slot
        state = table.child[before, action]
        over = table.terminal[state]
        logits = table.logits[state, :0] if over else table.logits[state]
        node = fo.expand(
            forest,
            0,
            int(table.mover[state]),
            logits,
            (table.result if over else table.values)[state],
        )
        state_of[node] = state
        forest.reward[node] = table.reward[before, action]
        forest.node[node].keep = table.keep[before, action]
        fo.backup(forest, node)
    return _outcome(forest, settings, legal, actions)


def _outcome(
    forest: fo.Forest, settings: Settings, legal: NDArray[np.int64], actions: int
) -> Outcome:
    edges = slice(0, len(legal))
    visits = np.zeros(actions, np.int32)
    visits[legal] = forest.edge["visits"][edges]
    q = np.full(actions, np.nan, np.float32)
    for edge, action in enumerate(legal):
        if forest.edge[edge].child != NONE:
            q[action] = fo.edge_value(forest, edge, int(forest.node[0].mover))
    target = np.zeros(len(legal), np.float32)
    se.improved_policy(forest, settings, 0, target)
    policy = np.zeros(actions, np.float32)
    policy[legal] = target
    action = int(legal[se.best_edge(forest, settings, 0)])
    return Outcome(
        action=action, visits=visits, policy=policy, root_values=forest.mean[0].copy(), q=q
    )
