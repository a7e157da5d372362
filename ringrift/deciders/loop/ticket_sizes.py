"""How many games does a ticket of self-play have?

On one machine the tickets of a plan shrink towards its end (guided self-scheduling,
Polychronopoulos and Kuck 1987). Where every node that plays has a GPU, those of a network that runs
on it are as wide as its memory allows, since all games of a ticket advance together."""

import math
from collections.abc import Iterable

from ringrift.deciders.fleet.durations import TICKET_SECONDS, Spread

TICKET_GAMES_MIN = 8
"""smaller batches leave an accelerator idle"""
TICKET_GAMES_LAST = 24
"""of the last tickets of a plan; the network of a CPU is three times as slow per position at a
batch of 16 as at 128"""
TICKET_FACTOR_MAX = 4
"""times the usual size: a larger batch gains nothing"""
GAMES_A_GIB = 256
"""of VRAM, of a ticket. Three activations of the largest network (320 channels) on hexagonal are
2.4 MB a game, of `v2-micro` 0.24; a worker whose memory does not suffice halves its batch"""
TICKET_GAMES_GPU_MAX = 4096
"""positions that a network takes at once (`ringrift.nets.evaluator`)"""


def of_a_machine(usual: int, wide: int, seconds: Spread) -> int:
    """Games of a ticket where no node is registered: the usual or `wide` ones, but no more than
    take `TICKET_SECONDS`; `seconds` are those of a game."""
    soon = TICKET_SECONDS / max(seconds.careful, 1e-9)
    return int(min(max(usual, wide), max(TICKET_GAMES_LAST, soon)))


def of_a_fleet(usual: int, wide: int, seconds: Spread, shortest: float) -> int:
    """Games of a ticket on a fleet: as many as most nodes finish in `shortest` seconds, the
    shortest time that a ticket should take, the fewest until that is known."""
    if not seconds.count:
        return min(TICKET_GAMES_MIN, usual)
    games = int(shortest / max(seconds.careful, 1e-9))
    return min(max(games, TICKET_GAMES_MIN), max(TICKET_FACTOR_MAX * usual, wide))


def wide(vram_gib: Iterable[float]) -> int:
    """Games of a ticket for which the smallest of these GPUs has memory."""
    return min(int(GAMES_A_GIB * min(vram_gib, default=0.0)), TICKET_GAMES_GPU_MAX)


def shrinking(
    games: int, most: int, workers: int, least: int = TICKET_GAMES_LAST
) -> tuple[int, ...]:
    """Sizes of the tickets of a plan: each takes half of its worker's part of the games that are
    left, at least `least` and at most `most`; none are fewer than the workers if there are enough
    games."""
    found: list[int] = []
    while games > 0:
        size = max(math.ceil(games / (2 * workers)), least)
        size = min(size, most, math.ceil(games / max(1, workers - len(found))))
        found.append(size)
        games -= size
    return tuple(found)
