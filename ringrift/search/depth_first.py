"""Depth-first search over the real game, compiled: alpha-beta, max-n and best-reply search in one
machine with a stack of its own.

The search deepens by turns: depth 1 looks at the position after one decision, depth d after d - 1
whole turns, the mover's own first, so that from depth 2 on no leaf stands in the middle of a turn,
where a ring has been placed and has yet to move. The best of many such positions is mostly chance:
with leaves a number of decisions ahead, minimax of 1500 positions scored 0.66 against the heuristic
without search and that of 300 did 0.73; with whole turns 1500 scores 0.88 (hex8_2p, 120, 120 and 60
games). Forced plies belong to the decision before them, here as everywhere. Because the stack is an
array, a search stops at a leaf that the caller values and goes on later, and many games advance
together.

MINIMAX  two seats. One seat may move several times in a row, so nothing changes sign from ply to
ply: all values are those of the
         *hero*, the person to move at the root, who raises them where it moves; the other lowers
         them. Alpha-beta with fail-soft bounds (Knuth & Moore 1975).
MAXN     three or four seats, a value for each person; who moves takes the largest of its own
(Luckhardt & Irani 1986). Equal ones
         go to the lower move code, so that the result does not depend on the order. Nothing is
         pruned: shallow pruning (Korf 1991) is sound only where the values have a bounded sum and a
         seat can come close to it alone, but seats that share a rank share its value, and a
         network's values sum to what they like. The table of positions met before saves work all
         the same.
BRS      three or four seats (Schadd & Winands 2011): between two turns of the hero only one
opponent makes a turn, the one whose
         turn hurts the hero most; alpha-beta then looks twice as far. The others would pass, which
         the rules do not know, so they are passed over: where the first opponent's turn begins, the
         legal moves of all opponents stand side by side, whoever of them moves is put on turn and
         plays its whole turn (placing, moving, captures, lines, regions), and the turn after it is
         the hero's. A seat put on turn this way counts as able to act for the three-round rule if
         it has a stack or a ring in hand; rounds are only closed by turns in their natural order.
         Letting the others play a guessed move instead (BRS+, Esser et al. 2013) keeps positions
         legal, but a good guess costs a look at all moves of every decision passed over.

Values: an estimate fills [-ESTIMATE_MAX, ESTIMATE_MAX]; a finished game is worth its ranks, but a
first or last place less so by 1 / STEPS for each decision before it, so that a win is better than
any estimate, and sooner is better than later.

Positions met before are kept in a table by `position_key`; an entry is used at exactly the depth it
was searched to, so that a finished depth has the value of the plain search. Moves are tried in this
order: the table's, two killers of the level, then by history (Schaeffer 1989), and at the root by
the values of the depth before."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.nets.nnue.inference import Accumulators, Network, refresh, update
from ringrift.nets.nnue.inference import value as nnue_value
from ringrift.rules import layout as la
from ringrift.rules import moves as mv
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, copy_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search.compile import compiled, inlined
from ringrift.search.game_tree import HEURISTIC, NETWORK, NNUE, person_of
from ringrift.search.gumbel import Floats, Ints
from ringrift.search.heuristic import SCRATCH, evaluate
from ringrift.search.position_key import position_key
from ringrift.search.splitmix import mix

Codes = NDArray[np.int64]
Keys = NDArray[np.uint64]
Records = np.recarray[Any, np.dtype[np.record]]
Value = float | np.float32

# What is searched.
MINIMAX: Final = 0
MAXN: Final = 1
BRS: Final = 2

# How far the search of a game is.
NEW: Final = 0  # the root's state stands, nothing else
WAITING: Final = 1  # the leaf needs values from the caller
ANSWERED: Final = 2  # they are in place
RUNNING: Final = 3  # it can go on; if `need` is set, with a larger pool only
DONE: Final = 4  # the result is written

# What a table entry says about the value.
EXACT: Final = 0
AT_LEAST: Final = 1
AT_MOST: Final = 2

LEVELS: Final = 32  # decisions a line may have
STEPS: Final = 1024
ESTIMATE_MAX: Final = np.float32(0.75)  # below 1 - LEVELS / STEPS, what the latest win is worth
CODE_BITS: Final = 49
CODE_MASK: Final = (1 << CODE_BITS) - 1  # of a move code; above it BRS keeps the seat that moves
HISTORY: Final = 1 << 12  # slots a game
HISTORY_SHIFT: Final = U(64 - 12)
HISTORY_MAX: Final = 1 << 24
SHARP_TYPES: Final = sum(
    1 << kind for kind in (mv.LEAP, mv.CHAIN, mv.LINE, mv.LINE_ALL, mv.LINE_PART, mv.CLAIM)
)
SHARP_SCORE: Final = 1 << 4  # captures, lines and regions before moves without a history
KILLER_SCORE: Final = 1 << 27
TABLE_SCORE: Final = 1 << 29
ROOT_SCALE: Final = np.float32(
    1 << 20
)  # score for a unit of value at the root: 3 units stay below TABLE_SCORE

FRAME: Final = np.dtype(
    [
        ("key", np.uint64),
        ("base", np.int64),
        ("best", np.int64),
        ("count", np.int32),
        ("next", np.int32),
        ("left", np.int32),
        ("mover", np.int32),
        ("alpha", np.float32),
        ("beta", np.float32),
        ("low", np.float32),
        ("high", np.float32),
    ]
)
GAME: Final = np.dtype(
    [
        ("seed", np.uint64),
        ("hint", np.int64),
        ("best", np.int64),
        ("leaf_move", np.int64),
        ("leaf_key", np.uint64),
        ("status", np.int32),
        ("need", np.int32),
        ("hero", np.int32),
        ("level", np.int32),
        ("depth", np.int32),
        ("completed", np.int32),
        ("nodes", np.int32),
        ("nodes_before", np.int32),
        ("line", np.int32),
    ]
)


class Plan(NamedTuple):
    """How a search is made: one of MINIMAX, MAXN, BRS; one of `game_tree`'s evaluators; positions
    to look at; depth."""

    kind: int
    evaluator: int
    budget: int
    depth_max: int


class Stack(NamedTuple):
    """The searches of G games. P is the room of a game's pool of moves, T the size of its table, L
    = LEVELS.

    game (G,):
      status, need           how far it is; moves the pool must hold for it to go on, else 0 hero
      person to move at the root level, depth           frame in work; depth of this iteration,
      completed: of the last whole one nodes, nodes_before    positions looked at; when the root's
      present move was begun hint                   best move of the entry found last; best, line:
      the move found, moves in `found_line` leaf_move, leaf_key    a legal move of the waiting
      position, and its key
    frame (G * L,): a decision in work. Its moves are pool[base:base + count], those before `next`
    are searched or in work;
      left                   turns from here to the leaves, 0 in the first iteration; mover: person
      that moves; best: move or 0 alpha, beta            window for the hero's value; low, high: the
      same on entry
    """

    game: Records
    frame: Records
    states: Words  # [G, L + 1, S]
    pool: Codes  # [G, P]
    order: Ints  # [G, P] what is tried first
    effort: Ints  # [G, P] positions below a root move, beside it in the pool
    best: Floats  # [G * L, n] value of the best move so far, by person; MINIMAX and BRS: entry 0, the hero's
    result: Floats  # [G, n] the same of the position searched last
    found: Floats  # [G, n] the same of the root: the result of the search
    found_line: Codes  # [G, L] its principal variation
    values: Floats  # [G, n] answer by seat
    lines: Codes  # [G, L + 1, L] principal variation of each level
    lengths: Ints  # [G, L + 1]
    killers: Codes  # [G, L + 1, 2]
    history: Ints  # [G, HISTORY]
    table_key: Keys  # [G, T], 0: empty
    table_move: Codes  # [G, T]
    table_info: Ints  # [G, T] left << 2 | bound
    table_value: Floats  # [G, T, n]
    weights: Floats  # of the heuristic
    # scratch
    spare: Codes  # [n A], A the longest legal list of a seat
    features: Floats  # [SCRATCH]


def new_stack(g: Geometry, games: int, pool: int, table: int, weights: Floats) -> Stack:
    """Room for so many games, moves a game and (a power of two) table entries a game."""
    return Stack(
        game=np.zeros(games, GAME).view(np.recarray),
        frame=np.zeros(games * LEVELS, FRAME).view(np.recarray),
        states=np.zeros((games, LEVELS + 1, g.state_size), np.int32),
        pool=np.zeros((games, pool), np.int64),
        order=np.zeros((games, pool), np.int32),
        effort=np.zeros((games, pool), np.int32),
        best=np.zeros((games * LEVELS, g.seats), np.float32),
        result=np.zeros((games, g.seats), np.float32),
        found=np.zeros((games, g.seats), np.float32),
        found_line=np.zeros((games, LEVELS), np.int64),
        values=np.zeros((games, g.seats), np.float32),
        lines=np.zeros((games, LEVELS + 1, LEVELS), np.int64),
        lengths=np.zeros((games, LEVELS + 1), np.int32),
        killers=np.zeros((games, LEVELS + 1, 2), np.int64),
        history=np.zeros((games, HISTORY), np.int32),
        table_key=np.zeros((games, table), np.uint64),
        table_move=np.zeros((games, table), np.int64),
        table_info=np.zeros((games, table), np.int32),
        table_value=np.zeros((games, table, g.seats), np.float32),
        weights=weights,
        spare=np.zeros(g.seats * g.moves_max, np.int64),
        features=np.zeros(SCRATCH, np.float32),
    )


# Values


@compiled
def end_values(plan: Plan, d: Stack, game: int, s: Words, level: int) -> None:
    """Turn the ranks in `values` of a finished game into its result, `level` decisions after the
    root."""
    late = np.float32(level) / np.float32(STEPS)
    hero = i64(d.game[game].hero)
    for seat in range(1, d.values.shape[1] + 1):
        v = d.values[game, seat - 1]
        if abs(v) == np.float32(1.0):
            v -= v * late
        person = person_of(s, seat)
        if plan.kind == MAXN:
            d.result[game, person] = v
        elif person == hero:
            d.result[game, 0] = v


@compiled
def estimates(plan: Plan, d: Stack, game: int, s: Words) -> None:
    """Turn the answer in `values` into a result. With two seats half the difference, which is the
    hero's value if they sum to 0."""
    n = d.values.shape[1]
    hero = i64(d.game[game].hero)
    if plan.kind != MAXN:
        d.result[game, 0] = 0.0
    for seat in range(1, n + 1):
        v = d.values[game, seat - 1]
        v = (
            min(max(v, np.float32(-1.0)), np.float32(1.0)) * ESTIMATE_MAX
            if v == v
            else np.float32(0.0)
        )
        person = person_of(s, seat)
        if plan.kind == MAXN:
            d.result[game, person] = v
        elif n == 2:
            d.result[game, 0] += v * np.float32(0.5) if person == hero else -v * np.float32(0.5)
        elif person == hero:
            d.result[game, 0] = v


