"""Batches of positions as the input of an NNUE: active features, globals and bags of moves."""

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.bags import ROLES
from ringrift.nets.batch import BagEncoder, Bags, Codes, Indices, States
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
    """Input of `Nnue.forward` for B positions of n seats; without a policy the bags have no rows.

    features   int64, concatenated lists
    starts     int64 [B * n + 1]
    globals_   float32 [B * n, GLOBALS]
    """

    features: Tensor
    starts: Tensor
    globals_: Tensor
    bags: Bags

    def arguments(self) -> tuple[Tensor | Bags, ...]:
        """The arguments of `Nnue.forward`."""
        return self.features, self.starts, self.globals_, self.bags

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, itself if it is already there."""
        if self.features.device == device:
            return self
        return type(self)(*(part.to(device) for part in self.arguments()))  # type: ignore[arg-type]


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
        self, states: States, codes: Codes, offsets: Codes, symmetry: Indices | None = None
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
        place = self._places, self._axes, chosen
        nf.collect(geo, states, *place, self._cells, self._indices, starts, globals_)
        return NnueBatch(
            torch.from_numpy(self._indices[: starts[-1]].astype(np.int64)),
            torch.from_numpy(starts),
            torch.from_numpy(globals_.astype(np.float32) / np.float32(nf.GLOBAL_ONE)),
            self.bags(states, codes, offsets, chosen),
        )

    def bags(
        self, states: States, codes: Codes, offsets: Codes, symmetry: Indices | None = None
    ) -> Bags:
        """Return the bags of the moves, without rows if there is no policy."""
        if not self._policy:
            none, moves = (
                torch.zeros(0, dtype=torch.int64),
                torch.zeros(len(codes), dtype=torch.int64),
            )
            return Bags(
                none, torch.zeros(len(codes) + 1, dtype=torch.int64), none.float(), moves, moves
            )
        chosen = np.zeros(len(states), np.int16) if symmetry is None else symmetry
        bags = self._bags.encode(states, codes, offsets, chosen)
        bags.rows.remainder_(self.geometry.width**2 * ROLES)  # to rows of one position
        return bags
