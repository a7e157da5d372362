"""Uniformly random play inside compiled code, for benchmarks and tests."""

from ringrift.rules.apply import play
from ringrift.rules.compile import U
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import OVER, PHASE, Words, copy_state, start
from ringrift.rules.legal import Moves, list_moves
from ringrift.search.compile import compiled
from ringrift.search.splitmix import GOLDEN, mix


@compiled
def random_playout(g: Geometry, s: Words, seed: int, out: Moves) -> int:
    """Play uniformly random moves to the end of the game and return the number of plies.

    `out` is a buffer for legal moves."""
    key = U(seed) * GOLDEN
    plies = 0
    while s[U(PHASE)] != OVER:
        count = list_moves(g.table, s, out)
        # the upper half of a 64-bit number times `count`, shifted down: an index below `count`
        index = ((mix(key, plies) >> U(32)) * U(count)) >> U(32)
        play(g.table, s, out[index])
        plies += 1
    return plies


@compiled
def play_games(g: Geometry, s: Words, lps_rounds: int, seed: int, plies: int, out: Moves) -> int:
    """Play whole random games until at least `plies` plies are played; return how many were."""
    played = 0
    while played < plies:
        start(g.table, s, 0, lps_rounds)
        played += random_playout(g, s, seed, out)
        seed += 1
    return played


@compiled
def copy_many(states: Words, times: int) -> None:
    """Copy the first of two states to the second and back, `times` copies in all."""
    for i in range(times):
        copy_state(states[1 - (i & 1)], states[i & 1])
