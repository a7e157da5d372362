"""Openings of informative games: random moves, chosen such that both sides can win.

On hex8_2p the second seat won 90 to 100 % of the games between good networks that began with four
random plies: most starts were split, whatever the strength of the networks. Among several random
openings there are some that both sides can win (docs/experiments.md)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.config import Config
from ringrift.search.arrays import States
from ringrift.search.boards import Boards
from ringrift.search.harness import LOCKSTEP, Setup, make_player
from ringrift.search.players import Player
from ringrift.search.splitmix import seed_of

PLIES: Final = (2, 16)
"""Smallest and largest number of random plies of an opening: various lengths give various balances
to choose from."""
TRIES: Final = 8
"""Openings to choose from: with 8 as with 16, two in five starts between networks of hex8_2p were
decided, with 1 one in eight."""
ROOM_PLIES: Final = 256
"""Capacity of a board in moves: those of the opening and the forced ones between them."""
LENGTH_STREAM: Final = 0  # purpose of a seed derived from that of an opening: its length


@dataclass(frozen=True, slots=True)
class Opening:
    """`plies` random moves, determined by `seed`."""

    seed: int
    plies: int


NO_OPENING: Final = Opening(0, 0)


def even_openings(
    config: Config,
    referee: Player,
    seeds: Sequence[int],
    *,
    pie: bool = False,
    plies: tuple[int, int] = PLIES,
    between: Callable[[], None] = lambda: None,
) -> Iterator[Opening]:
    """Yield an opening for each seed: of TRIES random ones with `plies` at least and at most, the
    one after which the referee's values of the seats differ least.

    `between` is called before each call of the referee."""
    step = LOCKSTEP // TRIES
    for first in range(0, len(seeds), step):
        between()
        some = seeds[first : first + step]
        tries = [seed_of(seed, number) for seed in some for number in range(TRIES)]
        found = [_opening(seed, *plies) for seed in tries]
        states, over = positions_after(config, found, pie=pie)
        spreads = np.full(len(found), np.inf)
        going = np.flatnonzero(~over)
        referee_seeds = np.array([found[number].seed for number in going], np.uint64)
        decisions = referee.choose(states[going], referee_seeds)
        spreads[going] = [float(np.ptp(decision.values)) for decision in decisions]
        for at, best in enumerate(spreads.reshape(len(some), TRIES).argmin(axis=1)):
            yield found[at * TRIES + int(best)]


def _opening(seed: int, least: int, most: int) -> Opening:
    return Opening(seed, least + seed_of(seed, LENGTH_STREAM) % (most - least + 1))


def positions_after(
    config: Config, openings: Sequence[Opening], *, pie: bool = False
) -> tuple[States, NDArray[np.bool_]]:
    """Return the positions `states[B, S]` after openings, and whether their games are `over[B]`."""
    chance = make_player(config, "random", Setup(evaluator="none", threads=1))
    boards = Boards(config, len(openings), ROOM_PLIES)
    for slot in range(len(openings)):
        boards.start(slot, pie)
    states = boards.table.states
    plies = np.array([opening.plies for opening in openings])
    seeds = np.array([opening.seed for opening in openings], np.uint64)
    while True:
        over = states[:, la.PHASE] == la.OVER
        going = np.flatnonzero((states[:, la.PLY] < plies) & ~over)
        if not len(going):
            return states, over
        decisions = chance.choose(states[going], seeds[going])
        boards.play(going.tolist(), [decision.move for decision in decisions])
