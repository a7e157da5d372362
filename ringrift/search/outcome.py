"""What a finished game is worth to each seat.

The winner always gets +1. The others are ranked by section 18 of the rules and get `1 - 2 (rank -
1) / (n - 1)`, so that with two seats the loser has -1 and with more a second place is worth more
than a last. Seats that share a rank share its value."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.accessors import hand, markers, out_turn, removed, territory, winner
from ringrift.rules.compile import U, i64
from ringrift.rules.layout import Words
from ringrift.search.compile import compiled

NEVER_OUT: Final = 1 << 30  # a turn later than any


@compiled
def _ranked_above(s: Words, a: int, b: int) -> bool:
    """Whether seat `a` is strictly better than seat `b`, both not the winner (section 18)."""
    if territory(s, a) != territory(s, b):
        return territory(s, a) > territory(s, b)
    reason = i64(s[U(la.REASON)])
    bare = reason >= la.END_BARE_TERRITORY and reason <= la.END_BARE_LAST_ACTOR
    credit_a = removed(s, a) + (hand(s, a) if bare else 0)
    credit_b = removed(s, b) + (hand(s, b) if bare else 0)
    if credit_a != credit_b:
        return credit_a > credit_b
    if markers(s, a) != markers(s, b):
        return markers(s, a) > markers(s, b)
    out_a = out_turn(s, a) if out_turn(s, a) else NEVER_OUT
    out_b = out_turn(s, b) if out_turn(s, b) else NEVER_OUT
    return out_a > out_b


@compiled
def final_rank(s: Words, seats: int, seat: int) -> int:
    """Rank of `seat` in a finished game, 1 is best; seats equal in everything share a rank."""
    first = winner(s)
    if seat == first:
        return 1
    rank = 1 if first == 0 else 2
    for other in range(1, seats + 1):
        if other not in (seat, first) and _ranked_above(s, other, seat):
            rank += 1
    return rank


@compiled
def final_values(s: Words, seats: int, values: NDArray[np.float32]) -> None:
    """Write the value of a finished game for every seat, `values[seat - 1]` in [-1, 1]."""
    for seat in range(1, seats + 1):
        values[U(seat - 1)] = 1.0 - 2.0 * (final_rank(s, seats, seat) - 1) / (seats - 1)
