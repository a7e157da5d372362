"""The layout of a state: one row of int32 words with header, cells, row masks, ring links, scratch.

- A cell word has in bits 0-2 the seat, 3 wall (collapsed, or off the board with seat 0), 4 stack,
  5-13 the height, 14-22 the cap height, 23-31 the bottom ring. An empty cell is 0, a marker its
  seat.
- Rings are numbered: ring `(seat - 1) * R + i` is the i-th ring that the seat has placed, so none
  is ever freed. The link word of a ring has in bits 0-8 the ring below it (the bottom ring links to
  the top), in bits 9-11 its colour.
- Row masks have one word for each grid row `x`, with bit `y + 1` for a cell: open (neither stack
  nor collapsed), land (not collapsed), markers of each seat, stacks of each controller.
- Scratch is free for use within one call; its content means nothing.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import table as tb
from ringrift.rules.compile import U, compiled, i64
from ringrift.rules.geometry import Geometry

STATE_DTYPE: Final = np.int32
Words = NDArray[Any]  # int32: a state, or the table of a geometry

# Phases, in the order of section 6.1.
PLACEMENT, MOVEMENT, CAPTURE, CHAIN_CAPTURE, LINE_PHASE, TERRITORY, FORCED_PHASE, OVER = range(8)

# How a game ended, in the order of the END_* codes: reason of the rules, finer cause.
_ENDS: Final = (
    ("", ""),
    ("ring_elimination", "ring_elimination"),
    ("territory_control", "territory"),
    ("last_player_standing", "lps_early"),
    ("last_player_standing", "lps_rounds"),
    ("territory_control", "stalemate_territory"),
    ("ring_elimination", "stalemate_rings"),
    ("last_player_standing", "stalemate_markers"),
    ("last_player_standing", "stalemate_last_actor:last_player_standing"),
    ("resign", "resign"),
    ("timeout", "timeout"),
)
END_REASONS: Final = tuple(reason for reason, _ in _ENDS)
END_CAUSES: Final = tuple(cause for _, cause in _ENDS)
END_NONE, END_RINGS, END_TERRITORY, END_SOLE_SURVIVOR, END_ROUNDS = range(5)
END_BARE_TERRITORY, END_BARE_RINGS, END_BARE_MARKERS, END_BARE_LAST_ACTOR = range(5, 9)
END_RESIGN, END_TIMEOUT = range(9, 11)

# Header words. Tables by seat are indexed by the seat, 1 to 4, from the named word on.
TURN: Final = 0  # seat to act, 0 when over
PHASE: Final = 1
PLY: Final = 2  # recorded moves so far
TURN_NUMBER: Final = 3  # from 1
MUST, ORIGIN = 4, 5  # core id or 0
DEBT, OWE_CAP, ACTED, RECOVERING, LAST_ACTOR, SWAP_OPEN, SWAPPED = range(6, 13)
LPS_FIRST: Final = 13
LPS_SEEN: Final = 14  # bit seat-1: the mask has an entry
LPS_MASK: Final = 15  # bit seat-1: could act for real
LPS_COUNT, LPS_WHO = 16, 17
LPS_ROUNDS: Final = 18  # rounds required
WINNER: Final = 19
REASON: Final = 20  # END_* code
REGIONS: Final = 21  # in TERRITORY, nothing owed: a processable region exists
LINKS_AT: Final = 22  # copy of T_RING_LINKS_AT, for accessors without a geometry
ONE_PIECE: Final = 23  # bit c: the floor of border colour c is known to be connected (`floor`)
HAND, REMOVED, TERRITORY_OF, ON_BOARD = range(24, 40, 4)  # on board: rings of the colour
STACKS, MARKERS = 40, 44  # stacks controlled
OUT_TURN: Final = 48  # section 18 (4)
WITNESS: Final = 54  # by border colour, 0 to 4: where to look first for a region, 0 for none

# Cell words.
SEAT_BITS, WALL, STACK = 7, 8, 16
BLOCK: Final = WALL | STACK
HEIGHT_SHIFT, CAP_SHIFT, BOTTOM_SHIFT = 5, 14, 23
NINE_BITS: Final = 511

# Row masks, in this order; markers and stacks have one mask for each seat.
OPEN_MASK, LAND_MASK = 0, 1
MARK_MASK: Final = 1  # + seat
COLOUR_SHIFT: Final = 9


@compiled
def cell(s: Words, c: int) -> int:
    """The word of a cell."""
    return i64(s[U(tb.CELLS_AT + c)])


@compiled
def word_height(w: int) -> int:
    return (w >> HEIGHT_SHIFT) & NINE_BITS


@compiled
def word_cap(w: int) -> int:
    return (w >> CAP_SHIFT) & NINE_BITS


@compiled
def word_bottom(w: int) -> int:
    return (w >> BOTTOM_SHIFT) & NINE_BITS


@compiled
def stack_word(seat: int, height: int, cap: int, bottom: int) -> int:
    return seat | STACK | (height << HEIGHT_SHIFT) | (cap << CAP_SHIFT) | (bottom << BOTTOM_SHIFT)


@compiled
def cap_under(w: int, seat: int) -> int:
    """Cap height of a stack after a ring of `seat` is put on top."""
    return word_cap(w) + 1 if w & SEAT_BITS == seat else 1


@compiled
def mask_at(t: Words, mask: int) -> int:
    """Offset of slot 0 of a row mask."""
    return i64(t[U(tb.T_ROWS_AT)] + mask * t[U(tb.T_ROW_SLOTS)])


@compiled
def stack_mask(t: Words, seat: int) -> int:
    """Index of the mask of stacks that `seat` controls."""
    return i64(MARK_MASK + t[U(tb.T_SEATS)] + seat)


@compiled
def slot_of(t: Words, c: int) -> int:
    """Slot of a cell's row in a row mask (grid row plus margin)."""
    return i64(c >> t[U(tb.T_STRIDE_LOG2)]) + 2


