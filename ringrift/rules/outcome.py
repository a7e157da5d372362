"""Final ranks (section 18) and their value for each seat.

The winner is worth +1. With n seats, rank r is worth `1 - 2 (r - 1) / (n - 1)`: with two seats the
loser gets -1, and with more a second place is worth more than a last. Seats that share a rank share
its value.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.compile import U, compiled, i64
from ringrift.rules.layout import Words

NEVER_OUT: Final = 1 << 30  # later than any turn


@compiled
def _ranked_above(s: Words, a: int, b: int) -> bool:
    """Whether seat `a` is strictly better than seat `b`; neither is the winner."""
    for at in (la.TERRITORY_OF, la.REMOVED, la.MARKERS, la.OUT_TURN):
        one, other = i64(s[U(at + a)]), i64(s[U(at + b)])
        if at == la.REMOVED and la.END_BARE_TERRITORY <= s[U(la.REASON)] <= la.END_BARE_LAST_ACTOR:
            # on a bare board rings in hand count as removed (16.4)
            one += s[U(la.HAND + a)]
            other += s[U(la.HAND + b)]
        elif at == la.OUT_TURN:
            # 0 means that the seat still had a ring at the end
            one = one if one else i64(NEVER_OUT)
            other = other if other else i64(NEVER_OUT)
        if one != other:
            return one > other
    return False


@compiled
def final_rank(s: Words, seats: int, seat: int) -> int:
    """Rank of `seat` in a finished game, from 1; seats equal in everything share a rank.

    The next rank after a shared one is skipped (1, 2, 2, 4)."""
    first = i64(s[U(la.WINNER)])
    if seat == first:
        return 1
    rank = 1 if first == 0 else 2
    for other in range(1, seats + 1):
        if other not in (seat, first) and _ranked_above(s, other, seat):
            rank += 1
    return rank


@compiled
def final_values(s: Words, seats: int, values: NDArray[np.float32]) -> None:
    """Write the value of a finished game for every seat to `values[seat - 1]`, in -1..1."""
    for seat in range(1, seats + 1):
        values[U(seat - 1)] = 1.0 - 2.0 * (final_rank(s, seats, seat) - 1) / (seats - 1)
