"""Batches of positions as the input of an NNUE: active features, globals and bags of moves."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ringrift.nets.arrays import Codes, Int16s, Int64s, States
from ringrift.nets.bags import ROLES, Bags
from ringrift.nets.batch import BagEncoder
from ringrift.nets.nnue import features as nf
from ringrift.nets.symmetry import grid_tables
from ringrift.rules import Config, geometry
from ringrift.rules.table import T_AXES, T_AXIS, T_STRIDE_LOG2


@cache
def symmetric_places(config: Config) -> tuple[Int16s, Int16s]:
    """Return the place in scan order of each cell, `places[K, area]`, and the image of each axis,
    `axes[K, AXES]`, under each symmetry of `grid_tables`."""
    geo = geometry(config)
    grids = grid_tables(config)
    scan_at = np.full(geo.width**2, -1, np.int16)
    on_board = geo.grid_of >= 0
    scan_at[geo.grid_of[on_board]] = geo.scan_of[on_board]
    places = np.where(grids >= 0, scan_at[grids], np.int16(-1)).astype(np.int16)
    return places, np.array([_axes_of(config, grid) for grid in grids], np.int16)


def _axes_of(config: Config, grid: Int16s) -> list[int]:
    """Return the image of each axis under the placement `grid[area]`."""
    geo = geometry(config)
    stride, width = 1 << int(geo.table[T_STRIDE_LOG2]), geo.width
    deltas = geo.table[T_AXIS : T_AXIS + geo.table[T_AXES]].tolist()
    found = list(range(nf.AXES))
    for axis, delta in enumerate(deltas):
        start = next(int(c) for c in geo.cell_of if grid[c + delta] >= 0)
        (y0, x0), (y1, x1) = (divmod(int(grid[cell]), width) for cell in (start, start + delta))
        image = (x1 - x0) * stride + y1 - y0
        found[axis] = deltas.index(image) if image in deltas else deltas.index(-image)
    return found


class NnueBatch(NamedTuple):
    """The arguments of `Nnue.forward` for B positions of n seats; without a policy the bags have no
    rows."""

    features: Tensor  # int64, concatenated lists
    starts: Tensor  # int64 [B * n + 1]
    globals_: Tensor  # float32 [B * n, GLOBALS]
    bags: Bags[Tensor]


class NnueBatcher:
    """Encodes positions of one config; the next call overwrites the bags of a batch."""

    def __init__(self, config: Config, *, policy: bool) -> None:
        """With `policy`, batches include the bags of the moves."""
        self.geometry, self._policy = geometry(config), policy
        self._bags = BagEncoder(self.geometry, grid_tables(config))
        self._places, self._axes = symmetric_places(config)
        self._cells = np.zeros(self.geometry.n_cells, np.int32)
        self._indices = np.zeros(0, np.int32)

    def encode(
        self, states: States, codes: Codes, offsets: Int64s, symmetry: Int16s | None = None
    ) -> NnueBatch:
        """Return the batch of `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` are indices into `grid_tables`."""
        geo, lists = self.geometry, len(states) * self.geometry.seats
        chosen = np.zeros(len(states), np.int16) if symmetry is None else symmetry
        if lists * nf.features_max(geo) > len(self._indices):
            self._indices = np.zeros(lists * nf.features_max(geo), np.int32)
        starts = np.zeros(lists + 1, np.int64)
        globals_ = np.zeros((lists, nf.GLOBALS), np.int16)
        place = self._places, self._axes, chosen
        nf.collect(geo, states, *place, self._cells, self._indices, starts, globals_)
        return NnueBatch(
            torch.from_numpy(self._indices[: starts[-1]].astype(np.int64)),
            torch.from_numpy(starts),
            torch.from_numpy(globals_.astype(np.float32) / np.float32(nf.GLOBAL_ONE)),
            self.bags(states, codes, offsets, chosen),
        )

    def bags(self, states: States, codes: Codes, offsets: Int64s, symmetry: Int16s) -> Bags[Tensor]:
        """Return the bags of the moves, without rows if there is no policy."""
        if not self._policy:
            none, zeros = torch.zeros(0), torch.zeros(len(codes) + 1, dtype=torch.int64)
            return Bags(none.long(), zeros, none, zeros[1:], zeros[1:])
        bags = self._bags.encode(states, codes, offsets, symmetry)
        bags.rows.remainder_(self.geometry.width**2 * ROLES)  # to rows of one position
        return bags
