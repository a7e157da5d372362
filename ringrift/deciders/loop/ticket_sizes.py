"""How many games does a ticket of self-play have?

On one machine the tickets of a plan shrink towards its end (guided self-scheduling,
Polychronopoulos and Kuck 1987). Where every node that plays has a GPU, those of a network that runs
on it are as wide as its memory allows, since all games of a ticket advance together."""

from __future__ import annotations

import math

from ringrift.deciders.fleet.durations import TICKET_SECONDS, Spread
from ringrift.deciders.kit import Struct

TICKET_GAMES_MIN = 8
"""smaller batches leave an accelerator idle"""
TICKET_GAMES_LAST = 24
"""of the last tickets of a plan; the network of a CPU is three times as slow per position at a
batch of 16 as at 128"""
TICKET_FACTOR_MAX = 4
"""times the usual size, unless GPUs take more: without one a larger batch gains nothing"""
GAMES_A_GIB = 256
"""games of a ticket for each GiB of VRAM. Three activations of the largest network (320 channels)
on hexagonal are 2.4 MB a game, of `v2-micro` 0.24; a worker whose memory does not suffice halves
its batch"""
TICKET_GAMES_GPU_MAX = 4096
"""positions that a network takes at once (`ringrift.nets.evaluator`)"""


class Nodes(Struct, frozen=True, kw_only=True):
    """The nodes that play, as far as tickets depend on them."""

    players: dict[str, float] = {}
    """registered nodes that play, with the seconds that a ticket on them should take"""
    shortest_seconds: float = 0.0
    """the fewest of these"""
    vram: dict[str, float] = {}
    """GiB of the nodes that may play"""
    gpu_games: int = 0
    """of a ticket that the GPUs of all nodes that play can advance together; 0 if one has none"""

    def playing(self, node: str, seconds: float | None) -> Nodes:
        """With the seconds that a ticket on a node should take; None: it does not play."""
        return Nodes._of(_with(self.players, node, seconds), self.vram)

    def equipped(self, node: str, gib: float | None) -> Nodes:
        """With the VRAM of a node that may play; None: it may not."""
        vram = _with(self.vram, node, gib)
        return self if vram == self.vram else Nodes._of(self.players, vram)

    @classmethod
    def _of(cls, players: dict[str, float], vram: dict[str, float]) -> Nodes:
        smallest = min((vram.get(name, 0.0) for name in players or vram), default=0.0)
        return cls(
            players=players,
            shortest_seconds=min(players.values(), default=0.0),
            vram=vram,
            gpu_games=min(int(GAMES_A_GIB * smallest), TICKET_GAMES_GPU_MAX),
        )


def _with(items: dict[str, float], name: str, value: float | None) -> dict[str, float]:
    others = {key: item for key, item in items.items() if key != name}
    return others if value is None else {**others, name: value}


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
