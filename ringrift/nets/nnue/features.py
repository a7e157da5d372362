"""The sparse feature set `nnue-1`: 26 planes over the cells and 32 globals, seen from each seat.

Seats are *relative* to the perspective: 0 is the seat itself, 1 the next in cyclic order, so that
2, 3 and 4 seats share one layout and one network serves every seat.

| planes | set on a cell if |
|---|---|
| 0-3 rings | the stack holds a ring of relative seat r, at any depth |
| 4-7 height | r controls the stack; one level for each of `HEIGHT_FROM` that the height reaches |
| 8-11 territory | r owns the collapsed cell |
| 12-15 markers | the marker is r's |
| 16-19 cap | r controls the stack; one level for each of `CAP_FROM` that the cap reaches |
| 20-23 line threats | the marker is of a run along this axis at most one short of a line: level 0
  own, level 1 another's |
| 24 vulnerable | it is an own stack that a stack of another seat could leap over, were it to move |
| 25 opportunity | it is a stack of another seat that an own stack could leap over now |

Every cap reaches 1, so no level says it. Heights and caps are thermometer codes: one more ring sets
one more feature, so that similar heights share weights and updates of the accumulator are small;
one class for each height would share nothing, and a number would not be a sparse feature. Hexagonal
boards have three axes and leave plane 23 empty.

The content of a cell is first encoded as one word without perspective (`describe`), from which
`cell_features` derives the features of a perspective. Updates are cheap because two positions
differ in few words.
"""

import json
from hashlib import sha256
from itertools import accumulate
from typing import Final

import numpy as np

from ringrift.nets.arrays import Int16s, Int32s, Int64s, States
from ringrift.nets.compile import compiled, inlined
from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.lines import run_ahead

# Few stacks are higher than 8; the height determines which cells a stack reaches
HEIGHT_FROM: Final = (1, 2, 3, 4, 5, 7, 10)
CAP_FROM: Final = (2, 3, 4, 6)  # caps are compared with each other when stacks meet

# The word of a cell: kind, seat (owner or controller), ring colours, levels reached, axes of line
# threats, attacking seats.
MARKER, TERRITORY, STACK = 1, 2, 3
SEAT_SHIFT, RINGS_SHIFT, HEIGHT_SHIFT, CAP_SHIFT, LINE_SHIFT, ATTACK_SHIFT = 2, 5, 9, 12, 15, 19

Cells = Int32s  # [n_cells] words in scan order

FEATURE_SET: Final = "nnue-1"

RELATIVE_SEATS: Final = 4
AXES: Final = 4
PLANE_LEVELS: Final = (
    (("rings", 1),) * RELATIVE_SEATS
    + (("height", len(HEIGHT_FROM)),) * RELATIVE_SEATS
    + (("territory", 1),) * RELATIVE_SEATS
    + (("marker", 1),) * RELATIVE_SEATS
    + (("cap", len(CAP_FROM)),) * RELATIVE_SEATS
    + (("line", 2),) * AXES
    + (("vulnerable", 1), ("opportunity", 1))
)
"""Name and number of levels of each of the 26 planes."""
PLANES: Final = len(PLANE_LEVELS)
_LEVEL_COUNTS: Final = tuple(levels for _, levels in PLANE_LEVELS)
FIRST_LEVEL: Final = tuple(accumulate(_LEVEL_COUNTS[:-1], initial=0))
LEVELS: Final = sum(_LEVEL_COUNTS)
"""Number of features of one cell. Feature `place * LEVELS + level` belongs to the cell at `place`
in scan order."""
CELL_FEATURES_MAX: Final = RELATIVE_SEATS + len(HEIGHT_FROM) + len(CAP_FROM) + 1
"""Largest number of features that one cell has at once."""

SEAT_GLOBALS: Final = ("to_move", "hand", "removed", "territory", "on_board", "alone")
"""Of each relative seat: 1 if it acts; rings in hand and on the board / R; removed / V; collapsed
cells / territory minimum; rounds as the only seat able to act / rounds required."""
GLOBAL_NAMES: Final = (
    "placement",
    "movement",
    "capture",
    "chain_capture",
    "line_processing",
    "territory_processing",
    "forced_elimination",
    "owes",  # a line or region cost is owed
    *(f"{name}_{seat}" for seat in range(RELATIVE_SEATS) for name in SEAT_GLOBALS),
)
GLOBALS: Final = len(GLOBAL_NAMES)
GLOBAL_ONE: Final = 127  # globals are integers 0 .. GLOBAL_ONE for 0 .. 1


