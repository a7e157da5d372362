"""Final standings (section 18)."""

from collections.abc import Sequence


def ranks(
    winner: int,
    territory: Sequence[int],
    removed: Sequence[int],
    markers: Sequence[int],
    out_turn: Sequence[int],
) -> tuple[int, ...]:
    """Rank of each seat from 1; equals share a rank and the next is skipped (1, 2, 2, 4).

    The winner (a seat, 0 for none) is first; the others are ordered by territory, removed rings,
    markers, and the turn in which they lost their last ring (0 = never, which is best; else later
    is better)."""
    keys = [
        (seat == winner, territory[i], removed[i], markers[i], out_turn[i] == 0, out_turn[i])
        for i, seat in enumerate(range(1, len(territory) + 1))
    ]
    return tuple(1 + sum(other > key for other in keys) for key in keys)
