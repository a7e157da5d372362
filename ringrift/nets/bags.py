"""Legal moves as input of a network: each move is a *bag* of rows of a table that the network
computes.

The network gives every cell of every position one vector for each role a cell can play in a move
(`Role`). A move's embedding is the sum of the vectors of its cells in their roles, the vector of
its kind (type and count) and a vector of the position; for the cells of a line, window or region
the mean is taken. Distinct moves of a legal list differ in kind or in a cell, so no two of them
share an embedding.

    table row of (position i, grid cell g, role r) = (i * width^2 + g) * ROLES + r
    kind = type * KIND_COUNTS + count

The count is the number of rings of a placement, or the bit length of the number of cells.
"""

from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from ringrift.nets.arrays import Codes, Int16s, Int64s, States
from ringrift.rules import moves as mv
from ringrift.rules.compile import U, compiled
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.move_cells import move_cells


class Role(IntEnum):
    """The role of a cell in a move."""

    PLACE = 0
    FROM = 1
    OVER = 2
    TO = 3
    PAYS = 4  # the stack that loses rings: elimination, extraction, forced elimination
    COLLAPSES = 5  # one of the cells of a line, window or region


ROLES: Final = 6
KIND_COUNTS: Final = 16  # bit lengths up to 9 occur: the largest board has 469 cells
KINDS: Final = (mv.MOVE_TYPES + 1) * KIND_COUNTS
CELLS_MAX: Final = 3  # cells of a move besides the collapsing ones


def _bits(*types: int) -> int:
    return sum(1 << t for t in types)


_SETS: Final = _bits(
    mv.RECOVERY_ALL, mv.RECOVERY_PART, mv.LINE, mv.LINE_ALL, mv.LINE_PART, mv.CLAIM
)
_LEAPS: Final = _bits(mv.LEAP, mv.CHAIN)
_SLIDES: Final = _bits(mv.RECOVERY_ALL, mv.RECOVERY_PART, mv.RECOVERY_FALLBACK, mv.RECOVERY_STRIKE)
_PAYMENTS: Final = _bits(mv.ELIM_LINE, mv.ELIM_TERRITORY, mv.ELIM_RECOVERY, mv.FORCED)

Array = TypeVar("Array")


class Bags(NamedTuple, Generic[Array]):
    """The bags of M legal moves with N rows in total, as arrays or tensors.

    Bag j is rows[starts[j]:starts[j + 1]]; kinds[j] and positions[j] are its kind and position.
    """

    rows: Array  # int64 [N]
    starts: Array  # int64 [M + 1]
    weights: Array  # float32 [N]
    kinds: Array  # int64 [M]
    positions: Array  # int64 [M]


@compiled
def rows_max(geo: Geometry, codes: Codes) -> int:
    """Return an upper limit of the number of rows in the bags of `codes`."""
    bound = CELLS_MAX * codes.size
    for m in codes:
        if (_SETS >> mv.move_type(m)) & 1:
            bound += geo.n_cells
    return bound


@compiled
def named_cells(m: int, base: int, grid_of: Int16s, rows: Int64s, at: int) -> int:
    """Write the rows of the cells that have a role of their own; return their number."""
    t = mv.move_type(m)
    used = at
    if t == mv.PLACE:
        rows[U(used)] = base + grid_of[U(mv.move_a(m))] * ROLES + Role.PLACE
        used += 1
    elif (_PAYMENTS >> t) & 1:
        rows[U(used)] = base + grid_of[U(mv.move_a(m))] * ROLES + Role.PAYS
        used += 1
    elif t == mv.WALK or (_LEAPS >> t) & 1 or (_SLIDES >> t) & 1:
        leap = (_LEAPS >> t) & 1
        rows[U(used)] = base + grid_of[U(mv.move_a(m))] * ROLES + Role.FROM
        to = mv.move_c(m) if leap else mv.move_b(m)
        rows[U(used + 1)] = base + grid_of[U(to)] * ROLES + Role.TO
        used += 2
        if leap:
            rows[U(used)] = base + grid_of[U(mv.move_b(m))] * ROLES + Role.OVER
            used += 1
        elif t != mv.WALK and t != mv.RECOVERY_PART:
            rows[U(used)] = base + grid_of[U(mv.move_c(m))] * ROLES + Role.PAYS
            used += 1
    return used - at


@compiled
def collapsing_cells(geo: Geometry, s: Words, m: int, cells: Int16s) -> int:
    """Write the cells of the line, window or region of a move; return their number, 0 for a move
    without any."""
    return move_cells(geo, s, m, cells) if (_SETS >> mv.move_type(m)) & 1 else 0


@compiled
def kind_of(m: int, size: int) -> int:
    """Return the kind of a move with `size` collapsing cells."""
    t = mv.move_type(m)
    count = mv.move_n(m) if t == mv.PLACE else 0
    while size >> count and t != mv.PLACE:
        count += 1
    return t * KIND_COUNTS + count


@compiled
def fill_bags(
    geo: Geometry,
    states: States,
    codes: Codes,
    offsets: Int64s,
    grids: Int16s,
    symmetry: Int16s,
    cells: Int16s,
    bags: Bags[Any],
) -> int:
    """Write the bags of the moves `codes[offsets[i]:offsets[i + 1]]` of each state `i`, placed by
    `grids[symmetry[i]]`; return the number of rows used.

    `bags` has room for the moves and for `rows_max` rows. `cells` is scratch of `n_cells`."""
    rows, weights = bags.rows, bags.weights
    used = 0
    for i in range(states.shape[0]):
        grid_of = grids[U(symmetry[i])]
        base = i * geo.width * geo.width * ROLES
        for j in range(offsets[i], offsets[i + 1]):
            m = codes[j]
            bags.starts[j] = used
            bags.positions[j] = i
            named = named_cells(m, base, grid_of, rows, used)
            for r in range(used, used + named):
                weights[r] = 1.0
            used += named
            size = collapsing_cells(geo, states[i], m, cells)
            for k in range(size):
                rows[U(used + k)] = base + grid_of[U(cells[k])] * ROLES + Role.COLLAPSES
                weights[U(used + k)] = 1.0 / size
            used += size
            bags.kinds[j] = kind_of(m, size)
    bags.starts[codes.size] = used
    return used
