"""The handcrafted evaluation: weighted material, races and threats of each seat against the others.

A state becomes one row of features for each seat (`features`). The weighted sum `u` of a row is the
seat's strength on a logistic scale: seat a ends before seat b with probability
`sigmoid(u_a - u_b)` (Bradley-Terry, Plackett-Luce), so its expected value by rank is

    v_a = mean over b of tanh((u_a - u_b) / 2),

between -1 and +1, with sum 0.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, i64
from ringrift.rules.config import Config
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, word_cap, word_height
from ringrift.rules.lines import run_ahead
from ringrift.rules.outcome import final_values
from ringrift.search.compile import compiled

WEIGHTS: Final = {
    "removed": (1.844, 0.231),  # credited rings / V
    "removed_squared": (1.975, 0.315),
    "territory": (1.310, 2.640),  # collapsed cells / territory minimum
    "territory_squared": (1.081, 0.666),
    "hand": (2.049, 0.626),  # rings in hand / R
    "stacks": (0.808, 0.889),  # controlled stacks / 8
    "caps": (-1.393, 0.073),  # sum of cap heights / R
    "prisoners": (0.155, -0.496),  # rings below own caps / R
    "buried": (1.384, -0.045),  # own rings that are no top ring / R
    "markers": (3.263, 2.038),  # own markers / cells
    "mobile": (-1.107, -0.633),  # rays on which a controlled stack can move / 16
    "stuck": (-0.217, -0.285),  # controlled stacks that cannot move / 8
    "credit_landings": (0.475, 0.272),  # rays on which a controlled stack can land on a marker / 8
    "territory_crossings": (0.070, 0.400),  # rays on which a move crosses an own marker / 8
    "captures": (0.075, -0.015),  # foreign stacks that can be leapt over now, a ray each / 8
    "captured_height": (-1.187, -0.245),  # height of the stacks that others can leap over now / R
    "line_threats": (0.483, 0.304),  # runs of own markers at most one short of a line / 4
    "no_material": (-1.860, -0.512),  # 1 without stack and hand: temporarily out
    "out": (0.172, -0.632),  # 1 without a ring anywhere
    "rounds_alone": (0.042, -0.109),  # completed rounds as the only seat able to act / required
    "at_placement": (0.344, 0.358),  # 1 if the seat is to move in this phase; so are the next five
    "at_movement": (0.192, 0.134),
    "at_capture": (0.446, 0.881),
    "at_chain": (0.832, 0.386),
    "at_line": (-0.316, 0.139),
    "at_territory": (1.002, 0.914),
    "owes_ring": (-0.089, -0.414),  # 1 if the mover owes a line cost
    "owes_cap": (0.323, -0.285),  # 1 if the mover owes a region cost: a cap is about to be credited
}
"""For two seats and for more, by feature; fitted by `ringrift.tools.heuristic_fit`."""

FEATURE_NAMES: Final = tuple(WEIGHTS)
FEATURES: Final = len(FEATURE_NAMES)
# Their indices, in the same order.
F_REMOVED, F_REMOVED2, F_TERRITORY, F_TERRITORY2, F_HAND, F_STACKS, F_CAPS = range(7)
F_PRISONERS, F_BURIED, F_MARKERS, F_MOBILE, F_STUCK, F_CREDIT, F_CROSSINGS = range(7, 14)
F_CAPTURES, F_CAPTURED, F_LINES, F_NO_MATERIAL, F_OUT, F_ALONE, F_PHASE = range(14, 21)
F_OWES_RING, F_OWES_CAP = FEATURES - 2, FEATURES - 1
SCRATCH: Final = 4 * FEATURES  # float32 numbers that `evaluate` needs, for up to four seats
TURN_PHASES_BEFORE_OVER: Final = 6

Row = NDArray[np.float32]


@cache
def heuristic_weights(config: Config) -> Row:
    """Return the weights [FEATURES] for `config`."""
    column = 0 if config.seats == 2 else 1
    return np.array([weights[column] for weights in WEIGHTS.values()], np.float32)


@compiled
def _ray_features(s: Words, delta: int, at: int, seat: int, height: int, cap: int, f: Row) -> bool:
    """Add the features of one ray of the stack at core id `at`; return whether the stack can move
    along it."""
    c = at + delta
    distance = 1
    crossed = False  # an own marker lies on the way, before the cell looked at
    credit = False
    crossing = False
    w = i64(s[U(tb.CELLS_AT + c)])
    while (w & la.BLOCK) == 0:
        if distance >= height:
            crossing |= crossed
            credit |= w != 0
        crossed |= w == seat
        c += delta
        distance += 1
        w = i64(s[U(tb.CELLS_AT + c)])
    own = (seat - 1) * FEATURES
    if credit:
        f[U(own + F_CREDIT)] += 1
    if crossing:
        f[U(own + F_CROSSINGS)] += 1
    victim = w & la.SEAT_BITS
    if (w & la.STACK) and word_cap(w) <= cap and victim != seat:
        beyond = c + delta
        reach = distance + 1
        while reach < height and (s[U(tb.CELLS_AT + beyond)] & la.BLOCK) == 0:
            beyond += delta
            reach += 1
        if (s[U(tb.CELLS_AT + beyond)] & la.BLOCK) == 0:
            f[U(own + F_CAPTURES)] += 1
            f[U((victim - 1) * FEATURES + F_CAPTURED)] += word_height(w)
    return distance > height


@compiled
def _stack_features(t: Words, s: Words, at: int, w: int, f: Row) -> None:
    seat = w & la.SEAT_BITS
    height = word_height(w)
    cap = word_cap(w)
    own = (seat - 1) * FEATURES
    f[U(own + F_CAPS)] += cap
    f[U(own + F_PRISONERS)] += height - cap
    rays = 0
    for d in range(t[U(tb.T_DIRECTIONS)]):
        if _ray_features(s, i64(t[U(tb.T_DIRECTION + d)]), at, seat, height, cap, f):
            rays += 1
    f[U(own + F_MOBILE)] += rays
    if rays == 0:
        f[U(own + F_STUCK)] += 1


@compiled
def _line_features(t: Words, s: Words, at: int, seat: int, shortest: int, f: Row) -> None:
    """Count the runs of at least `shortest` markers that begin at `at`."""
    for axis in range(t[U(tb.T_AXES)]):
        delta = i64(t[U(tb.T_AXIS + axis)])
        if s[U(tb.CELLS_AT + at - delta)] == seat:
            continue
        if run_ahead(s, at, delta, seat) >= shortest:
            f[U((seat - 1) * FEATURES + F_LINES)] += 1


@compiled
def _header_features(g: Geometry, s: Words, f: Row) -> None:
    t = g.table
    to_win = np.float32(t[U(tb.T_RINGS_TO_WIN)])
    land = np.float32(t[U(tb.T_TERRITORY_TO_WIN)])
    rings = np.float32(g.rings_per_seat)
    for seat in range(1, g.seats + 1):
        own = (seat - 1) * FEATURES
        removed = np.float32(s[U(la.REMOVED + seat)]) / to_win
        territory = np.float32(s[U(la.TERRITORY_OF + seat)]) / land
        hand = i64(s[U(la.HAND + seat)])
        stacks = i64(s[U(la.STACKS + seat)])
        on_board = i64(s[U(la.ON_BOARD + seat)])
        f[U(own + F_REMOVED)] = removed
        f[U(own + F_REMOVED2)] = removed * removed
        f[U(own + F_TERRITORY)] = territory
        f[U(own + F_TERRITORY2)] = territory * territory
        f[U(own + F_HAND)] = hand / rings
        f[U(own + F_STACKS)] = stacks / np.float32(8)
        f[U(own + F_BURIED)] = (on_board - stacks) / rings
        f[U(own + F_MARKERS)] = np.float32(s[U(la.MARKERS + seat)]) / np.float32(g.n_cells)
        f[U(own + F_NO_MATERIAL)] = 1.0 if hand == 0 and stacks == 0 else 0.0
        f[U(own + F_OUT)] = 1.0 if hand == 0 and on_board == 0 else 0.0
        if s[U(la.LPS_WHO)] == seat:
            f[U(own + F_ALONE)] = np.float32(s[U(la.LPS_COUNT)]) / np.float32(s[U(la.LPS_ROUNDS)])
    own = (i64(s[U(la.TURN)]) - 1) * FEATURES
    turn_phase = i64(s[U(la.PHASE)])
    if turn_phase < TURN_PHASES_BEFORE_OVER:
        f[U(own + F_PHASE + turn_phase)] = 1.0
    f[U(own + F_OWES_RING)] = np.float32(s[U(la.DEBT)])
    f[U(own + F_OWES_CAP)] = np.float32(s[U(la.OWE_CAP)])


@compiled
def features(g: Geometry, s: Words, f: Row) -> None:
    """Write the features of a running game to `f`, SCRATCH numbers seen as [seats, FEATURES]."""
    t = g.table
    for i in range(g.seats * FEATURES):
        f[U(i)] = 0.0
    _header_features(g, s, f)
    shortest = g.line_length - 1
    for k in range(g.n_cells):
        at = i64(g.cell_of[U(k)])
        w = i64(s[U(tb.CELLS_AT + at)])
        if w == 0 or w & la.WALL:
            continue
        if w & la.STACK:
            _stack_features(t, s, at, w, f)
        else:
            _line_features(t, s, at, w, shortest, f)
    rings = np.float32(g.rings_per_seat)
    for seat in range(g.seats):
        own = seat * FEATURES
        for i in (F_CAPS, F_PRISONERS, F_CAPTURED):
            f[U(own + i)] /= rings
        for i in (F_STUCK, F_CREDIT, F_CROSSINGS, F_CAPTURES):
            f[U(own + i)] /= np.float32(8)
        f[U(own + F_MOBILE)] /= np.float32(16)
        f[U(own + F_LINES)] /= np.float32(4)


@compiled
def evaluate(g: Geometry, s: Words, w: Row, f: Row, values: Row) -> None:
    """Write the value of a state for every seat to `values[seat - 1]`; exact if the game is over.

    `w` are the weights, `f` is scratch."""
    if s[U(la.PHASE)] == la.OVER:
        final_values(s, g.seats, values)
        return
    features(g, s, f)
    for seat in range(g.seats):
        u = np.float32(0.0)
        for i in range(FEATURES):
            u += w[U(i)] * f[U(seat * FEATURES + i)]
        f[U(seat * FEATURES)] = u
    for seat in range(g.seats):
        total = np.float32(0.0)
        for other in range(g.seats):
            if other != seat:
                total += np.tanh((f[U(seat * FEATURES)] - f[U(other * FEATURES)]) * np.float32(0.5))
        values[U(seat)] = total / np.float32(g.seats - 1)
