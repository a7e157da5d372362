"""Encoding states and their legal moves as the input tensors of a network."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.bags import fill_bags, rows_max
from ringrift.nets.encoding import GLOBALS, PLANES, encode_batch
from ringrift.nets.features import FEATURES, threats_of_batch
from ringrift.rules.geometry import Geometry

States = NDArray[np.int32]
Codes = NDArray[np.int64]
Indices = NDArray[np.int16]


class Bags(NamedTuple):
    """The bags of M legal moves with N rows in total (`ringrift.nets.bags`).

    Bag j is rows[starts[j]:starts[j + 1]]; kinds[j] and positions[j] are its kind and position.
    """

    rows: Tensor  # int64 [N]
    starts: Tensor  # int64 [M + 1]
    weights: Tensor  # float32 [N]
    kinds: Tensor  # int64 [M]
    positions: Tensor  # int64 [M]

    def to(self, device: torch.device) -> "Bags":
        """Return the bags on `device`."""
        return Bags(*(tensor.to(device, non_blocking=True) for tensor in self))


@dataclass(frozen=True, slots=True)
class Batch:
    """Input of `Tower.forward` for B positions.

    planes     float32 [B, PLANES, width, width], channels innermost in memory
    globals_   float32 [B, GLOBALS]
    features   float32 [B, FEATURES, width, width] for networks with threat planes, else None
    """

    planes: Tensor
    globals_: Tensor
    bags: Bags
    features: Tensor | None = None

    def arguments(self) -> tuple[Tensor | Bags | None, ...]:
        """The arguments of `Tower.forward`."""
        return self.planes, self.globals_, self.bags, self.features

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, itself if it is already there."""
        if self.planes.device == device:
            return self
        return type(self)(
            self.planes.to(device, non_blocking=True),
            self.globals_.to(device, non_blocking=True),
            self.bags.to(device),
            None if self.features is None else self.features.to(device, non_blocking=True),
        )


class BagEncoder:
    """Encodes bags into buffers that the next call overwrites and that grow as needed."""

    def __init__(self, geometry: Geometry, grids: Indices) -> None:
        self.geometry, self.grids = geometry, grids
        self._cells = np.zeros(geometry.n_cells, np.int16)
        self._rows, self._weights = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._starts = np.zeros(1, np.int64)
        self._kinds, self._positions = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def encode(self, states: States, codes: Codes, offsets: Codes, symmetry: Indices) -> Bags:
        """Return the bags of the moves `codes[offsets[i]:offsets[i + 1]]` of each state i."""
        moves, rows = len(codes), rows_max(self.geometry, codes)
        if moves > len(self._kinds):
            size = moves + moves // 2
            self._starts = np.zeros(size + 1, np.int64)
            self._kinds, self._positions = np.zeros(size, np.int64), np.zeros(size, np.int64)
        if rows > len(self._rows):
            size = rows + rows // 2
            self._rows, self._weights = np.zeros(size, np.int64), np.zeros(size, np.float32)
        used = fill_bags(
            self.geometry,
            states,
            codes,
            offsets,
            self.grids,
            symmetry,
            self._cells,
            self._rows,
            self._weights,
            self._starts,
            self._kinds,
            self._positions,
        )
        return Bags(
            torch.from_numpy(self._rows[:used]),
            torch.from_numpy(self._starts[: moves + 1]),
            torch.from_numpy(self._weights[:used]),
            torch.from_numpy(self._kinds[:moves]),
            torch.from_numpy(self._positions[:moves]),
        )


class Batcher:
    """Encodes batches into buffers that the next call overwrites and that grow to the largest
    batch."""

    def __init__(
        self, geometry: Geometry, grids: Indices | None = None, *, features: bool = False
    ) -> None:
        """`grids[K, area]` are the placements of the cells on the grid among which `symmetry`
        chooses, by default only the identity. With `features`, batches include the planes of
        `ringrift.nets.features`."""
        self.geometry, self.features = geometry, features
        self.grids = geometry.grid_of[None] if grids is None else grids
        self._bags = BagEncoder(geometry, self.grids)
        self._reserve(0)

    def _reserve(self, count: int) -> None:
        area = self.geometry.width**2
        self._planes = np.zeros((count, area, PLANES), np.float32)
        self._globals = np.zeros((count, GLOBALS), np.float32)
        self._plain = np.zeros(count, np.int16)
        self._threats = np.zeros((count if self.features else 0, area, FEATURES), np.float32)

    def encode(
        self, states: States, codes: Codes, offsets: Codes, symmetry: Indices | None = None
    ) -> Batch:
        """Return the batch of `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` are indices into `grids`."""
        count, moves = len(states), len(codes)
        if len(offsets) != count + 1 or offsets[0] != 0 or offsets[-1] != moves:
            raise ValueError(
                f"offsets of {count} states must run from 0 to {moves}, the number of moves"
            )
        if count > len(self._planes):
            self._reserve(count)
        chosen = self._plain[:count] if symmetry is None else symmetry
        encode_batch(self.geometry, states, self.grids, chosen, self._planes, self._globals)
        if self.features:
            threats_of_batch(self.geometry, states, self.grids, chosen, self._threats)
        return Batch(
            self._as_image(self._planes[:count]),
            torch.from_numpy(self._globals[:count]),
            self._bags.encode(states, codes, offsets, chosen),
            self._as_image(self._threats[:count]) if self.features else None,
        )

    def _as_image(self, cells: NDArray[np.float32]) -> Tensor:
        """Return `cells[B, area, C]` as a tensor [B, C, width, width] over the same memory."""
        width = self.geometry.width
        return torch.from_numpy(cells).view(-1, width, width, cells.shape[-1]).permute(0, 3, 1, 2)
