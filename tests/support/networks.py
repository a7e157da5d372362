"""Networks with random weights."""

from functools import cache

import numpy as np

from ringrift.nets.bags import KINDS, ROLES
from ringrift.nets.nnue import features as nf
from ringrift.nets.nnue.inference import Network
from ringrift.nets.nnue.policy import Policy, Weights
from ringrift.rules import Config, geometry

HIDDEN, SECOND, POLICY = 16, 8, 8


@cache
def random_nnue(key: str) -> Network:
    """A small NNUE for the config `key`."""
    rng = np.random.default_rng(7)

    def whole(low: int, high: int, *shape: int) -> np.ndarray:
        return rng.integers(low, high, shape).astype(np.int16)

    return Network(
        first=whole(-20, 21, geometry(Config.parse(key)).n_cells * nf.LEVELS, HIDDEN),
        first_bias=whole(-20, 90, HIDDEN),
        second=whole(-200, 201, SECOND, HIDDEN + nf.GLOBALS),
        second_bias=np.zeros(SECOND, np.int32),
        out=whole(-150, 151, SECOND),
        out_bias=100,
        direct=rng.integers(-9000, 9000, nf.GLOBALS).astype(np.int32),
        one=127,
    )


@cache
def random_nnue_policy(key: str) -> Weights:
    """A small NNUE with a policy for the config `key`; its logits have a spread of about 2."""
    rng = np.random.default_rng(8)
    rows = geometry(Config.parse(key)).width ** 2 * ROLES + KINDS
    query = rng.integers(-300, 301, (POLICY, HIDDEN + nf.GLOBALS)).astype(np.int16)
    bias = rng.integers(-9000, 9000, POLICY).astype(np.int32)
    terms = rng.integers(-500, 501, (rows, POLICY + 1)).astype(np.int16)
    policy = Policy(query, bias, shift=6, one=512, terms=terms, unit=1e-6)
    return Weights(random_nnue(key), policy)
