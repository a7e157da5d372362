"""The fitted weights of the heuristic, for two seats and for more; made by
`ringrift.tools.heuristic_fit`."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config
from ringrift.search.heuristic import FEATURE_NAMES

WEIGHTS: Final[dict[str, dict[str, float]]] = {
    "two": {
        "removed": 1.844,
        "removed_squared": 1.975,
        "territory": 1.310,
        "territory_squared": 1.081,
        "hand": 2.049,
        "stacks": 0.808,
        "caps": -1.393,
        "prisoners": 0.155,
        "buried": 1.384,
        "markers": 3.263,
        "mobile": -1.107,
        "stuck": -0.217,
        "credit_landings": 0.475,
        "territory_crossings": 0.070,
        "captures": 0.075,
        "captured_height": -1.187,
        "line_threats": 0.483,
        "no_material": -1.860,
        "out": 0.172,
        "rounds_alone": 0.042,
        "at_placement": 0.344,
        "at_movement": 0.192,
        "at_capture": 0.446,
        "at_chain": 0.832,
        "at_line": -0.316,
        "at_territory": 1.002,
        "owes_ring": -0.089,
        "owes_cap": 0.323,
    },
    "more": {
        "removed": 0.231,
        "removed_squared": 0.315,
        "territory": 2.640,
        "territory_squared": 0.666,
        "hand": 0.626,
        "stacks": 0.889,
        "caps": 0.073,
        "prisoners": -0.496,
        "buried": -0.045,
        "markers": 2.038,
        "mobile": -0.633,
        "stuck": -0.285,
        "credit_landings": 0.272,
        "territory_crossings": 0.400,
        "captures": -0.015,
        "captured_height": -0.245,
        "line_threats": 0.304,
        "no_material": -0.512,
        "out": -0.632,
        "rounds_alone": -0.109,
        "at_placement": 0.358,
        "at_movement": 0.134,
        "at_capture": 0.881,
        "at_chain": 0.386,
        "at_line": 0.139,
        "at_territory": 0.914,
        "owes_ring": -0.414,
        "owes_cap": -0.285,
    },
}


@cache
def heuristic_weights(config: Config) -> NDArray[np.float32]:
    """[FEATURES] weights for `config`. Raises KeyError if a feature has none."""
    weights = WEIGHTS["two" if config.seats == 2 else "more"]
    return np.array([weights[name] for name in FEATURE_NAMES], np.float32)
