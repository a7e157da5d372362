"""The weights of the heuristic, fitted by `ringrift.tools.heuristic_fit`."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config
from ringrift.search.heuristic import FEATURE_NAMES

WEIGHTS: Final = {
    "removed": (1.844, 0.231),
    "removed_squared": (1.975, 0.315),
    "territory": (1.310, 2.640),
    "territory_squared": (1.081, 0.666),
    "hand": (2.049, 0.626),
    "stacks": (0.808, 0.889),
    "caps": (-1.393, 0.073),
    "prisoners": (0.155, -0.496),
    "buried": (1.384, -0.045),
    "markers": (3.263, 2.038),
    "mobile": (-1.107, -0.633),
    "stuck": (-0.217, -0.285),
    "credit_landings": (0.475, 0.272),
    "territory_crossings": (0.070, 0.400),
    "captures": (0.075, -0.015),
    "captured_height": (-1.187, -0.245),
    "line_threats": (0.483, 0.304),
    "no_material": (-1.860, -0.512),
    "out": (0.172, -0.632),
    "rounds_alone": (0.042, -0.109),
    "at_placement": (0.344, 0.358),
    "at_movement": (0.192, 0.134),
    "at_capture": (0.446, 0.881),
    "at_chain": (0.832, 0.386),
    "at_line": (-0.316, 0.139),
    "at_territory": (1.002, 0.914),
    "owes_ring": (-0.089, -0.414),
    "owes_cap": (0.323, -0.285),
}
"""For two seats and for more, by feature."""


@cache
def heuristic_weights(config: Config) -> NDArray[np.float32]:
    """Return the weights [FEATURES] for `config`."""
    column = 0 if config.seats == 2 else 1
    return np.array([WEIGHTS[name][column] for name in FEATURE_NAMES], np.float32)
