"""Positions for tests of searches."""

import numpy as np

from ringrift.rules import Config, Position
from ringrift.search.arrays import States
from ringrift.search.players import Decision, Player


def states_in_play(
    config: Config, count: int, *, seed: int = 5, plies: int = 90, moves_max: int = 1 << 30
) -> States:
    """Positions with a choice of at most `moves_max` moves, up to `plies` plies and a little more
    into random games."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while len(found) < count:
        position = Position.start(config)
        stop = int(rng.integers(0, plies))
        while not position.over and not (
            position.ply >= stop and 2 <= len(position.legal_codes()) <= moves_max
        ):
            position.play_code(int(rng.choice(position.legal_codes())))
        if not position.over:
            found.append(position.state)
    return np.array(found)


def choose_one(player: Player, position: Position, seed: int = 1) -> Decision:
    (decision,) = player.choose(position.state[None], np.array([seed], np.uint64))
    return decision


def endings(config: Config, games: int, *, before: int, seed: int = 1) -> States:
    """From each of so many random games the position with a choice `before` decisions before its
    end."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for _ in range(games):
        position = Position.start(config)
        choices: list[np.ndarray] = []
        while not position.over:
            if len(position.legal_codes()) > 1:
                choices.append(position.state.copy())
            position.play_code(int(rng.choice(position.legal_codes())))
        found.append(choices[-before])
    return np.array(found)


def random_game(key: str, seed: int) -> list[Position]:
    """All positions of a random game, the start and the end included."""
    rng = np.random.default_rng(seed)
    position = Position.start(Config.parse(key))
    found = [position.copy()]
    while not position.over:
        position.play_code(int(rng.choice(position.legal_codes())))
        found.append(position.copy())
    return found
