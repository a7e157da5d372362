"""A 64-bit key of a position, for transposition tables.

Positions have equal keys whatever moves led to them: rings are distinguished by colour only, and
the numbers of plies and turns are left out, as no legal move depends on them. Two different
positions share a key with probability 2^-64, so that happens in one of 8e9 searches of 2^16
positions.
"""

from typing import Final

from ringrift.rules import layout as la
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words, word_bottom, word_cap, word_height
from ringrift.rules.table import CELLS_AT
from ringrift.search.compile import compiled
from ringrift.search.splitmix import GOLDEN, MIX_1

CELL_BITS: Final = (1 << la.BOTTOM_SHIFT) - 1
"""Seat, wall, stack, height, cap: all but the number of the bottom ring."""
COLOUR: Final = 7 << la.COLOUR_SHIFT


@compiled
def _stir(key: int, word: int) -> int:
    """Mix a word into the key. Each step is invertible, so equal words keep different keys
    different."""
    z = (key ^ U(word)) * MIX_1
    return z ^ (z >> U(32))


@compiled
def position_key(g: Geometry, s: Words) -> int:
    """Key of state `s`, never 0."""
    key = GOLDEN
    for i in range(la.TURN, la.TERRITORY_OF + 5):
        if i not in (la.PLY, la.TURN_NUMBER, la.LINKS_AT, la.ONE_PIECE):
            key = _stir(key, i64(s[U(i)]))
    for seat in range(1, g.seats + 1):
        key = _stir(key, i64(s[U(la.OUT_TURN + seat)]))
    links = i64(s[U(la.LINKS_AT)])
    for k in range(g.n_cells):
        w = i64(s[U(CELLS_AT + i64(g.cell_of[U(k)]))])
        key = _stir(key, w & CELL_BITS)
        if w & la.STACK and word_height(w) > word_cap(w):
            ring = word_bottom(w)
            for _ in range(word_height(w)):
                link = i64(s[U(links + ring)])
                key = _stir(key, link & COLOUR)
                ring = link & la.NINE_BITS
    return key if key != U(0) else GOLDEN
