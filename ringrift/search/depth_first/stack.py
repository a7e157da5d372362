"""The state of depth-first searches, in flat arrays."""

from typing import Final, NamedTuple

import numpy as np

from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.search.arrays import Codes, Floats, Ints, Keys, Records, record, records
from ringrift.search.heuristic import SCRATCH

# Kinds of search.
MINIMAX: Final = 0
MAXN: Final = 1
BRS: Final = 2

LEVELS: Final = 32  # decisions of a line at most
HISTORY_BITS: Final = 12
CODE_BITS: Final = 49  # of a move code; above them BRS keeps the seat that moves
CODE_MASK: Final = (1 << CODE_BITS) - 1

FRAME: Final = record(
    u8="key", i8="base best", i4="count next left mover", f4="alpha beta low high"
)
GAME: Final = record(
    u8="seed leaf_key",
    i8="hint best leaf_move",
    i4="status need root_player level depth completed nodes nodes_before line",
)


class Plan(NamedTuple):
    """How to search: the kind, an evaluator of `values`, the number of positions to evaluate, and
    the greatest depth."""

    kind: int
    evaluator: int
    budget: int
    depth_max: int


class Stack(NamedTuple):
    """The searches of G games, n seats each. P is the size of a game's pool of moves, T that of its
    transposition table, L = LEVELS.

    game (G,)
      status, need             one of `status`; size the pool must have for the game to go on, or 0
      root_player              person to move at the root
      level, depth             frame in work; depth of this iteration
      completed                last completed depth
      nodes, nodes_before      positions evaluated; the same when the present root move began
      hint                     best move of the table entry found last
      best, line               the move found; number of moves in `found_line`
      leaf_move, leaf_key      a legal move of the waiting position; its key
    frame (G * L,)             a decision in work
      base, count, next        its moves are pool[base:base + count]; those before base + next are
                               searched or in work
      left                     turns from here to the leaves; 0 in the first iteration
      mover, best              person that moves; best move, or 0
      alpha, beta              window of the root player's value
      low, high                the window on entry
    """

    game: Records
    frame: Records
    states: Words  # [G, L + 1, S]
    pool: Codes  # [G, P]
    order: Ints  # [G, P] moves with larger numbers are tried first
    effort: Ints  # [G, P] positions below a root move
    best: Floats  # [G * L, n] value of the best move so far by person; else entry 0: root player's
    result: Floats  # [G, n] the same for the position searched last
    found: Floats  # [G, n] the same for the root: the result of the search
    found_line: Codes  # [G, L] principal variation of the root
    values: Floats  # [G, n] answer by seat
    lines: Codes  # [G, L + 1, L] principal variation of each level
    lengths: Ints  # [G, L + 1]
    killers: Codes  # [G, L + 1, 2]
    history: Ints  # [G, 2 ** HISTORY_BITS]
    table_key: Keys  # [G, T], 0: empty
    table_move: Codes  # [G, T]
    table_info: Ints  # [G, T] left << 2 | bound
    table_value: Floats  # [G, T, n]
    weights: Floats  # of the heuristic
    # scratch
    spare: Codes  # [n A], A the longest legal list of a seat
    features: Floats  # [SCRATCH]


def new_stack(g: Geometry, games: int, pool: int, table: int, weights: Floats) -> Stack:
    """Return room for `games` games with `pool` moves and `table` (a power of two) table entries
    each."""
    n = g.seats
    return Stack(
        game=records(games, GAME),
        frame=records(games * LEVELS, FRAME),
        states=np.zeros((games, LEVELS + 1, g.state_size), np.int32),
        pool=np.zeros((games, pool), np.int64),
        order=np.zeros((games, pool), np.int32),
        effort=np.zeros((games, pool), np.int32),
        best=np.zeros((games * LEVELS, n), np.float32),
        result=np.zeros((games, n), np.float32),
        found=np.zeros((games, n), np.float32),
        found_line=np.zeros((games, LEVELS), np.int64),
        values=np.zeros((games, n), np.float32),
        lines=np.zeros((games, LEVELS + 1, LEVELS), np.int64),
        lengths=np.zeros((games, LEVELS + 1), np.int32),
        killers=np.zeros((games, LEVELS + 1, 2), np.int64),
        history=np.zeros((games, 1 << HISTORY_BITS), np.int32),
        table_key=np.zeros((games, table), np.uint64),
        table_move=np.zeros((games, table), np.int64),
        table_info=np.zeros((games, table), np.int32),
        table_value=np.zeros((games, table, n), np.float32),
        weights=weights,
        spare=np.zeros(n * g.moves_max, np.int64),
        features=np.zeros(SCRATCH, np.float32),
    )