@inlined
def value_inside(
    g: Geometry, plan: Plan, d: Stack, net: Network, acc: Accumulators, game: int, level: int
) -> None:
    """Write to `values` what a compiled evaluator says about the leaf at `level`."""
    s = d.states[game, level]
    if plan.evaluator == NNUE:
        nnue_value(g, net, acc, game * (LEVELS + 1) + level, s, d.values[game])
    elif plan.evaluator == HEURISTIC:
        evaluate(g, s, d.weights, d.features, d.values[game])
    else:
        for seat in range(g.seats):
            d.values[game, seat] = 0.0


@compiled
def shifted(v: Value, level: int) -> Value:
    """An end's value as seen `level` decisions later (below 0: earlier); estimates stay."""
    late = np.float32(level) / np.float32(STEPS)
    if v > ESTIMATE_MAX:
        return np.float32(v + late)
    if v < -ESTIMATE_MAX:
        return np.float32(v - late)
    return np.float32(v)


# Table


@compiled
def store(d: Stack, game: int, key: int, level: int, left: int, bound: int, move: int) -> None:
    """Keep the result of a position. A leaf does not drive out another position that was
    searched."""
    at = i64(key & U(d.table_key.shape[1] - 1))
    if (
        left == 0
        and d.table_key[game, at] != U(0)
        and d.table_key[game, at] != key
        and d.table_info[game, at] >> 2 > 0
    ):
        return
    d.table_key[game, at] = key
    d.table_move[game, at] = move
    d.table_info[game, at] = (left << 2) | bound
    for i in range(d.result.shape[1]):
        d.table_value[game, at, i] = shifted(d.result[game, i], level)


