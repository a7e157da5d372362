"""What positions are worth to a search: evaluators, persons, estimates and ends.

Searches keep values by *person*, the seat that a player had before any swap of the pie rule: a swap
changes who moves, not what a number means.

Searches that compare values on one scale (depth-first and descent) map an estimate to
[-ESTIMATE_MAX, ESTIMATE_MAX]. A finished game is worth its ranks, but each decision before the end
brings a first or last place closer to 0 by 1 / STEPS. So a win is better than any estimate, and an
earlier win better than a later one.
"""

from typing import Final

import numpy as np

from ringrift.rules import layout as la
from ringrift.rules.compile import U
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.search.arrays import Floats
from ringrift.search.compile import compiled, inlined
from ringrift.search.heuristic import evaluate

# Evaluators of leaves.
NETWORK: Final = 0  # the caller, between two calls of the kernel
HEURISTIC: Final = 1  # the handcrafted evaluation, inside compiled code
NULL: Final = 2  # none: equal logits, value 0
NNUE: Final = 3  # an NNUE inside compiled code; not in descent

STEPS: Final = 1024
ESTIMATE_MAX: Final = np.float32(0.75)
"""Below the value of the latest win: 1 - 200 / STEPS."""

Value = float | np.float32


@compiled
def person_of(s: Words, seat: int) -> int:
    """0-based person at `seat`."""
    return 2 - seat if s[U(la.SWAPPED)] else seat - 1


@compiled
def end_value(v: Value, level: int) -> Value:
    """The value `v` of a finished game, reached `level` decisions after the root."""
    if abs(v) == np.float32(1.0):
        v -= v * (np.float32(level) / np.float32(STEPS))
    return v


@compiled
def estimate(v: Value) -> Value:
    """The value `v` of an evaluator on the scale of the search; 0 if it is not a number."""
    if v != v:
        return np.float32(0.0)
    return min(max(v, np.float32(-1.0)), np.float32(1.0)) * ESTIMATE_MAX


@inlined
def compiled_values(
    g: Geometry, evaluator: int, s: Words, weights: Floats, scratch: Floats, values: Floats
) -> None:
    """Write the values of a running game by seat, from the heuristic or 0."""
    if evaluator == HEURISTIC:
        evaluate(g, s, weights, scratch, values)
    else:
        for seat in range(g.seats):
            values[seat] = 0.0


def unscaled(values: Floats) -> Floats:
    """Return values on the scale of the search as values in -1..1."""
    clipped: Floats = np.clip(values / ESTIMATE_MAX, -1.0, 1.0).astype(np.float32)
    return clipped


def by_seat(s: Words, values: Floats) -> Floats:
    """Return values [n] by person as values by seat."""
    persons = [person_of(s, seat) for seat in range(1, len(values) + 1)]
    seats: Floats = values[persons]
    return seats
