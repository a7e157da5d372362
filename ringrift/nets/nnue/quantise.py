"""The weights of an NNUE as the integers that it plays with, the same on every machine. Does not
import torch."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringrift.nets.bags import KINDS, ROLES
from ringrift.nets.nnue import features as nf, inference
from ringrift.nets.nnue.policy import QUERY_MAX, Policy, Weights
from ringrift.nets.shapes import NnueShape
from ringrift.nets.tensors import Arrays
from ringrift.rules.geometry import Geometry

CELL_SHARE: Final = 0.1
"""Weight of the cell's own row in the sum, hence of its steps. After 240 games of hex8_2p, 4 epochs
and half root values, the winners of 60 other games were predicted in 70 % of positions, with 1.0 in
65 %; with `direct` too in 72 %; the heuristic: 66 % (one seed)."""
ONE_MAX: Final = 127
INT16_MAX: Final = 32767
INT32_MAX: Final = 2**31 - 1
QUERY_ONE: Final = 512
"""About the units of 1.0 in a query: components reach +-64, those of trained networks stay below
20."""


def tensor_shapes(g: Geometry, shape: NnueShape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each tensor of an NNUE."""
    inputs = shape.hidden + nf.GLOBALS
    found: dict[str, tuple[int, ...]] = {
        "first_bias": (shape.hidden,),
        "first.weight": (g.n_cells * nf.LEVELS, shape.hidden),
        "shared.weight": (nf.LEVELS, shape.hidden),
        "second.weight": (shape.second, inputs),
        "second.bias": (shape.second,),
        "out.weight": (1, shape.second),
        "out.bias": (1,),
        "direct.weight": (1, nf.GLOBALS),
    }
    if shape.policy:
        found |= {
            "query.weight": (shape.policy, inputs),
            "query.bias": (shape.policy,),
            "roles.weight": (g.width**2 * ROLES, shape.policy + 1),
            "kinds.weight": (KINDS, shape.policy + 1),
        }
    return found


def quantise(tensors: Arrays) -> Weights:
    """Return the integers of an NNUE with these float weights by name.

    The unit of the first layer is the largest up to ONE_MAX for which no position can overflow."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    hidden = len(weights["first_bias"])
    first = CELL_SHARE * weights["first.weight"].reshape(-1, nf.LEVELS, hidden)
    first = first + weights["shared.weight"]
    one = _first_unit(first, weights["first_bias"])
    scale = one * inference.SECOND_ONE
    direct = weights["direct.weight"][0] * scale * inference.OUT_ONE / nf.GLOBAL_ONE
    network = inference.Network(
        first=_integers(first.reshape(-1, hidden) * one, np.int16),
        first_bias=_integers(weights["first_bias"] * one, np.int16),
        second=_integers(_rows(weights["second.weight"], one) * inference.SECOND_ONE, np.int16),
        second_bias=_integers(weights["second.bias"] * scale, np.int32),
        out=_integers(weights["out.weight"][0] * inference.OUT_ONE, np.int16),
        out_bias=round(float(weights["out.bias"][0]) * scale * inference.OUT_ONE),
        direct=_integers(direct, np.int32),
        one=one,
    )
    return Weights(network, _policy(weights, one))


def _rows(weight: NDArray[np.float64], one: int) -> NDArray[np.float64]:
    """Return rows over [clip(a), globals], for inputs of which the globals are in units of 1 /
    GLOBAL_ONE."""
    found = weight.copy()
    found[:, -nf.GLOBALS :] *= one / nf.GLOBAL_ONE
    return found


def _policy(weights: dict[str, NDArray[np.float64]], one: int) -> Policy:
    """Return the weights of the policy, without components if there is none."""
    if "query.weight" not in weights:
        none = np.zeros((0, 0), np.int16)
        return Policy(none, np.zeros(0, np.int32), shift=0, one=0, terms=none, unit=0.0)
    rows, bias = _rows(weights["query.weight"], one), weights["query.bias"]
    most = float(np.abs(rows).sum(1).max()) * nf.GLOBAL_ONE + float(np.abs(bias).max()) * one
    unit = _largest_unit(float(np.abs(rows).max()), most)
    shift = max(0, round(float(np.log2(one * unit / QUERY_ONE))))
    query_one = one * unit / (1 << shift)
    terms = np.concatenate((weights["roles.weight"], weights["kinds.weight"]))
    terms[:, -1] *= query_one / round(query_one)
    most = float(np.abs(terms).sum(1).max()) * QUERY_MAX
    term_unit = _largest_unit(float(np.abs(terms).max()), most)
    return Policy(
        query=_integers(rows * unit, np.int16),
        query_bias=_integers(bias * one * unit, np.int32),
        shift=shift,
        one=round(query_one),
        terms=_integers(terms * term_unit, np.int16),
        unit=1.0 / (query_one * term_unit),
    )


def _largest_unit(weight_max: float, sum_max: float) -> float:
    """Return the largest power of two by which weights can be multiplied so that they fit into
    int16 and sums of their products into int32."""
    room = min(INT16_MAX / max(weight_max, 1e-6), INT32_MAX / 2 / max(sum_max, 1e-6))
    return float(2.0 ** np.floor(np.log2(room)))


def _first_unit(first: NDArray[np.float64], bias: NDArray[np.float64]) -> int:
    """Return the largest unit for which no hidden unit exceeds int16 in the worst position."""
    groups = nf.levels_together()
    sums = np.array([np.abs(first[:, list(group)]).sum(1) for group in groups])
    worst = np.abs(bias) + 0.5 + sums.max(0).sum(0)
    rounding = first.shape[0] * max(map(len, groups)) * 0.5  # at most half a unit each
    return max(1, min(ONE_MAX, int((INT16_MAX - rounding) / float(worst.max()))))


def _integers(values: NDArray[np.float64], dtype: type) -> NDArray[Any]:
    limit = np.iinfo(dtype)
    return np.ascontiguousarray(np.clip(np.rint(values), limit.min, limit.max)).astype(dtype)
