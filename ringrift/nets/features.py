"""Threat planes: handcrafted features that the heavy networks take in addition to the state
(requirement G04.03).

Stacks act along rays of any length, which a tower of 3 x 3 convolutions can follow only layer by
layer. The terms of the handcrafted evaluation (`ringrift.search.heuristic`: mobile, credit
landings, territory crossings, captures, line threats) are sums over cells; these planes hold the
summands, so that the network learns their weights and where they matter. The other terms of that
evaluation, counts and shares of every seat, are already among the globals of
`ringrift.nets.encoding`.

Leaps over own stacks are not counted. All planes are 0 off the board, and they transform with the
board's symmetries. `TowerShape.features` names their version: other planes, or planes with another
meaning, need another version."""

from enum import IntEnum
from typing import Final

from ringrift.nets.arrays import Floats, Int16s, States
from ringrift.rules import layout as la
from ringrift.rules.accessors import header
from ringrift.rules.compile import U, compiled, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.lines import run_ahead
from ringrift.rules.table import CELLS_AT, T_AXES, T_AXIS, T_DIRECTION, T_DIRECTIONS

RAYS_SCALE: Final = 1 / 8  # no cell has more directions
RUN_SCALE: Final = 1 / 4  # lines have 3 to 5 cells


class Feature(IntEnum):
    """The planes. Counts are rays, scaled by `RAYS_SCALE`."""

    MOBILE = 0  # rays along which the stack here can walk
    CREDITS = 1  # rays along which it can land on a marker
    CROSSES = 2  # rays along which a walk crosses a marker of its own colour
    LEAPS = 3  # rays along which it can leap over a foreign stack
    LEAPT_BY_MOVER = 4  # rays along which a stack of the mover can leap over the stack here
    LEAPT_BY_OTHERS = 5
    REACHED_BY_MOVER = 6  # rays along which a stack of the mover can walk here
    REACHED_BY_OTHERS = 7
    RUN = 8  # cells of the longest run of markers of one colour through this marker, by `RUN_SCALE`


FEATURES: Final = 9


@compiled
def _add_ray(s: la.Words, at: int, delta: int, other: int, grid_of: Int16s, out: Floats) -> None:
    """Add the threats of the stack at core id `at` along one ray; `other` is 0 for a stack of the
    mover, else 1."""
    stack = i64(s[U(CELLS_AT + at)])
    seat = stack & la.SEAT_BITS
    height = la.word_height(stack)
    own = U(grid_of[U(at)])
    crossed = False  # the ray has crossed a marker of the stack's colour
    credit = False
    crossing = False
    c = at + delta
    distance = 1
    w = i64(s[U(CELLS_AT + c)])
    while (w & la.BLOCK) == 0:
        if distance >= height:
            out[U(grid_of[U(c)]), U(Feature.REACHED_BY_MOVER + other)] += RAYS_SCALE
            crossing |= crossed
            credit |= w != 0
        crossed |= w == seat
        c += delta
        distance += 1
        w = i64(s[U(CELLS_AT + c)])
    if distance > height:
        out[own, U(Feature.MOBILE)] += RAYS_SCALE
    if credit:
        out[own, U(Feature.CREDITS)] += RAYS_SCALE
    if crossing:
        out[own, U(Feature.CROSSES)] += RAYS_SCALE
    if (w & la.STACK) == 0 or la.word_cap(w) > la.word_cap(stack) or (w & la.SEAT_BITS) == seat:
        return
    victim = U(grid_of[U(c)])
    c += delta
    distance += 1
    while distance < height and (s[U(CELLS_AT + c)] & la.BLOCK) == 0:
        c += delta
        distance += 1
    if (s[U(CELLS_AT + c)] & la.BLOCK) == 0:
        out[own, U(Feature.LEAPS)] += RAYS_SCALE
        out[victim, U(Feature.LEAPT_BY_MOVER + other)] += RAYS_SCALE


@compiled
def _longest_run(geo: Geometry, s: la.Words, at: int) -> int:
    """Return the length of the longest run of markers of one colour through core id `at`."""
    seat = i64(s[U(CELLS_AT + at)])
    longest = 1
    for axis in range(geo.table[U(T_AXES)]):
        delta = i64(geo.table[U(T_AXIS + axis)])
        length = run_ahead(s, at, delta, seat) + run_ahead(s, at - delta, -delta, seat)
        longest = max(longest, length)
    return longest


@compiled
def threats(geo: Geometry, s: la.Words, grid_of: Int16s, out: Floats) -> None:
    """Encode the planes of one state into `out[width * width, FEATURES]`; `grid_of` as in
    `ringrift.nets.encoding.encode`."""
    out[:] = 0.0
    mover = max(header(s, la.TURN), 1)  # 0 when the game is over
    for k in range(geo.n_cells):
        at = i64(geo.cell_of[U(k)])
        w = i64(s[U(CELLS_AT + at)])
        if w == 0 or w & la.WALL:
            continue
        if w & la.STACK:
            other = 0 if (w & la.SEAT_BITS) == mover else 1
            for d in range(geo.table[U(T_DIRECTIONS)]):
                _add_ray(s, at, i64(geo.table[U(T_DIRECTION + d)]), other, grid_of, out)
        else:
            out[U(grid_of[U(at)]), U(Feature.RUN)] = _longest_run(geo, s, at) * RUN_SCALE


@compiled
def threats_of_batch(
    geo: Geometry, states: States, grids: Int16s, symmetry: Int16s, out: Floats
) -> None:
    """Encode `states[B, S]` into `out[B, width * width, FEATURES]`; `grids` and `symmetry` as in
    `encode_batch`."""
    for i in range(states.shape[0]):
        threats(geo, states[i], grids[U(symmetry[i])], out[i])