@compiled
def find(d: Stack, game: int, key: int, level: int, left: int, alpha: Value, beta: Value) -> bool:
    """Write the result of a position if it is known well enough for the window; its best move goes
    to `hint` in any case."""
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


# Moves and positions


@compiled
def put_on_turn(s: Words, seat: int) -> None:
    """BRS: the turn that begins is that of `seat`."""
    bit = 1 << (seat - 1)
    s[U(la.TURN)] = seat
    s[U(la.LPS_SEEN)] |= bit
    if s[U(la.STACKS + seat)] > 0 or s[U(la.HAND + seat)] > 0:
        s[U(la.LPS_MASK)] |= bit
    else:
        s[U(la.LPS_MASK)] &= ~bit


@compiled
def has_ring(s: Words, seat: int) -> bool:
    return bool(s[U(la.HAND + seat)] + s[U(la.ON_BOARD + seat)] > 0)


@inlined
def list_choices(g: Geometry, plan: Plan, d: Stack, game: int, s: Words) -> int:
    """Write the moves to choose from to `spare`; gives their number, 0 when the game is over.

    BRS: where an opponent's turn begins those of all opponents, each with its seat above the
    code."""
    turn = i64(s[U(la.TURN)])
    hero_seat = i64(d.game[game].hero) + 1
    reply = plan.kind == BRS and turn != hero_seat and s[U(la.PHASE)] == la.PLACEMENT
    first = i64(1) if reply else turn
    last = i64(g.seats) if reply else turn
    count = i64(0)
    for seat in range(first, last + 1):
        if reply and (seat == hero_seat or not has_ring(s, seat)):
            continue
        s[U(la.TURN)] = seat
        more = i64(legal_moves(g, s, d.spare[count:]))
        if reply:
            for i in range(count, count + more):
                d.spare[i] |= seat << CODE_BITS
        count += more
    s[U(la.TURN)] = turn
    return count


