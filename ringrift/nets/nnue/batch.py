"""Batches of positions as the input of an NNUE: active features, globals and bags of moves."""

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.bags import ROLES, fill_bags, rows_max
from ringrift.nets.nnue import features as nf
from ringrift.nets.symmetry import grid_tables
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.rules.table import T_AXES, T_AXIS, T_STRIDE_LOG2


@cache
def symmetric_places(config: Config) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the place in scan order of each cell, `places[K, area]`, and the image of each axis,
    `axes[K, AXES]`, under each symmetry of `grid_tables`."""
    geo = geometry(config)
    grids = grid_tables(config)
    scan_at = np.full(geo.width**2, -1, np.int16)
    on_board = geo.grid_of >= 0
    scan_at[geo.grid_of[on_board]] = geo.scan_of[on_board]
    places = np.where(grids >= 0, scan_at[grids], np.int16(-1)).astype(np.int16)
    return places, np.array([_axes_of(config, grid) for grid in grids], np.int16)


def _axes_of(config: Config, grid: NDArray[np.int16]) -> list[int]:
    """Return the image of each axis under the placement `grid[area]`."""
    geo = geometry(config)
    stride, width = 1 << int(geo.table[T_STRIDE_LOG2]), geo.width
    deltas = geo.table[T_AXIS : T_AXIS + geo.table[T_AXES]].tolist()
    found = list(range(nf.AXES))
    for axis, delta in enumerate(deltas):
        start = next(int(c) for c in geo.cell_of if grid[c + delta] >= 0)
        (y0, x0), (y1, x1) = (
            divmod(int(grid[start]), width),
            divmod(int(grid[start + delta]), width),
        )
        image = (x1 - x0) * stride + y1 - y0
        found[axis] = deltas.index(image) if image in deltas else deltas.index(-image)
    return found


@dataclass(frozen=True, slots=True)
class NnueBatch:
    """Input of `Nnue.forward` for B positions of n seats with M moves and N rows of bags, no rows
    without a policy.

    features int64, lists one after another; starts int64 [B * n + 1]; globals_ float32 [B * n,
    GLOBALS]
    rows     int64 [N]; row_starts int64 [M + 1]; weights float32 [N]; kinds int64 [M]; positions
             int64 [M]
    """

    features: Tensor
    starts: Tensor
    globals_: Tensor
    rows: Tensor
    row_starts: Tensor
    weights: Tensor
    kinds: Tensor
    positions: Tensor

    def arguments(self) -> tuple[Tensor, ...]:
        """The tensors in the order of the parameters of `Nnue.forward`."""
        return (
            self.features,
            self.starts,
            self.globals_,
            self.rows,
            self.row_starts,
            self.weights,
            self.kinds,
            self.positions,
        )

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, itself if it is already there."""
        if self.features.device == device:
            return self
        return type(self)(*(tensor.to(device, non_blocking=True) for tensor in self.arguments()))


class NnueBatcher:
    """Encodes positions of one config; the caller owns the returned batches."""

    def __init__(self, config: Config, *, policy: bool) -> None:
        """With `policy`, batches include the bags of the moves."""
        self.geometry, self._policy = geometry(config), policy
        self._grids = grid_tables(config)
        self._places, self._axes = symmetric_places(config)
        self._cells = np.zeros(self.geometry.n_cells, np.int32)
        self._region = np.zeros(self.geometry.n_cells, np.int16)
        self._indices = np.zeros(0, np.int32)

    def encode(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> NnueBatch:
        """Return the batch of `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` are indices into `grid_tables`."""
        geo, count = self.geometry, len(states)
        chosen = np.zeros(count, np.int16) if symmetry is None else symmetry
        room = count * geo.seats * nf.features_max(geo)
        if room > len(self._indices):
            self._indices = np.zeros(room, np.int32)
        starts = np.zeros(count * geo.seats + 1, np.int64)
        globals_ = np.zeros((count * geo.seats, nf.GLOBALS), np.int16)
        nf.collect(
            geo,
            states,
            self._places,
            self._axes,
            chosen,
            self._cells,
            self._indices,
            starts,
            globals_,
        )
        return NnueBatch(
            torch.from_numpy(self._indices[: starts[-1]].astype(np.int64)),
            torch.from_numpy(starts),
            torch.from_numpy(globals_.astype(np.float32) / np.float32(nf.GLOBAL_ONE)),
            *self.moves(states, codes, offsets, chosen),
        )

    def moves(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the last five tensors of a batch."""
        chosen = np.zeros(len(states), np.int16) if symmetry is None else symmetry
        count, room = len(codes), rows_max(self.geometry, codes) if self._policy else 0
        rows, weights = np.zeros(room, np.int64), np.zeros(room, np.float32)
        starts, kinds, positions = (
            np.zeros(count + 1, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )
        used = 0
        if self._policy:
            used = fill_bags(
                self.geometry,
                states,
                codes,
                offsets,
                self._grids,
                chosen,
                self._region,
                rows,
                weights,
                starts,
                kinds,
                positions,
            )
        rows %= self.geometry.width**2 * ROLES  # from rows of the batch to rows of one position
        made = (rows[:used], starts, weights[:used], kinds, positions)
        one, two, three, four, five = (torch.from_numpy(array) for array in made)
        return one, two, three, four, five
