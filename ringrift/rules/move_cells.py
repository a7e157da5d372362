"""The cells of a move that its code does not name: lines, windows, regions."""

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la, moves as mv
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.floor import REGION
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.moves import move_a, move_b, move_c, move_d, move_n, move_type
from ringrift.rules.recovery import slide_span
from ringrift.rules.regions import find_region
from ringrift.rules.stacks import travel_direction
from ringrift.rules.table import CELLS_AT, ROW_MARGIN, T_WIDTH

Cells = NDArray[np.int16]  # core ids


@compiled
def _write_span(first: int, last: int, d: int, out: Cells) -> int:
    for k in range((last - first) // d + 1):
        out[U(k)] = first + k * d
    return (last - first) // d + 1


@inlined
def _write_region(t: Words, s: Words, first: int, border: int, out: Cells) -> int:
    find_region(t, s, first, border)
    k = 0
    rows = la.scratch_mask(t, REGION)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            out[U(k)] = la.core_id(t, slot, lowest_bit(mask))
            k += 1
            mask &= mask - 1
    return k


@inlined
def _write_slide(t: Words, s: Words, m: int, out: Cells) -> int:
    """Write the cells that a recovery line slide collapses."""
    at, seat = U(CELLS_AT + move_a(m)), i64(s[U(la.TURN)])
    s[at] = 0
    first, last, d = slide_span(t, s, seat, m)
    s[at] = seat
    return _write_span(first, last, d, out)


@compiled
def move_cells(G: Geometry, s: Words, m: int, out: Cells) -> int:
    """Write the core ids of the cells that a line, a recovery line slide or a claim takes, in scan
    order, and return their number.

    The border markers of a claim are not among them. Other moves take none. `out` has room for
    `n_cells`."""
    kind = move_type(m)
    t = G.table
    if kind == mv.LINE or kind == mv.LINE_ALL:
        return _write_span(move_a(m), move_b(m), travel_direction(t, move_a(m), move_b(m)), out)
    if kind == mv.LINE_PART:
        return _write_span(move_c(m), move_d(m), travel_direction(t, move_c(m), move_d(m)), out)
    if kind == mv.RECOVERY_ALL or kind == mv.RECOVERY_PART:
        return _write_slide(t, s, m, out)
    if kind == mv.CLAIM:
        return _write_region(t, s, move_a(m), move_n(m), out)
    return 0