@inlined
def settle(g: Geometry, plan: Plan, d: Stack, game: int, s: Words, move: int) -> int:
    """Play `move`, if it is not 0, and the forced plies after it; gives the number of choices
    there, which stand in `spare`."""
    hero_seat = i64(d.game[game].hero) + 1
    forced = i64(move)
    while True:
        if forced != 0:
            seat = forced >> CODE_BITS
            if seat != 0 and seat != s[U(la.TURN)]:
                put_on_turn(s, seat)
            before = i64(s[U(la.TURN)])
            turns = s[U(la.TURN_NUMBER)]
            apply_move(g, s, forced & CODE_MASK)
            passed = s[U(la.TURN_NUMBER)] != turns and s[U(la.PHASE)] != la.OVER
            if (
                plan.kind == BRS
                and passed
                and before != hero_seat
                and s[U(la.TURN)] != hero_seat
                and has_ring(s, hero_seat)
            ):
                put_on_turn(s, hero_seat)
        count = list_choices(g, plan, d, game, s)
        if count != 1 or move == 0:
            return count
        forced = d.spare[0]


@compiled
def history_slot(move: int) -> int:
    return i64((U(move) * U(0x9E3779B97F4A7C15)) >> HISTORY_SHIFT)


@compiled
def push(
    plan: Plan,
    d: Stack,
    game: int,
    level: int,
    base: int,
    count: int,
    left: int,
    alpha: Value,
    beta: Value,
) -> None:
    """Begin the decision at `level`, whose choices stand in `spare`: moves into the pool, scored
    for the order."""
    at = game * LEVELS + level
    f = d.frame[at]
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
            score = i64(mix(d.game[game].seed, m) >> U(40))
            d.effort[game, i] = 0
        d.pool[game, base + i] = m
        d.order[game, base + i] = score


@compiled
def pick(d: Stack, game: int, level: int) -> int:
    """The next move of a decision in work, brought to its place in the pool."""
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


# Backing up


