"""The order in which moves are tried."""

from typing import Final

import numpy as np

from ringrift.rules import layout as la, moves as mv
from ringrift.rules.compile import U, i64
from ringrift.search.compile import compiled
from ringrift.search.depth_first.stack import HISTORY_BITS, LEVELS, Stack
from ringrift.search.splitmix import GOLDEN, mix
from ringrift.search.values import Value, person_of

HISTORY_SHIFT: Final = U(64 - HISTORY_BITS)
HISTORY_MAX: Final = 1 << 24
SHARP_TYPES: Final = sum(
    1 << kind for kind in (mv.LEAP, mv.CHAIN, mv.LINE, mv.LINE_ALL, mv.LINE_PART, mv.CLAIM)
)
SHARP_SCORE: Final = 1 << 4  # captures, lines and regions before moves without a history
KILLER_SCORE: Final = 1 << 27
TABLE_SCORE: Final = 1 << 29
ROOT_SCALE: Final = np.float32(1 << 20)
"""Score of a unit of value at the root; 3 units stay below TABLE_SCORE."""


@compiled
def history_slot(move: int) -> int:
    """Slot of a move in the history table, by Fibonacci hashing (Knuth, TAOCP 6.4)."""
    return i64((U(move) * GOLDEN) >> HISTORY_SHIFT)


@compiled
def push(
    d: Stack, game: int, level: int, base: int, count: int, left: int, alpha: Value, beta: Value
) -> None:
    """Begin the decision at `level`: move its choices from `spare` to the pool, with scores for
    their order."""
    f = d.frame[game * LEVELS + level]
    s = d.states[game, level]
    f.base, f.count, f.next, f.left = base, count, 0, left
    f.mover = person_of(s, i64(s[U(la.TURN)]))
    f.best = 0
    f.alpha, f.beta, f.low, f.high = alpha, beta, alpha, beta
    d.lengths[game, level] = 0
    hint = d.game[game].hint
    for i in range(count):
        m = d.spare[i]
        score = i64(d.history[game, history_slot(m)])
        if (SHARP_TYPES >> (m & 31)) & 1:
            score += SHARP_SCORE
        if m == hint:
            score = i64(TABLE_SCORE)
        elif m == d.killers[game, level, 0]:
            score = i64(KILLER_SCORE) + 1
        elif m == d.killers[game, level, 1]:
            score = i64(KILLER_SCORE)
        if level == 0:
            # a shuffle by the seed, so that equal moves are chosen at random
            score = i64(mix(d.game[game].seed, m) >> U(40))
            d.effort[game, i] = 0
        d.pool[game, base + i] = m
        d.order[game, base + i] = score


@compiled
def pick(d: Stack, game: int, level: int) -> int:
    """Return the next move of a decision in work, swapped to its place in the pool."""
    f = d.frame[game * LEVELS + level]
    first = i64(f.base + f.next)
    best = first
    for i in range(first + 1, f.base + f.count):
        if d.order[game, i] > d.order[game, best]:
            best = i
    if best != first:
        move, score = d.pool[game, first], d.order[game, first]
        d.pool[game, first], d.order[game, first] = d.pool[game, best], d.order[game, best]
        d.pool[game, best], d.order[game, best] = move, score
        if level == 0:
            effort = d.effort[game, first]
            d.effort[game, first] = d.effort[game, best]
            d.effort[game, best] = effort
    return i64(d.pool[game, first])


@compiled
def remember(d: Stack, game: int, level: int) -> None:
    """Raise the best move of the decision at `level` in the history and make it a killer."""
    f = d.frame[game * LEVELS + level]
    slot = history_slot(i64(f.best))
    gain = (f.left + 1) * (f.left + 1)
    d.history[game, slot] = min(d.history[game, slot] + gain, HISTORY_MAX)
    if d.killers[game, level, 0] != f.best:
        d.killers[game, level, 1] = d.killers[game, level, 0]
        d.killers[game, level, 0] = f.best
