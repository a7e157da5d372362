"""Forced plies: a position with one legal move is no decision, and searches pass over it."""

from typing import Final

from ringrift.rules.apply import apply_move
from ringrift.rules.compile import i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.legal import legal_moves
from ringrift.search.arrays import Codes
from ringrift.search.compile import inlined

FORCED_SHIFT: Final = 32
FORCED_COUNT: Final = (1 << FORCED_SHIFT) - 1


@inlined
def forced_plies(g: Geometry, s: Words, moves: Codes, record: Codes, at: int) -> int:
    """Play while there is only one legal move.

    The plies are written to `record[at:]` unless `record` is empty; play stops at its end. The
    legal moves of the last position are left in `moves`. Returns their number (0: the game is over)
    + the number of plies played << FORCED_SHIFT."""
    played = i64(0)
    count = i64(legal_moves(g, s, moves))
    while count == 1 and (record.size == 0 or at + played < record.size):
        if record.size > 0:
            record[at + played] = moves[0]
        apply_move(g, s, moves[0])
        played += 1
        count = i64(legal_moves(g, s, moves))
    return count + (played << FORCED_SHIFT)
