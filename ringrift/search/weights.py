"""The fitted weights of the heuristic, for two seats and for more; made by `ringrift.search.heuristic_fit`."""

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
