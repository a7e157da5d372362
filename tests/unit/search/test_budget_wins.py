"""A larger budget plays better with every harness, from random starts and with the heuristic."""

import numpy as np
import pytest
from support.positions import states_in_play

from ringrift.rules import Config, Position
from ringrift.search.boards import Boards
from ringrift.search.harness import Setup, make_player
from ringrift.search.players import Player

PLIES_MAX = 4000


def share(config: Config, candidate: Player, opponent: Player, starts: int) -> float:
    """Return the mean placement score of the candidate, 1 for first and 0 for last.

    It takes each seat once for each start; opponents take the others."""
    n = config.seats
    openings = states_in_play(config, starts, plies=24, seed=17)
    boards = Boards(config, starts * n, PLIES_MAX)
    for slot in range(starts * n):
        boards.start(slot, False)
        boards.table.states[slot] = openings[slot // n]
    live = list(range(starts * n))
    while live:
        for player, chosen in ((candidate, True), (opponent, False)):
            slots = [
                slot
                for slot in live
                if (int(boards.table.states[slot, 0]) - 1 == slot % n) == chosen
            ]
            if slots:
                decisions = player.choose(boards.table.states[slots], np.array(slots, np.uint64))
                boards.play(slots, [decision.move for decision in decisions])
            live = [slot for slot in live if not boards.over(slot)]
    ranks = [
        Position(config, boards.table.states[slot]).ranks()[slot % n] for slot in range(starts * n)
    ]
    return 1 - (float(np.mean(ranks)) - 1) / (n - 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "name", "small", "large", "starts", "least"),
    [
        ("hex8_2p", "minimax", 1, 6000, 20, 0.65),
        ("square8_3p", "maxn", 1, 3000, 12, 0.55),
        ("square8_3p", "brs", 1, 3000, 12, 0.55),
        ("hex8_2p", "descent", 1, 1500, 20, 0.65),
        ("hex8_2p", "gpu_gumbel", 4, 64, 20, 0.6),
    ],
)
def test_more_budget_wins(
    key: str, name: str, small: int, large: int, starts: int, least: float
) -> None:
    config = Config.parse(key)
    candidate, opponent = (
        make_player(config, name, Setup(evaluator="heuristic", simulations=n))
        for n in (large, small)
    )
    result = share(config, candidate, opponent, starts)
    print(f"{key} {name} {large} against {small}: {result:.3f} of {starts * config.seats} games")
    assert result >= least