@compiled
def bit_of(t: Words, c: int) -> int:
    """The cell's bit in its row."""
    return i64(1) << (c & ((1 << i64(t[U(tb.T_STRIDE_LOG2)])) - 1))


@compiled
def core_id(t: Words, slot: int, bit: int) -> int:
    """Core id from row slot and bit index."""
    return ((slot - 2) << i64(t[U(tb.T_STRIDE_LOG2)])) + bit


@compiled
def flip(t: Words, s: Words, mask: int, c: int) -> None:
    """Toggle a cell in a row mask."""
    s[U(mask_at(t, mask) + slot_of(t, c))] ^= bit_of(t, c)


@compiled
def start(t: Words, s: Words, pie: int, lps_rounds: int) -> None:
    """Write the start position (section 5)."""
    n, R = i64(t[U(tb.T_SEATS)]), i64(t[U(tb.T_RINGS)])
    for i in range(t[U(tb.T_STATE_SIZE)]):
        s[U(i)] = 0
    for i in range(tb.CELLS_AT, t[U(tb.T_ROWS_AT)]):
        s[U(i)] = WALL
    s[U(TURN)] = 1
    s[U(TURN_NUMBER)] = 1
    s[U(SWAP_OPEN)] = pie if n == 2 else 0
    s[U(LPS_ROUNDS)] = lps_rounds
    s[U(ONE_PIECE)] = (2 << n) - 1
    s[U(LINKS_AT)] = t[U(tb.T_RING_LINKS_AT)]
    for seat in range(1, n + 1):
        s[U(HAND + seat)] = R
    width = i64(t[U(tb.T_WIDTH)])
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + width):
        row = i64(t[U(tb.T_VALID + slot)])
        s[U(mask_at(t, OPEN_MASK) + slot)] = row
        s[U(mask_at(t, LAND_MASK) + slot)] = row
        for y in range(1, width + 1):
            if (row >> y) & 1:
                s[U(tb.CELLS_AT + core_id(t, slot, y))] = 0
    links = i64(t[U(tb.T_RING_LINKS_AT)])
    for ring in range(n * R):
        s[U(links + ring)] = (ring // R + 1) << COLOUR_SHIFT


@compiled
def init_state(G: Geometry, s: Words, pie: int, lps_rounds: int) -> None:
    """Write the start position; `pie` 1 enables the pie rule (two seats only)."""
    start(G.table, s, pie, lps_rounds)


@compiled
def copy_state(dst: Words, src: Words) -> None:
    """Copy a whole game."""
    for i in range(src.size):
        dst[U(i)] = src[U(i)]


@compiled
def scratch_mask(t: Words, index: int) -> int:
    """Offset of slot 0 of the index-th scratch row mask."""
    return i64(t[U(tb.T_SCRATCH_AT)] + index * t[U(tb.T_ROW_SLOTS)])
