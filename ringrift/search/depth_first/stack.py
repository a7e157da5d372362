"""The state of depth-first searches, in flat arrays."""

from typing import Annotated, Final, NamedTuple

from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Codes, Floats, Ints, Keys, Records, allocate, record
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
    transposition table, L = LEVELS, H = 2 ** HISTORY_BITS, A the longest legal list of a seat.

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

    game: Annotated[Records, "G", GAME]
    frame: Annotated[Records, "GL", FRAME]
    states: Annotated[Ints, "G L+1 S"]
    pool: Annotated[Codes, "G P"]
    order: Annotated[Ints, "G P"]  # moves with larger numbers are tried first
    effort: Annotated[Ints, "G P"]  # positions below a root move
    # values: by person, or only [0], that of the root player
    best: Annotated[Floats, "GL n"]  # of the best move so far
    result: Annotated[Floats, "G n"]  # of the position searched last
    found: Annotated[Floats, "G n"]  # of the root: the result of the search
    found_line: Annotated[Codes, "G L"]  # principal variation of the root
    values: Annotated[Floats, "G n"]  # answer by seat
    lines: Annotated[Codes, "G L+1 L"]  # principal variation of each level
    lengths: Annotated[Ints, "G L+1"]
    killers: Annotated[Codes, "G L+1 2"]
    history: Annotated[Ints, "G H"]
    table_key: Annotated[Keys, "G T"]  # 0: empty
    table_move: Annotated[Codes, "G T"]
    table_info: Annotated[Ints, "G T"]  # left << 2 | bound
    table_value: Annotated[Floats, "G T n"]
    weights: Floats  # of the heuristic
    # scratch
    spare: Annotated[Codes, "nA"]
    features: Annotated[Floats, "SCRATCH"]


def new_stack(g: Geometry, games: int, pool: int, table: int, weights: Floats) -> Stack:
    """Return room for `games` games with `pool` moves and `table` (a power of two) table entries
    each."""
    sizes = {"G": games, "GL": games * LEVELS, "L": LEVELS, "L+1": LEVELS + 1, "2": 2}
    sizes |= {"P": pool, "T": table, "H": 1 << HISTORY_BITS, "S": g.state_size, "n": g.seats}
    sizes |= {"nA": g.seats * g.moves_max, "SCRATCH": SCRATCH}
    return allocate(Stack, sizes, weights=weights)
