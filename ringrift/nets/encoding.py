"""A state as input of a network: planes on the bounding grid and a vector of globals, seen from the
seat to act.

Seats are *relative*: 0 is the seat to act, 1 the next in cyclic order, and so on; planes and
globals of seats a game does not have are zero, so 2, 3 and 4 seats share one layout. Planes are
stored cell by cell, channels innermost (torch's channels-last): cell `(x, y)` of the grid is row `y
* width + x`.

States that differ in anything that can affect the rest of the game have different inputs, as
`tests/unit/nets/test_encoding.py` checks. The past (ply, turn number) and the absolute seat are not
encoded."""

from enum import IntEnum
from typing import Final

from ringrift.nets.arrays import Floats, Int16s, States
from ringrift.rules import accessors as ac, layout as la
from ringrift.rules.compile import U, compiled
from ringrift.rules.geometry import Geometry
from ringrift.rules.table import T_RINGS_TO_WIN, T_TERRITORY_TO_WIN

ENCODER: Final = "planes-1"
"""Version of this encoding and of the move bags; a network works only with the version that it was
trained on."""

RELATIVE_SEATS: Final = 4
HEIGHT_SCALE: Final = 1 / 8  # few stacks are higher than 8
RINGS_SCALE: Final = 1 / 4
STACKS_SCALE: Final = 1 / 8
TURN_SCALE: Final = 1 / 64
HEIGHT_CLASSES: Final = 6  # 1..5, 6 and more: the height decides which cells a stack reaches
CAP_CLASSES: Final = 3  # 1, 2, 3 and more
SEQUENCE_BASE: Final = 5.0  # a colour is a digit 1..4
SEQUENCE_RINGS: Final = 10
"""Base-5 digits of a float32; the two sequence planes distinguish stacks of up to twice as many."""


class Plane(IntEnum):
    """First channel of each group of planes."""

    ON_BOARD = 0
    COLUMN = 1  # -1 .. 1 over the grid, so that no two cells look alike on an empty board
    ROW = 2
    CONTROLLER = 3  # by relative seat
    HEIGHT = 7
    HEIGHT_CLASS = 8
    CAP = 14
    CAP_CLASS = 15
    RINGS = 18  # rings of each relative seat in the stack
    SECOND = 22  # colour below the top ring: the next controller if that ring is removed
    BELOW_CAP = 26  # colour below the cap: the next controller if the cap is removed
    FROM_TOP = 30  # the sequence of rings as digits of a fraction, from the top and from the bottom
    FROM_BOTTOM = 31
    MARKER = 32  # by relative seat
    COLLAPSED = 36  # by relative seat
    MUST = 40
    ORIGIN = 41


PLANES: Final = 42


class Global(IntEnum):
    """First index of each group of globals."""

    PHASE = 0  # one of eight
    DEBT = 8
    OWE_CAP = 9
    ACTED = 10
    RECOVERING = 11
    SWAP_OPEN = 12
    SWAPPED = 13
    SEATS = 14  # one of 2, 3, 4
    ROUNDS_DONE = 17  # share of the rounds section 17 requires
    ROUNDS_REQUIRED = 18
    SEAT = 19  # SEAT_GLOBALS for each relative seat, in the order of `_encode_seat`


SEAT_GLOBALS: Final = 15
GLOBALS: Final = Global.SEAT + RELATIVE_SEATS * SEAT_GLOBALS


@compiled
def seat_from(mover: int, seats: int, seat: int) -> int:
    """Return the relative seat of `seat`, 0 for the mover."""
    return (seat - mover + seats) % seats


@compiled
def _encode_stack(s: la.Words, c: int, mover: int, seats: int, row: Floats) -> None:
    height = ac.height_at(s, c)
    cap = ac.cap_at(s, c)
    row[U(Plane.CONTROLLER + seat_from(mover, seats, ac.controller_at(s, c)))] = 1.0
    row[U(Plane.HEIGHT)] = height * HEIGHT_SCALE
    row[U(Plane.HEIGHT_CLASS + min(height, HEIGHT_CLASSES) - 1)] = 1.0
    row[U(Plane.CAP)] = cap * HEIGHT_SCALE
    row[U(Plane.CAP_CLASS + min(cap, CAP_CLASSES) - 1)] = 1.0
    digit = 1.0
    from_top = 0.0
    from_bottom = 0.0
    for i in range(height):
        seat = seat_from(mover, seats, ac.ring_at(s, c, i))
        row[U(Plane.RINGS + seat)] += RINGS_SCALE
        if i == 1:
            row[U(Plane.SECOND + seat)] = 1.0
        if i == cap:
            row[U(Plane.BELOW_CAP + seat)] = 1.0
        if i < SEQUENCE_RINGS:
            digit /= SEQUENCE_BASE
            from_top += (seat + 1) * digit
        if height - i <= SEQUENCE_RINGS:
            from_bottom = (from_bottom + seat + 1) / SEQUENCE_BASE
    row[U(Plane.FROM_TOP)] = from_top
    row[U(Plane.FROM_BOTTOM)] = from_bottom


