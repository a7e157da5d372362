"""Random numbers from a key and a counter, so that the choices in a game do not depend on others.

SplitMix64 (Steele, Lea, Flood 2014): a Weyl sequence through a finalizer.
"""

import math
from typing import Final

import numpy as np

from ringrift.rules.compile import U
from ringrift.search.compile import compiled

GOLDEN: Final = U(0x9E3779B97F4A7C15)
MIX_1: Final = U(0xBF58476D1CE4E5B9)
MIX_2: Final = U(0x94D049BB133111EB)
UNIT: Final = 2.0**-53
SEED_BITS: Final = 53  # every JSON reader keeps integers of this size exact


@compiled
def mix(key: int, counter: int) -> int:
    """The 64-bit number `counter` of the stream `key`."""
    z = U(key) + GOLDEN * (U(counter) + U(1))
    z = (z ^ (z >> U(30))) * MIX_1
    z = (z ^ (z >> U(27))) * MIX_2
    return z ^ (z >> U(31))


@compiled
def uniform(key: int, counter: int) -> float:
    """A number in (0, 1)."""
    return (np.float64(mix(key, counter) >> U(11)) + 0.5) * UNIT


@compiled
def gumbel_noise(key: int, counter: int) -> float:
    """A number from the standard Gumbel distribution.

    The largest of logits with such noise is a sample of their softmax."""
    return -math.log(-math.log(uniform(key, counter)))


def seed_of(*parts: int) -> int:
    """Return a seed of SEED_BITS bits that depends on all `parts` and their order."""
    key = 0
    for part in parts:
        key = int(mix(U(key), U(part)))
    return key >> (64 - SEED_BITS)