_MEANING: Final = (FEATURE_SET, PLANE_LEVELS, HEIGHT_FROM, CAP_FROM, GLOBAL_NAMES, GLOBAL_ONE)
"""Everything that defines the number and meaning of a feature."""
ENCODER: Final = f"{FEATURE_SET}:{sha256(json.dumps(_MEANING).encode()).hexdigest()[:16]}"
"""Version of this encoding as stored in checkpoints."""


def levels_together() -> tuple[tuple[int, ...], ...]:
    """Return groups of levels of a cell such that all levels active at once are in one group."""
    first = FIRST_LEVEL
    groups: list[tuple[int, ...]] = []
    for r in range(RELATIVE_SEATS):
        heights = range(first[4 + r], first[4 + r] + len(HEIGHT_FROM))
        caps = range(first[16 + r], first[16 + r] + len(CAP_FROM))
        other = min(r, 1)  # 0 for the perspective's own, 1 for another seat
        lines = (first[20 + axis] + other for axis in range(AXES))
        groups.append((*first[:4], *heights, *caps, first[24 + other]))
        groups += [(first[12 + r], *lines), (first[8 + r],)]
    return tuple(groups)


_RINGS, _HEIGHT, _TERRITORY, _MARKER, _CAP, _LINE = FIRST_LEVEL[:24:4]
_VULNERABLE, _OPPORTUNITY = FIRST_LEVEL[24:]
_HEIGHTS, _CAPS = len(HEIGHT_FROM), len(CAP_FROM)
_G_OWES, _G_SEAT, _PER_SEAT = 7, 8, len(SEAT_GLOBALS)


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
    for i in range(t[U(tb.T_DIRECTIONS)]):
        delta = i64(t[U(tb.T_DIRECTION + i)])
        c = at + delta
        steps = 1
        while (s[U(tb.CELLS_AT + c)] & la.BLOCK) == 0:
            c += delta
            steps += 1
        victim = i64(s[U(tb.CELLS_AT + c)])
        if (victim & la.STACK) == 0 or la.word_cap(victim) > cap or (victim & la.SEAT_BITS) == seat:
            continue
        beyond = c + delta
        steps += 1
        while steps < height and (s[U(tb.CELLS_AT + beyond)] & la.BLOCK) == 0:
            beyond += delta
            steps += 1
        if (s[U(tb.CELLS_AT + beyond)] & la.BLOCK) == 0:
            cells[U(g.scan_of[U(c)])] |= np.int32(1) << (ATTACK_SHIFT + seat - 1)


@inlined
def _threaten(g: Geometry, s: la.Words, at: int, seat: int, cells: Cells) -> None:
    """Mark the axes along which a run of markers that threatens a line begins at core id `at`."""
    t = g.table
    for axis in range(t[U(tb.T_AXES)]):
        delta = i64(t[U(tb.T_AXIS + axis)])
        if s[U(tb.CELLS_AT + at - delta)] == seat:
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
        w = i64(s[U(tb.CELLS_AT + at)])
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


@compiled
def cell_features(
    word: int, place: int, perspective: int, seats: int, axes: Int16s, out: Int32s, k: int
) -> int:
    """Append the features of a cell for the seat `perspective` (from 1) to `out[k:]`, ascending if
    `axes` is; return the new `k`."""
    base, kind = place * LEVELS, word & 3
    relative = (((word >> SEAT_SHIFT) & 7) - perspective + seats) % seats
    if kind == STACK:
        for r in range(seats):
            if (word >> (RINGS_SHIFT + (perspective - 1 + r) % seats)) & 1:
                out[U(k)] = base + _RINGS + r
                k += 1
        for level in range((word >> HEIGHT_SHIFT) & 7):
            out[U(k)] = base + _HEIGHT + relative * _HEIGHTS + level
            k += 1
        for level in range((word >> CAP_SHIFT) & 7):
            out[U(k)] = base + _CAP + relative * _CAPS + level
            k += 1
        attackers = (word >> ATTACK_SHIFT) & 15
        if relative == 0 and attackers:
            out[U(k)] = base + _VULNERABLE
            k += 1
        elif (attackers >> (perspective - 1)) & 1:
            out[U(k)] = base + _OPPORTUNITY
            k += 1
    elif kind == MARKER:
        out[U(k)] = base + _MARKER + relative
        k += 1
        for axis in range(AXES):
            if (word >> (LINE_SHIFT + axis)) & 1:
                out[U(k)] = base + _LINE + 2 * axes[U(axis)] + (1 if relative else 0)
                k += 1
    elif kind == TERRITORY:
        out[U(k)] = base + _TERRITORY + relative
        k += 1
    return k