@compiled
def _encode_seat(geo: Geometry, s: la.Words, seat: int, out: Floats) -> None:
    bit = seat - 1
    out[U(0)] = 1.0  # the game has this seat
    out[U(1)] = ac.header(s, la.HAND + seat) / geo.rings_per_seat
    out[U(2)] = 1.0 if ac.header(s, la.HAND + seat) > 0 else 0.0
    out[U(3)] = ac.header(s, la.REMOVED + seat) / geo.table[U(T_RINGS_TO_WIN)]
    out[U(4)] = ac.header(s, la.TERRITORY_OF + seat) / geo.table[U(T_TERRITORY_TO_WIN)]
    out[U(5)] = ac.header(s, la.ON_BOARD + seat) / geo.rings_per_seat
    out[U(6)] = ac.header(s, la.STACKS + seat) * STACKS_SCALE
    out[U(7)] = ac.header(s, la.MARKERS + seat) / geo.n_cells
    out[U(8)] = 1.0 if ac.header(s, la.LAST_ACTOR) == seat else 0.0
    # The rounds of section 17: the first seat, seats seen, seats able to act, the only such seat
    out[U(9)] = 1.0 if ac.header(s, la.LPS_FIRST) == seat else 0.0
    out[U(10)] = (ac.header(s, la.LPS_SEEN) >> bit) & 1
    out[U(11)] = (ac.header(s, la.LPS_MASK) >> bit) & 1
    out[U(12)] = 1.0 if ac.header(s, la.LPS_WHO) == seat else 0.0
    out[U(13)] = 1.0 if ac.header(s, la.OUT_TURN + seat) > 0 else 0.0
    out[U(14)] = ac.header(s, la.OUT_TURN + seat) * TURN_SCALE


@compiled
def _encode_globals(geo: Geometry, s: la.Words, mover: int, out: Floats) -> None:
    out[:] = 0.0
    out[U(ac.header(s, la.PHASE))] = 1.0
    out[U(Global.DEBT)] = ac.header(s, la.DEBT)
    out[U(Global.OWE_CAP)] = ac.header(s, la.OWE_CAP)
    out[U(Global.ACTED)] = ac.header(s, la.ACTED)
    out[U(Global.RECOVERING)] = ac.header(s, la.RECOVERING)
    out[U(Global.SWAP_OPEN)] = ac.header(s, la.SWAP_OPEN)
    out[U(Global.SWAPPED)] = ac.header(s, la.SWAPPED)
    out[U(Global.SEATS + geo.seats - 2)] = 1.0
    rounds = max(ac.header(s, la.LPS_ROUNDS), 1)
    out[U(Global.ROUNDS_DONE)] = ac.header(s, la.LPS_COUNT) / rounds
    out[U(Global.ROUNDS_REQUIRED)] = 1.0 / rounds
    for seat in range(1, geo.seats + 1):
        at = Global.SEAT + seat_from(mover, geo.seats, seat) * SEAT_GLOBALS
        _encode_seat(geo, s, seat, out[at : at + SEAT_GLOBALS])


@compiled
def encode(geo: Geometry, s: la.Words, grid_of: Int16s, planes: Floats, globals_: Floats) -> None:
    """Encode one state into `planes[width * width, PLANES]` and `globals_[GLOBALS]`, overwriting
    them.

    `grid_of[area]` places the cells: `geo.grid_of` or a symmetric image of it
    (`ringrift.nets.symmetry`). A finished game is encoded as seen from seat 1."""
    mover = max(ac.header(s, la.TURN), 1)  # 0 when the game is over
    planes[:] = 0.0
    scale = 2.0 / (geo.width - 1)
    for k in range(geo.n_cells):
        c = int(geo.cell_of[U(k)])
        grid = int(grid_of[U(c)])
        row = planes[U(grid)]
        row[U(Plane.ON_BOARD)] = 1.0
        row[U(Plane.COLUMN)] = (grid % geo.width) * scale - 1.0
        row[U(Plane.ROW)] = (grid // geo.width) * scale - 1.0
        if ac.height_at(s, c) > 0:
            _encode_stack(s, c, mover, geo.seats, row)
        elif ac.marker_at(s, c) > 0:
            row[U(Plane.MARKER + seat_from(mover, geo.seats, ac.marker_at(s, c)))] = 1.0
        elif ac.collapsed_at(s, c) > 0:
            row[U(Plane.COLLAPSED + seat_from(mover, geo.seats, ac.collapsed_at(s, c)))] = 1.0
    if ac.header(s, la.MUST) > 0:
        planes[U(grid_of[U(ac.header(s, la.MUST))]), U(Plane.MUST)] = 1.0
    if ac.header(s, la.ORIGIN) > 0:
        planes[U(grid_of[U(ac.header(s, la.ORIGIN))]), U(Plane.ORIGIN)] = 1.0
    _encode_globals(geo, s, mover, globals_)


@compiled
def encode_batch(
    geo: Geometry, states: States, grids: Int16s, symmetry: Int16s, planes: Floats, globals_: Floats
) -> None:
    """Encode `states[B, S]` into `planes[B, width * width, PLANES]` and `globals_[B, GLOBALS]`.

    `grids[symmetry[i]]` places the cells of state `i` (`ringrift.nets.symmetry.grid_tables`)."""
    for i in range(states.shape[0]):
        encode(geo, states[i], grids[U(symmetry[i])], planes[i], globals_[i])
