"""Building a state from its visible parts, for positions given as text."""

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
from ringrift.rules.regions import has_claim
from ringrift.rules.victory import victory


@compiled
def set_marker(G: Geometry, s: Words, c: int, seat: int) -> None:
    """Put a marker on an empty cell."""
    add_marker(G.table, s, c, seat)


@compiled
def set_collapsed(G: Geometry, s: Words, c: int, seat: int) -> None:
    """Make an empty cell territory."""
    collapse(G.table, s, c, seat)


@compiled
def set_stack(G: Geometry, s: Words, c: int, rings: NDArray[np.int64], height: int) -> None:
    """Put a stack on an empty cell; `rings[:height]` are seats, top first. Ring numbers are taken
    in order of use."""
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


@compiled
def refresh_regions(G: Geometry, s: Words) -> None:
    """Find out whether the mover has a claim, where the phase asks for it."""
    if s[la.PHASE] == la.TERRITORY and s[la.OWE_CAP] == 0:
        s[la.REGIONS] = has_claim(G.table, s, s[la.TURN])


@compiled
def is_victory(G: Geometry, s: Words) -> bool:
    """Run the end-of-turn victory test of sections 16.1 to 16.4; true if it ended the game."""
    return victory(G.table, s)


def build_board(
    config: Config,
    stacks: Mapping[int, Sequence[int]],
    markers: Mapping[int, int],
    collapsed: Mapping[int, int],
    hands: Sequence[int],
) -> NDArray[np.int32]:
    """A state with the given cells (core ids; stacks top first) and hands; the rest is as at the
    start of a game.

    Raises RulesError if a seat has more rings than there are.
    """
    G = geometry(config)
    R = config.rings_per_seat
    for seat, held in enumerate(hands, 1):
        placed = sum(list(rings).count(seat) for rings in stacks.values())
        if held + placed > R:
            raise RulesError(
                f"seat {seat} has {held} rings in hand and {placed} on the board, more than {R}"
            )
    state = np.zeros(G.state_size, STATE_DTYPE)
    init_state(G, state, 0, LPS_ROUNDS_DEFAULT)
    for c, rings in stacks.items():
        set_stack(G, state, c, np.array(rings, np.int64), len(rings))
    for c, seat in markers.items():
        set_marker(G, state, c, seat)
    for c, seat in collapsed.items():
        set_collapsed(G, state, c, seat)
    state[la.HAND + 1 : la.HAND + 1 + config.seats] = hands
    return state
