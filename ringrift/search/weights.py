"""The fitted weights of the heuristic, for two seats and for more; made by `ringrift.search.heuristic_fit`."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config
from ringrift.search.heuristic import FEATURE_NAMES

WEIGHTS: Final[dict[str, dict[str, float]]] = {
    "two": {
        "removed": 0.955,
        "removed_squared": 1.041,
        "territory": 0.713,
        "territory_squared": 1.202,
        "hand": 1.340,
        "stacks": 1.715,
        "caps": -0.710,
        "prisoners": 0.174,
        "buried": 1.524,
        "markers": 2.411,
        "mobile": -0.131,
        "stuck": 0.059,
        "credit_landings": -0.002,
        "territory_crossings": -0.030,
        "captures": -0.298,
        "captured_height": -0.455,
        "line_threats": -0.026,
        "no_material": -1.464,
        "out": -0.025,
        "rounds_alone": 0.345,
        "at_placement": 0.162,
        "at_movement": 0.064,
        "at_capture": -0.021,
        "at_chain": 0.021,
        "at_line": -0.187,
        "at_territory": 0.397,
        "owes_ring": -0.016,
        "owes_cap": -0.493,
    },
    "more": {
        "removed": -0.232,
        "removed_squared": 0.594,
        "territory": 2.578,
        "territory_squared": 0.165,
        "hand": 0.515,
        "stacks": 0.927,
        "caps": -0.475,
        "prisoners": -0.373,
        "buried": -0.022,
        "markers": 1.774,
        "mobile": -0.088,
        "stuck": -0.168,
        "credit_landings": -0.087,
        "territory_crossings": -0.072,
        "captures": 0.119,
        "captured_height": -0.054,
        "line_threats": 0.054,
        "no_material": -0.602,
        "out": -0.496,
        "rounds_alone": -0.051,
        "at_placement": 0.098,
        "at_movement": 0.094,
        "at_capture": 0.157,
        "at_chain": 0.177,
        "at_line": 0.405,
        "at_territory": 0.719,
        "owes_ring": -0.269,
        "owes_cap": -0.719,
    },
}


@cache
def heuristic_weights(config: Config) -> NDArray[np.float32]:
    """[FEATURES] weights for `config`. Raises KeyError if a feature has none."""
    weights = WEIGHTS["two" if config.seats == 2 else "more"]
    return np.array([weights[name] for name in FEATURE_NAMES], np.float32)
