"""The weights of a network on another board, or with other seats, than it was trained for. Does not
import torch.

No weight of a tower depends on the size of a board, on the number of seats or on the kind of cells,
so all are used as they are; on hexagons the corners of the kernels, which are no neighbours there,
are zero. A tower that is trained on several configs has their numbers as an input, which is a
constant in play and added to the bias of the first layer. An NNUE has rows for each cell: those of
another board are taken from the cell at the same place of the board, measured in parts of its
width."""

import math
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.nets.arrays import Floats, Int64s
from ringrift.nets.bags import ROLES
from ringrift.nets.header import Header
from ringrift.nets.nnue.features import LEVELS
from ringrift.nets.shapes import NNUES, nnue_shape_of
from ringrift.nets.tensors import Arrays
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.rules.table import T_RINGS_TO_WIN, T_TERRITORY_TO_WIN

BOARD_NUMBERS: Final = 8
BOARD_WEIGHT: Final = "stem_board.weight"
STEM_BIAS: Final = "stem.bias"
KERNEL: Final = 3
HEX_CORNERS: Final = ((0, 0), (KERNEL - 1, KERNEL - 1))
"""Kernel taps (row, column) that are not hex neighbours: the cells at axial offsets (-1, -1) and
(+1, +1) are two steps away."""


def weights_on(config: Config, header: Header, weights: Arrays) -> Arrays:
    """Return the weights, by name, with which the network of a checkpoint plays `config`. Raises
    UnknownArchitecture if it does not support the seats."""
    if header.architecture in NNUES:
        nnue_shape_of(header.architecture, config)
        same = header.config.shape == config.shape
        return weights if same else _of_other_cells(weights, header.config, config)
    if BOARD_WEIGHT in weights:
        weights = dict(weights)
        bias = weights.pop(BOARD_WEIGHT) @ board_numbers(config)
        weights[STEM_BIAS] = weights[STEM_BIAS] + bias
    if not config.shape.hex:
        return weights
    return {name: _without_corners(array) for name, array in weights.items()}


def board_numbers(config: Config) -> Floats:
    """Return the inputs of a tower that describe a config: the kind of cells, their number and the
    width of the board, rings, and what wins, each divided by about the largest of any config."""
    geo, shape = geometry(config), config.shape
    numbers = (
        float(shape.hex),
        math.log2(geo.n_cells) / 9,
        shape.width / 25,
        config.rings_per_seat / 96,
        geo.table[T_RINGS_TO_WIN] / 128,
        geo.table[T_TERRITORY_TO_WIN] / geo.n_cells,
        config.line_length - 3,
        config.line_noticed - 3,
    )
    return np.array(numbers, np.float32)


def _without_corners(array: NDArray[Any]) -> NDArray[Any]:
    if array.shape[2:] != (KERNEL, KERNEL):
        return array
    masked = array.copy()
    for row, column in HEX_CORNERS:
        masked[:, :, row, column] *= 0.0  # keeps the sign, as in training
    return masked


def _of_other_cells(weights: Arrays, source: Config, target: Config) -> Arrays:
    """The weights of an NNUE with the rows of the cells of `target`; those of `roles`, by cell of
    the grid, are zero off the board."""
    rows, found = nnue_rows(source, target), dict(weights)
    found["first.weight"] = np.ascontiguousarray(weights["first.weight"][rows.features])
    if "roles.weight" in weights:
        roles = weights["roles.weight"]
        on_board = np.repeat(np.isin(np.arange(target.shape.width**2), _grid(target)), ROLES)
        found["roles.weight"] = np.where(on_board[:, None], roles[rows.roles], 0.0)
    return found


class NnueRows(NamedTuple):
    """For each row of an NNUE on one board, the row that it has on another; 0 off the board."""

    features: Int64s
    roles: Int64s


@cache
def nnue_rows(source: Config, target: Config) -> NnueRows:
    """Return the rows of an NNUE of `source` by which it plays `target`, and learns from it."""
    nearest = nearest_cells(source, target)
    cells = np.zeros(target.shape.width**2, np.int64)
    cells[_grid(target)] = _grid(source)[nearest]
    return NnueRows(
        *((at[:, None] * n + np.arange(n)).ravel() for at, n in ((nearest, LEVELS), (cells, ROLES)))
    )


def nearest_cells(source: Config, target: Config) -> Int64s:
    """Return for each cell of `target`, in scan order, the cell of `source` that is nearest to its
    place, measured in parts of the width of each board; the first of several."""
    places = [np.array(one.shape.cells) / (one.shape.width - 1) for one in (target, source)]
    distances = ((places[0][:, None] - places[1][None]) ** 2).sum(2)
    return np.asarray(distances.round(9).argmin(1), np.int64)


def _grid(config: Config) -> Int64s:
    """The place in the grid of each cell, in scan order."""
    return np.array([y * config.shape.width + x for x, y in config.shape.cells], np.int64)
