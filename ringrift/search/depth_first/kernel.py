"""Depth-first search, compiled: iterations, decisions and moves, resumed from the stack."""

import numpy as np

from ringrift.nets.nnue.inference import Accumulators, Network, refresh, update
from ringrift.rules import layout as la
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import copy_state
from ringrift.rules.outcome import final_values
from ringrift.search.compile import compiled, inlined
from ringrift.search.depth_first import table
from ringrift.search.depth_first.ordering import ROOT_SCALE, TABLE_SCORE, pick, push, remember
from ringrift.search.depth_first.stack import CODE_MASK, LEVELS, MAXN, Plan, Stack
from ringrift.search.depth_first.turns import advance
from ringrift.search.position_key import position_key
from ringrift.search.splitmix import mix
from ringrift.search.status import ANSWERED, DONE, NEW, RUNNING, WAITING
from ringrift.search.values import ESTIMATE_MAX, NETWORK, NNUE, STEPS, person_of


@compiled
def take(plan: Plan, d: Stack, game: int, level: int) -> None:
    """Give the decision at `level` the result of the move tried last."""
    at = game * LEVELS + level
    f = d.frame[at]
    tried = i64(f.base + f.next - 1)
    move = d.pool[game, tried]
    own = i64(f.mover) if plan.kind == MAXN else i64(0)
    minimizes = plan.kind != MAXN and f.mover != d.game[game].root_player
    sign = np.float32(-1.0) if minimizes else np.float32(1.0)
    gain, best = sign * d.result[game, own], sign * d.best[at, own]
    # equal moves: at the root the order, which the seed shuffles, decides
    tie = plan.kind == MAXN and level > 0 and gain == best
    if f.best == 0 or gain > best or (tie and move < f.best):
        f.best = move
        for i in range(d.result.shape[1]):
            d.best[at, i] = d.result[game, i]
        d.lines[game, level, 0] = move & CODE_MASK
        length = i64(d.lengths[game, level + 1])
        for i in range(min(length, LEVELS - 1)):
            d.lines[game, level, i + 1] = d.lines[game, level + 1, i]
        d.lengths[game, level] = min(length + 1, LEVELS)
    if level == 0:
        d.order[game, tried] = i64((gain + np.float32(2.0)) * ROOT_SCALE)
        d.effort[game, tried] += d.game[game].nodes - d.game[game].nodes_before
    if plan.kind == MAXN:
        return
    if minimizes:
        f.beta = min(f.beta, d.best[at, 0])
    else:
        f.alpha = max(f.alpha, d.best[at, 0])
    # no move is better than a win by this decision
    soonest = np.float32(1.0) - np.float32(level + 1) / np.float32(STEPS)
    if f.alpha >= f.beta or sign * d.best[at, 0] >= soonest:
        f.next = f.count


@compiled
def close(plan: Plan, d: Stack, game: int, level: int) -> None:
    """End the decision at `level`: its value becomes the result, and the table, the history and the
    killers keep what it found."""
    at = game * LEVELS + level
    f = d.frame[at]
    for i in range(d.result.shape[1]):
        d.result[game, i] = d.best[at, i]
    v = d.best[at, 0]
    bound = i64(table.EXACT)
    useful = True
    if plan.kind != MAXN:
        if v <= f.low:
            bound = i64(table.AT_MOST)
        elif v >= f.high:
            bound = i64(table.AT_LEAST)
        # a value outside the window on the mover's bad side says nothing about its best move
        useful = v > f.low if f.mover == d.game[game].root_player else v < f.high
    table.store(d, game, f.key, level, i64(f.left), bound, i64(f.best) if useful else i64(0))
    if useful:
        remember(d, game, level)


@compiled
def begin(d: Stack, game: int, depth: int) -> None:
    """Begin an iteration at the root with the best move of the previous one."""
    f = d.frame[game * LEVELS]
    for i in range(f.count):
        if d.pool[game, i] == f.best:
            d.order[game, i] = TABLE_SCORE
    f.next, f.left, f.best = 0, depth - 1, 0
    f.alpha = f.low = np.float32(-np.inf)
    f.beta = f.high = np.float32(np.inf)
    d.game[game].depth = depth
    d.lengths[game, 0] = 0


@compiled
def keep_result(plan: Plan, d: Stack, game: int) -> bool:
    """Make the best root move of this iteration, completed or not, the result.

    Returns whether the value is that of an end, which no deeper search can change."""
    f = d.frame[game * LEVELS]
    d.game[game].best = f.best
    d.game[game].line = d.lengths[game, 0]
    for i in range(d.found.shape[1]):
        d.found[game, i] = d.best[game * LEVELS, i]
    for i in range(d.game[game].line):
        d.found_line[game, i] = d.lines[game, 0, i]
    own = i64(f.mover) if plan.kind == MAXN else i64(0)
    return bool(abs(d.found[game, own]) > ESTIMATE_MAX)


