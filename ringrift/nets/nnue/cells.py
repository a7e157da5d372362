"""The content of each cell as one word without perspective: what NNUE features derive from."""

from typing import Final

import numpy as np

from ringrift.nets.arrays import Int32s
from ringrift.nets.compile import compiled, inlined
from ringrift.rules import layout as la
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.lines import run_ahead
from ringrift.rules.table import CELLS_AT, T_AXES, T_AXIS, T_DIRECTION, T_DIRECTIONS

# Few stacks are higher than 8; the height determines which cells a stack reaches
HEIGHT_FROM: Final = (1, 2, 3, 4, 5, 7, 10)
CAP_FROM: Final = (2, 3, 4, 6)  # caps are compared with each other when stacks meet

# The word of a cell: kind, seat (owner or controller), ring colours, levels reached, axes of line
# threats, attacking seats.
MARKER, TERRITORY, STACK = 1, 2, 3
SEAT_SHIFT, RINGS_SHIFT, HEIGHT_SHIFT, CAP_SHIFT, LINE_SHIFT, ATTACK_SHIFT = 2, 5, 9, 12, 15, 19

Cells = Int32s  # [n_cells] words in scan order


@inlined
def _reached(n: int, thresholds: tuple[int, ...]) -> int:
    """Return how many of the ascending thresholds `n` reaches."""
    count = i64(0)
    for threshold in thresholds:
        count += n >= threshold
    return count


@inlined
def _colours(s: la.Words, w: int) -> int:
    """Return bit seat - 1 for each colour in the stack with cell word `w`."""
    links = i64(s[U(la.LINKS_AT)])
    ring = la.word_bottom(w)
    mask = i64(0)
    for _ in range(la.word_height(w)):
        link = i64(s[U(links + ring)])
        mask |= i64(1) << ((link >> la.COLOUR_SHIFT) - 1)
        ring = link & la.NINE_BITS
    return mask


@inlined
def _attack(g: Geometry, s: la.Words, at: int, w: int, cells: Cells) -> None:
    """Mark every foreign stack that the stack at core id `at` could leap over (9.1) as attacked."""
    t = g.table
    seat, height, cap = w & la.SEAT_BITS, la.word_height(w), la.word_cap(w)
    for i in range(t[U(T_DIRECTIONS)]):
        delta = i64(t[U(T_DIRECTION + i)])
        c = at + delta
        steps = 1
        while (s[U(CELLS_AT + c)] & la.BLOCK) == 0:
            c += delta
            steps += 1
        victim = i64(s[U(CELLS_AT + c)])
        if (victim & la.STACK) == 0 or la.word_cap(victim) > cap or (victim & la.SEAT_BITS) == seat:
            continue
        beyond = c + delta
        steps += 1
        while steps < height and (s[U(CELLS_AT + beyond)] & la.BLOCK) == 0:
            beyond += delta
            steps += 1
        if (s[U(CELLS_AT + beyond)] & la.BLOCK) == 0:
            cells[U(g.scan_of[U(c)])] |= np.int32(1) << (ATTACK_SHIFT + seat - 1)


@inlined
def _threaten(g: Geometry, s: la.Words, at: int, seat: int, cells: Cells) -> None:
    """Mark the axes along which a run of markers that threatens a line begins at core id `at`."""
    t = g.table
    for axis in range(t[U(T_AXES)]):
        delta = i64(t[U(T_AXIS + axis)])
        if s[U(CELLS_AT + at - delta)] == seat:
            continue
        length = run_ahead(s, at, delta, seat)
        if length >= g.line_length - 1:
            for i in range(length):
                cells[U(g.scan_of[U(at + i * delta)])] |= np.int32(1) << (LINE_SHIFT + axis)


@compiled
def describe(g: Geometry, s: la.Words, cells: Cells) -> None:
    """Write the word of every cell, in scan order."""
    for k in range(g.n_cells):
        cells[U(k)] = 0
    for k in range(g.n_cells):
        at = i64(g.cell_of[U(k)])
        w = i64(s[U(CELLS_AT + at)])
        seat = w & la.SEAT_BITS
        if w == 0:
            continue
        if w & la.WALL:
            cells[U(k)] |= TERRITORY | (seat << SEAT_SHIFT)
        elif w & la.STACK:
            height = _reached(la.word_height(w), HEIGHT_FROM) << HEIGHT_SHIFT
            cap = _reached(la.word_cap(w), CAP_FROM) << CAP_SHIFT
            colours = _colours(s, w) << RINGS_SHIFT
            cells[U(k)] |= STACK | (seat << SEAT_SHIFT) | colours | height | cap
            _attack(g, s, at, w, cells)
        else:
            cells[U(k)] |= MARKER | (seat << SEAT_SHIFT)
            _threaten(g, s, at, seat, cells)