@compiled
def active_features(
    g: Geometry, cells: Cells, perspective: int, places: Int16s, axes: Int16s, out: Int32s
) -> int:
    """Write the features of a described position for one seat; return their number, at most
    `features_max(g)`.

    `places[area]` is the place of each cell, `axes[AXES]` the number of each axis: those of
    `plain_places` or of a symmetric image."""
    k = i64(0)
    for i in range(g.n_cells):
        word = i64(cells[U(i)])
        if word:
            place = i64(places[U(g.cell_of[U(i)])])
            k = cell_features(word, place, perspective, g.seats, axes, out, k)
    return k


@inlined
def _share(part: int, whole: int) -> int:
    """Return `part / whole`, at most 1, in units of 1 / GLOBAL_ONE, rounded to nearest."""
    return min(i64(GLOBAL_ONE), (2 * GLOBAL_ONE * part + whole) // (2 * whole))


@compiled
def global_features(g: Geometry, s: la.Words, perspective: int, out: Int16s) -> None:
    """Write the globals of a running game, seen from one seat, in units of 1 / GLOBAL_ONE."""
    t = g.table
    for i in range(GLOBALS):
        out[U(i)] = 0
    if s[U(la.PHASE)] < la.OVER:
        out[U(s[U(la.PHASE)])] = GLOBAL_ONE
    out[U(_G_OWES)] = GLOBAL_ONE if s[U(la.DEBT)] or s[U(la.OWE_CAP)] else 0
    for r in range(g.seats):
        seat = (perspective - 1 + r) % g.seats + 1
        own = _G_SEAT + r * _PER_SEAT
        out[U(own)] = GLOBAL_ONE if s[U(la.TURN)] == seat else 0
        out[U(own + 1)] = _share(i64(s[U(la.HAND + seat)]), i64(g.rings_per_seat))
        out[U(own + 2)] = _share(i64(s[U(la.REMOVED + seat)]), i64(t[U(tb.T_RINGS_TO_WIN)]))
        owned = i64(s[U(la.TERRITORY_OF + seat)])
        out[U(own + 3)] = _share(owned, i64(t[U(tb.T_TERRITORY_TO_WIN)]))
        out[U(own + 4)] = _share(i64(s[U(la.ON_BOARD + seat)]), i64(g.rings_per_seat))
        if s[U(la.LPS_WHO)] == seat:
            out[U(own + 5)] = _share(i64(s[U(la.LPS_COUNT)]), i64(max(s[U(la.LPS_ROUNDS)], 1)))


def features_max(g: Geometry) -> int:
    """Return an upper limit of the active features of one perspective."""
    return g.n_cells * CELL_FEATURES_MAX


def plain_places(g: Geometry) -> tuple[Int16s, Int16s]:
    """Return `places[area]` and `axes[AXES]` of the board without symmetry."""
    return g.scan_of.copy(), np.arange(AXES, dtype=np.int16)


@compiled
def collect(
    g: Geometry,
    states: States,
    places: Int16s,
    axes: Int16s,
    symmetry: Int16s,
    cells: Cells,
    indices: Int32s,
    starts: Int64s,
    globals_: Int16s,
) -> None:
    """Write the features of many positions: perspective j of state i, with j counted from the seat
    to act, is list `i * seats + j`.

    List l is `indices[starts[l]:starts[l + 1]]`; `globals_[B * seats, GLOBALS]`. State i is placed
    by `places[symmetry[i]]`, `axes[symmetry[i]]`. A finished game is seen from seat 1. `cells` is
    scratch of `n_cells`."""
    used = i64(0)
    for i in range(states.shape[0]):
        s = states[i]
        describe(g, s, cells)
        place, axis = places[U(symmetry[U(i)])], axes[U(symmetry[U(i)])]
        for j in range(g.seats):
            seat = (max(i64(s[U(la.TURN)]), 1) - 1 + j) % g.seats + 1
            at = i * g.seats + j
            starts[U(at)] = used
            used += active_features(g, cells, seat, place, axis, indices[used:])
            global_features(g, s, seat, globals_[U(at)])
    starts[U(states.shape[0] * g.seats)] = used