@inlined
def start_search(
    g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, game: int
) -> bool:
    """Set up the root of a new search; return False if the pool has no room for its moves."""
    s = d.states[game, 0]
    d.game[game].root_player = person_of(s, i64(s[U(la.TURN)]))
    count = advance(g, plan, d, game, s, i64(0))
    if count > d.pool.shape[1]:
        d.game[game].need = count
        return False
    d.game[game].status = RUNNING
    d.game[game].hint = 0
    d.game[game].level = 0
    d.game[game].nodes = 0
    d.game[game].completed = 0
    d.game[game].seed = mix(d.game[game].seed, i64(s[U(la.PLY)]))
    if plan.evaluator == NNUE:
        refresh(g, net, s, acc, game * (LEVELS + 1))
    push(d, game, i64(0), i64(0), count, i64(0), np.float32(-np.inf), np.float32(np.inf))
    d.frame[game * LEVELS].key = position_key(g, s)
    d.game[game].depth = 1
    return True


@compiled
def close_level(plan: Plan, d: Stack, game: int) -> None:
    """End the decision in work and resume the one above it; at the root, begin the next iteration
    or finish."""
    level = i64(d.game[game].level)
    close(plan, d, game, level)
    if level > 0:
        d.game[game].level = level - 1
        take(plan, d, game, level - 1)
        return
    d.game[game].completed = d.game[game].depth
    proven = keep_result(plan, d, game)
    if proven or d.game[game].depth == plan.depth_max or d.game[game].nodes >= plan.budget:
        d.game[game].status = DONE
    else:
        begin(d, game, i64(d.game[game].depth) + 1)


@compiled
def turns_left(d: Stack, game: int, level: int) -> int:
    """Turns left to look ahead below the decision at `level`.

    The first iteration ends after one decision, and every line after LEVELS decisions."""
    if d.game[game].depth == 1 or level + 1 == LEVELS:
        return i64(0)
    left = i64(d.frame[game * LEVELS + level].left)
    ended = d.states[game, level + 1, la.TURN_NUMBER] != d.states[game, level, la.TURN_NUMBER]
    return left - 1 if ended else left


@inlined
def try_move(g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, game: int) -> None:
    """Try the next move of the decision in work: its result is known at once, the decision after it
    begins, or the leaf waits."""
    level = i64(d.game[game].level)
    f = d.frame[game * LEVELS + level]
    if level == 0:
        d.game[game].nodes_before = d.game[game].nodes
    move = pick(d, game, level)
    s = d.states[game, level + 1]
    copy_state(s, d.states[game, level])
    count = advance(g, plan, d, game, s, move)
    top = i64(f.base + f.count)
    left = turns_left(d, game, level)
    if left > 0 and top + count > d.pool.shape[1]:
        d.game[game].need = top + count  # the move is tried again when there is room
        return
    f.next += 1
    d.game[game].nodes += 1
    d.lengths[game, level + 1] = 0
    if count == 0:
        final_values(s, g.seats, d.values[game])
        table.set_end(plan, d, game, s, level + 1)
        take(plan, d, game, level)
        return
    key = position_key(g, s)
    if table.find(d, game, key, level + 1, left, f.alpha, f.beta):
        take(plan, d, game, level)
        return
    if plan.evaluator == NNUE:
        node = game * (LEVELS + 1) + level
        update(g, net, acc, node, s, node + 1)
    if left > 0:
        push(d, game, level + 1, top, count, left, f.alpha, f.beta)
        d.frame[game * LEVELS + level + 1].key = key
        d.game[game].level = level + 1
    else:
        d.game[game].leaf_key = key
        d.game[game].leaf_move = d.spare[0] & CODE_MASK
        if plan.evaluator == NETWORK:
            d.game[game].status = WAITING
            return
        table.value_inside(g, plan, d, net, acc, game, level + 1)
        take_leaf(plan, d, game)


@compiled
def take_leaf(plan: Plan, d: Stack, game: int) -> None:
    """Give the decision in work the values of the leaf below it."""
    level = i64(d.game[game].level)
    table.set_estimate(plan, d, game, d.states[game, level + 1])
    table.store(d, game, d.game[game].leaf_key, level + 1, i64(0), i64(table.EXACT), i64(0))
    take(plan, d, game, level)


@inlined
def search_game(
    g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, game: int
) -> None:
    """Search until the game waits for the caller, needs a larger pool, or is done."""
    if d.game[game].status == NEW:
        if not start_search(g, plan, d, net, acc, game):
            return
    elif d.game[game].status == ANSWERED:
        d.game[game].status = RUNNING
        take_leaf(plan, d, game)
    while d.game[game].status == RUNNING and d.game[game].need == 0:
        f = d.frame[game * LEVELS + i64(d.game[game].level)]
        if f.next == f.count:
            close_level(plan, d, game)
        elif d.game[game].depth > 1 and d.game[game].nodes >= plan.budget:
            if d.frame[game * LEVELS].best != 0:
                keep_result(plan, d, game)
            d.game[game].status = DONE
        else:
            try_move(g, plan, d, net, acc, game)


@compiled
def drive(g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, games: int) -> None:
    """Advance each of the first `games` that neither waits nor is done.

    `net` and `acc`, with LEVELS + 1 nodes for each game, belong to the evaluator NNUE."""
    for game in range(games):
        if d.game[game].status not in (WAITING, DONE):
            search_game(g, plan, d, net, acc, game)
