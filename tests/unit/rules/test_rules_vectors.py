"""Section 23 of the rules: counts of move sequences and whole games by a fixed rule."""

import pytest

from ringrift.rules import Config, Position

COUNTS = {
    "square8_2p": (192, 3192, 3192, 3192, 596_904),
    "square8_3p": (192, 3192, 3192, 3192, 596_904),
    "hex8_2p": (183, 2430, 2430, 2430, 432_540),
    "hex8_3p": (183, 2430, 2430, 2430, 432_540),
    "square19_2p": (1083, 56_520, 56_520),
    "hexagonal_2p": (1407, 70_062, 70_062),
}

# plies, winner, reason, removed, territory, markers left
GAMES = {
    "square8_2p": (124, 2, "ring_elimination", (11, 19), (1, 37), 6),
    "square8_3p": (156, 1, "territory_control", (23, 7, 11), (34, 6, 13), 2),
    "square8_4p": (200, 1, "territory_control", (21, 19, 8, 11), (22, 18, 5, 18), 0),
    "hex8_2p": (155, 1, "ring_elimination", (19, 8), (20, 10), 9),
    "hex8_3p": (169, 1, "territory_control", (17, 9, 13), (23, 4, 18), 4),
    "hex8_4p": (227, 4, "territory_control", (7, 6, 12, 14), (2, 4, 8, 19), 8),
    "square19_2p": (505, 2, "ring_elimination", (56, 76), (123, 124), 17),
    "square19_3p": (648, 2, "last_player_standing", (77, 84, 52), (147, 129, 76), 0),
    "square19_4p": (633, 2, "territory_control", (45, 63, 33, 69), (69, 142, 54, 95), 0),
    "hexagonal_2p": (1092, 1, "ring_elimination", (96, 63), (193, 109), 52),
    "hexagonal_3p": (1194, 1, "ring_elimination", (142, 86, 54), (257, 103, 89), 6),
    "hexagonal_4p": (1278, 1, "territory_control", (159, 89, 52, 44), (226, 95, 54, 33), 15),
}

FIRST_PLIES = {
    "square8_2p": "@a2*3 a2-f7 -l -t @d2*2 d2-a2 -l -t @g2*2 g2-c6 -l -t @b3 b3-b6 -l -t "
    "@e6*3 e6-b3 ~c -l -t @a6*2 a6-a4 a4xa2-a1 -l -t",
    "hex8_2p": "@a6*3 a6-e6 -l -t @d9*2 d9-d6 -l -t @h1*2 h1-c6 -l -t @c7 c7-d7 -l -t "
    "@g1*2 g1-g3 ~c -l -t @c9*2 c9-g5 g5xg3-g1 >g1xg3-g5 -l -t",
}


def sequences(position: Position, plies: int) -> int:
    """Return the number of move sequences of this length."""
    codes = position.legal_codes()
    if plies == 1:
        return codes.size
    total = 0
    for code in codes:
        child = position.copy()
        child.play_code(code)
        total += sequences(child, plies - 1)
    return total


@pytest.mark.parametrize(
    ("key", "plies", "count"),
    [(k, i, n) for k, row in COUNTS.items() for i, n in enumerate(row, 1)],
)
def test_number_of_move_sequences_from_the_start(key: str, plies: int, count: int) -> None:
    assert sequences(Position.start(Config.parse(key)), plies) == count


@pytest.mark.parametrize("key", GAMES)
def test_whole_game_by_a_fixed_rule(key: str) -> None:
    plies, winner, reason, removed, territory, markers = GAMES[key]
    position = Position.start(Config.parse(key))
    played: list[str] = []
    while not position.over:
        tokens = sorted(position.legal())
        played.append(tokens[(17 * len(played) + 5) % len(tokens)])
        position.play(played[-1])
    assert (len(played), position.winner, position.reason) == (plies, winner, reason)
    assert (position.removed(), position.territory(), sum(position.markers())) == (
        removed,
        territory,
        markers,
    )
    first = FIRST_PLIES.get(key, "").split()
    assert played[: len(first)] == first
