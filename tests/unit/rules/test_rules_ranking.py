"""Final standings (section 18)."""

import pytest

from ringrift.rules import Config, Position
from ringrift.rules.ranking import ranks


def test_the_example_of_the_document() -> None:
    assert ranks(3, (8, 8, 12, 8), (5, 5, 9, 5), (3, 3, 0, 3), (25, 0, 0, 0)) == (4, 2, 1, 2)


@pytest.mark.parametrize(
    ("territory", "removed", "markers", "out", "expected"),
    [
        ((0, 5, 6), (0, 9, 0), (0, 9, 0), (0, 0, 9), (1, 3, 2)),  # territory first
        ((0, 5, 5), (0, 1, 2), (0, 9, 0), (0, 0, 9), (1, 3, 2)),  # then removed rings
        ((0, 5, 5), (0, 2, 2), (0, 1, 2), (0, 0, 9), (1, 3, 2)),  # then markers
        ((0, 5, 5), (0, 2, 2), (0, 2, 2), (0, 8, 9), (1, 3, 2)),  # later out is better
        ((0, 5, 5), (0, 2, 2), (0, 2, 2), (0, 9, 9), (1, 2, 2)),  # equals share
    ],
)
def test_each_criterion_in_its_turn(
    territory: tuple[int, ...],
    removed: tuple[int, ...],
    markers: tuple[int, ...],
    out: tuple[int, ...],
    expected: tuple[int, ...],
) -> None:
    assert ranks(1, territory, removed, markers, out) == expected


def test_without_a_winner_nobody_is_put_first() -> None:
    position = Position.start(Config.parse("hex8_3p"))
    with pytest.raises(ValueError, match="when the game is over"):
        position.ranks()
    position.play("timeout")
    assert position.ranks() == (1, 1, 1)
