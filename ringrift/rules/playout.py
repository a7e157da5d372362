"""Uniformly random play inside compiled code, for benchmarks and tests."""

from ringrift.rules.apply import play
from ringrift.rules.compile import U, compiled
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import OVER, PHASE, Words, copy_state, start
from ringrift.rules.legal import Moves, list_moves


@compiled
def next_random(seed: int) -> int:
    """SplitMix64 (Steele, Lea, Flood 2014): the output for counter `seed`; count up in steps of
    RANDOM_STEP."""
    z = U(seed)
    z = (z ^ (z >> U(30))) * U(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U(27))) * U(0x94D049BB133111EB)
    return z ^ (z >> U(31))


RANDOM_STEP = U(0x9E3779B97F4A7C15)


@compiled
def random_playout(G: Geometry, s: Words, seed: int, out: Moves) -> int:
    """Play uniformly random moves to the end of the game; gives the number of plies. `out` is a
    legal list buffer."""
    t = G.table
    plies = 0
    state = U(seed) * RANDOM_STEP
    while s[U(PHASE)] != OVER:
        count = list_moves(t, s, out)
        state += RANDOM_STEP
        index = ((next_random(state) >> U(32)) * U(count)) >> U(32)
        play(t, s, out[index])
        plies += 1
    return plies


@compiled
def play_games(G: Geometry, s: Words, lps_rounds: int, seed: int, plies: int, out: Moves) -> int:
    """Play whole random games one after the other until at least `plies` are played; gives how many
    it were."""
    played = 0
    while played < plies:
        start(G.table, s, 0, lps_rounds)
        played += random_playout(G, s, seed, out)
        seed += 1
    return played


@compiled
def copy_many(states: Words, times: int) -> None:
    """Copy the first of two states to the second and back, `times` copies in all."""
    for i in range(times):
        copy_state(states[1 - (i & 1)], states[i & 1])
