"""Results of positions: of leaves, and of those kept in the transposition table."""

from typing import Final

import numpy as np

from ringrift.nets.nnue.inference import Accumulators, Network, value as nnue_value
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.search import values as va
from ringrift.search.compile import compiled, inlined
from ringrift.search.depth_first.stack import LEVELS, MAXN, Plan, Stack

# What a table entry says about the value.
EXACT: Final = 0
AT_LEAST: Final = 1
AT_MOST: Final = 2


@compiled
def set_end(plan: Plan, d: Stack, game: int, s: Words, level: int) -> None:
    """Make the values of a finished game, `level` decisions after the root, its result."""
    root_player = i64(d.game[game].root_player)
    for seat in range(1, d.values.shape[1] + 1):
        v = va.end_value(d.values[game, seat - 1], level)
        person = va.person_of(s, seat)
        if plan.kind == MAXN:
            d.result[game, person] = v
        elif person == root_player:
            d.result[game, 0] = v


@compiled
def set_estimate(plan: Plan, d: Stack, game: int, s: Words) -> None:
    """Make the values of the evaluator the result.

    With two seats it is half their difference, which is the root player's value if they sum to
    0."""
    n = d.values.shape[1]
    root_player = i64(d.game[game].root_player)
    if plan.kind != MAXN:
        d.result[game, 0] = 0.0
    for seat in range(1, n + 1):
        v = va.estimate(d.values[game, seat - 1])
        person = va.person_of(s, seat)
        if plan.kind == MAXN:
            d.result[game, person] = v
        elif n == 2:
            half = v * np.float32(0.5)
            d.result[game, 0] += half if person == root_player else -half
        elif person == root_player:
            d.result[game, 0] = v


@inlined
def value_inside(
    g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, game: int, level: int
) -> None:
    """Write the values of the leaf at `level` from a compiled evaluator."""
    s = d.states[game, level]
    if plan.evaluator == va.NNUE:
        nnue_value(g, net, acc, game * (LEVELS + 1) + level, s, d.values[game])
    else:
        va.compiled_values(g, plan.evaluator, s, d.weights, d.features, d.values[game])


@compiled
def shifted(v: va.Value, level: int) -> va.Value:
    """The value `v` of an end as seen `level` decisions later (earlier if negative); estimates
    do not change."""
    late = np.float32(level) / np.float32(va.STEPS)
    if v > va.ESTIMATE_MAX:
        return np.float32(v + late)
    if v < -va.ESTIMATE_MAX:
        return np.float32(v - late)
    return np.float32(v)


@compiled
def store(d: Stack, game: int, key: int, level: int, left: int, bound: int, move: int) -> None:
    """Keep the result of a position, unless it is a leaf that would replace a searched one."""
    at = i64(key & U(d.table_key.shape[1] - 1))
    present = d.table_key[game, at]
    if left == 0 and present != U(0) and present != key and d.table_info[game, at] >> 2 > 0:
        return
    d.table_key[game, at] = key
    d.table_move[game, at] = move
    d.table_info[game, at] = (left << 2) | bound
    for i in range(d.result.shape[1]):
        d.table_value[game, at, i] = shifted(d.result[game, i], level)


@compiled
def find(
    d: Stack, game: int, key: int, level: int, left: int, alpha: va.Value, beta: va.Value
) -> bool:
    """Write the result of a position if it is known to this depth and well enough for the window.

    `hint` becomes the best move of its entry in any case."""
    at = i64(key & U(d.table_key.shape[1] - 1))
    d.game[game].hint = 0
    if d.table_key[game, at] != key:
        return False
    d.game[game].hint = d.table_move[game, at]
    info = i64(d.table_info[game, at])
    if info >> 2 != left:
        return False
    for i in range(d.result.shape[1]):
        d.result[game, i] = shifted(d.table_value[game, at, i], -level)
    bound = info & 3
    v = d.result[game, 0]
    return bound == EXACT or (bound == AT_LEAST and v >= beta) or (bound == AT_MOST and v <= alpha)
