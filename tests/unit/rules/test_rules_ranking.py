"""Final ranks (section 18) and their values."""

import numpy as np
import pytest

from ringrift.rules import Config, Position, layout as la
from ringrift.rules.outcome import final_rank, final_values

Counts = tuple[int, ...]


def finished(winner: int, **counts: Counts) -> np.ndarray:
    """A finished game with these counts by seat; all others are 0."""
    state = Position.start(Config("hex8", len(counts["territory"]))).state
    state[la.WINNER], state[la.PHASE] = winner, la.OVER
    tables = {"territory": la.TERRITORY_OF, "removed": la.REMOVED, "hand": la.HAND}
    tables |= {"markers": la.MARKERS, "out": la.OUT_TURN}
    for name, table in tables.items():
        state[table + 1 : table + 5] = 0
        state[table + 1 : table + 1 + len(counts["territory"])] = counts.get(name, 0)
    return state


def ranks(state: np.ndarray, seats: int) -> Counts:
    return tuple(final_rank(state, seats, seat) for seat in range(1, seats + 1))


def test_the_example_of_section_18() -> None:
    state = finished(
        3, territory=(8, 8, 12, 8), removed=(5, 5, 9, 5), markers=(3, 3, 0, 3), out=(25, 0, 0, 0)
    )
    assert ranks(state, 4) == (4, 2, 1, 2)


@pytest.mark.parametrize(
    ("territory", "removed", "markers", "out", "expected"),
    [
        ((0, 5, 6), (0, 9, 0), (0, 9, 0), (0, 0, 9), (1, 3, 2)),  # territory first
        ((0, 5, 5), (0, 1, 2), (0, 9, 0), (0, 0, 9), (1, 3, 2)),  # then removed rings
        ((0, 5, 5), (0, 2, 2), (0, 1, 2), (0, 0, 9), (1, 3, 2)),  # then markers
        ((0, 5, 5), (0, 2, 2), (0, 2, 2), (0, 8, 9), (1, 3, 2)),  # later out is better
        ((0, 5, 5), (0, 2, 2), (0, 2, 2), (0, 9, 9), (1, 2, 2)),  # equal seats share a rank
    ],
)
def test_each_criterion_decides_where_those_before_it_are_equal(
    territory: Counts, removed: Counts, markers: Counts, out: Counts, expected: Counts
) -> None:
    state = finished(1, territory=territory, removed=removed, markers=markers, out=out)
    assert ranks(state, 3) == expected


@pytest.mark.parametrize(
    ("reason", "expected"), [(la.END_ROUNDS, (1, 2, 3)), (la.END_BARE_MARKERS, (1, 3, 2))]
)
def test_rings_in_hand_count_on_a_bare_board_only(reason: int, expected: Counts) -> None:
    state = finished(1, territory=(0, 0, 0), removed=(0, 2, 1), hand=(0, 0, 2))
    state[la.REASON] = reason
    assert ranks(state, 3) == expected


def test_seats_that_share_a_rank_share_its_value() -> None:
    state = finished(
        3, territory=(8, 8, 12, 8), removed=(5, 5, 9, 5), markers=(3, 3, 0, 3), out=(25, 0, 0, 0)
    )
    values = np.zeros(4, np.float32)
    final_values(state, 4, values)
    assert values == pytest.approx([-1, 1 / 3, 1, 1 / 3])


def test_a_running_game_has_no_ranks() -> None:
    position = Position.start(Config.parse("hex8_3p"))
    with pytest.raises(ValueError, match="when the game is over"):
        position.ranks()


def test_all_seats_are_first_without_a_winner_and_without_differences() -> None:
    position = Position.start(Config.parse("hex8_3p"))
    position.play("timeout")
    assert position.ranks() == (1, 1, 1)
