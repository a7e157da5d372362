"""States built from their visible parts, for positions given as text."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.board import add_marker, collapse, counted_word, link, put_stack
from ringrift.rules.compile import compiled
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.errors import RulesError
from ringrift.rules.geometry import Geometry, geometry
from ringrift.rules.layout import STATE_DTYPE, Words, init_state

Cells = Mapping[str, Mapping[int, Sequence[int]]]
"""Seats by core id of a "stack" (top first), a "marker" or a "collapsed" cell."""


@compiled
def set_stack(G: Geometry, s: Words, c: int, rings: NDArray[np.int64], height: int) -> None:
    """Put a stack on an empty cell; `rings[:height]` are seats, top first.

    Ring numbers are assigned in order of use."""
    t = G.table
    bottom, above = 0, 0
    for i in range(height):
        seat = rings[height - 1 - i]
        ring = (seat - 1) * G.rings_per_seat + s[la.ON_BOARD + seat]
        s[la.ON_BOARD + seat] += 1
        if i == 0:
            bottom = ring
        else:
            link(t, s, ring, above)
        above = ring
    link(t, s, bottom, above)
    put_stack(t, s, c, counted_word(t, s, height, bottom))


def build_board(config: Config, cells: Cells, hands: Sequence[int]) -> NDArray[np.int32]:
    """Return a state with these cells and hands, and the rest as at the start of a game.

    Raises RulesError if a seat has more rings than its supply."""
    G = geometry(config)
    R = config.rings_per_seat
    for seat, held in enumerate(hands, 1):
        placed = sum(list(rings).count(seat) for rings in cells["stack"].values())
        if held + placed > R:
            counts = f"{held} rings in hand and {placed} on the board"
            raise RulesError(f"seat {seat} has {counts}, more than {R}")
    state = np.zeros(G.state_size, STATE_DTYPE)
    init_state(G, state, 0, LPS_ROUNDS_DEFAULT)
    for c, rings in cells["stack"].items():
        set_stack(G, state, c, np.array(rings, np.int64), len(rings))
    for c, (seat,) in cells["marker"].items():
        add_marker(G.table, state, c, seat)
    for c, (seat,) in cells["collapsed"].items():
        collapse(G.table, state, c, seat)
    state[la.HAND + 1 : la.HAND + 1 + config.seats] = hands
    return state