@compiled
def take(plan: Plan, d: Stack, game: int, level: int) -> None:
    """Give the decision at `level` the result of the move it has tried last."""
    at = game * LEVELS + level
    f = d.frame[at]
    tried = i64(f.base + f.next - 1)
    move = d.pool[game, tried]
    hero = i64(d.game[game].hero)
    own = i64(f.mover) if plan.kind == MAXN else i64(0)
    sign = np.float32(-1.0) if plan.kind != MAXN and f.mover != hero else np.float32(1.0)
    gain, best = sign * d.result[game, own], sign * d.best[at, own]
    if (
        f.best == 0
        or gain > best
        or (plan.kind == MAXN and level > 0 and gain == best and move < f.best)
    ):
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
    if sign > np.float32(0.0):
        f.alpha = max(f.alpha, d.best[at, 0])
    else:
        f.beta = min(f.beta, d.best[at, 0])
    soonest = np.float32(1.0) - np.float32(level + 1) / np.float32(STEPS)
    if f.alpha >= f.beta or sign * d.best[at, 0] >= soonest:
        f.next = f.count


@compiled
def close(plan: Plan, d: Stack, game: int, level: int) -> None:
    """The decision at `level` is made: its value becomes the result, and what was learned is
    kept."""
    at = game * LEVELS + level
    f = d.frame[at]
    for i in range(d.result.shape[1]):
        d.result[game, i] = d.best[at, i]
    v = d.best[at, 0]
    bound = i64(EXACT)
    useful = True
    if plan.kind != MAXN:
        if v <= f.low:
            bound = i64(AT_MOST)
        elif v >= f.high:
            bound = i64(AT_LEAST)
        useful = v > f.low if f.mover == d.game[game].hero else v < f.high
    store(d, game, f.key, level, i64(f.left), bound, i64(f.best) if useful else i64(0))
    if useful:
        slot = history_slot(i64(f.best))
        d.history[game, slot] = min(
            d.history[game, slot] + (f.left + 1) * (f.left + 1), HISTORY_MAX
        )
        if d.killers[game, level, 0] != f.best:
            d.killers[game, level, 1] = d.killers[game, level, 0]
            d.killers[game, level, 0] = f.best


# The machine


@compiled
def begin(d: Stack, game: int, depth: int) -> None:
    """Begin an iteration at the root, the best move of the last one first."""
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
    """Make the best root move of this iteration, finished or not, the result; gives whether nothing
    deeper can change it."""
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
    """Set up the root of a new search; False if the pool has no room for its moves."""
    s = d.states[game, 0]
    d.game[game].hero = person_of(s, i64(s[U(la.TURN)]))
    count = settle(g, plan, d, game, s, i64(0))
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
    push(plan, d, game, i64(0), i64(0), count, i64(0), np.float32(-np.inf), np.float32(np.inf))
    d.frame[game * LEVELS].key = position_key(g, s)
    d.game[game].depth = 1
    return True


@compiled
def close_level(plan: Plan, d: Stack, game: int) -> None:
    """Close the decision in work: go on with the one above it, or at the root with the next
    iteration, or be done."""
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
    """Turns left to look ahead at the position below the decision at `level`; the first iteration
    ends there, and every line at LEVELS decisions."""
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
    count = settle(g, plan, d, game, s, move)
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
        end_values(plan, d, game, s, level + 1)
        take(plan, d, game, level)
        return
    key = position_key(g, s)
    if find(d, game, key, level + 1, left, f.alpha, f.beta):
        take(plan, d, game, level)
        return
    if plan.evaluator == NNUE:
        node = game * (LEVELS + 1) + level
        update(g, net, acc, node, s, node + 1)
    if left > 0:
        push(plan, d, game, level + 1, top, count, left, f.alpha, f.beta)
        d.frame[game * LEVELS + level + 1].key = key
        d.game[game].level = level + 1
    else:
        d.game[game].leaf_key = key
        d.game[game].leaf_move = d.spare[0] & CODE_MASK
        if plan.evaluator == NETWORK:
            d.game[game].status = WAITING
            return
        value_inside(g, plan, d, net, acc, game, level + 1)
        take_leaf(plan, d, game)


@compiled
def take_leaf(plan: Plan, d: Stack, game: int) -> None:
    """Give the decision in work the answer about the leaf below it."""
    level = i64(d.game[game].level)
    estimates(plan, d, game, d.states[game, level + 1])
    store(d, game, d.game[game].leaf_key, level + 1, i64(0), i64(EXACT), i64(0))
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
    """Go on with each of the first `games` that is not done and does not wait. `net` and `acc`,
    with `LEVELS + 1` nodes a game, are those of the evaluator NNUE."""
    for game in range(games):
        if d.game[game].status not in (WAITING, DONE):
            search_game(g, plan, d, net, acc, game)
