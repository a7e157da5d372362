"""Encoding states and their legal moves as the input tensors of a network."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.bags import fill_bags, rows_max
from ringrift.nets.encoding import GLOBALS, PLANES, encode_batch
from ringrift.nets.features import FEATURES, threats_of_batch
from ringrift.rules.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Batch:
    """Input of `Tower.forward` for B positions with M legal moves and N rows of bags in total.

    planes     float32 [B, PLANES, width, width], channels innermost in memory
    globals_   float32 [B, GLOBALS]
    rows       int64 [N]; weights float32 [N]; starts int64 [M + 1]
    kinds      int64 [M]; positions int64 [M]
    features   float32 [B, FEATURES, width, width] for networks with threat planes, else None
    """

    planes: Tensor
    globals_: Tensor
    rows: Tensor
    starts: Tensor
    weights: Tensor
    kinds: Tensor
    positions: Tensor
    features: Tensor | None = None

    def arguments(self) -> tuple[Tensor, ...]:
        """The tensors in the order of the parameters of `Tower.forward`."""
        always = (
            self.planes,
            self.globals_,
            self.rows,
            self.starts,
            self.weights,
            self.kinds,
            self.positions,
        )
        return always if self.features is None else (*always, self.features)

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`, itself if it is already there."""
        if self.planes.device == device:
            return self
        return type(self)(*(tensor.to(device, non_blocking=True) for tensor in self.arguments()))


class Batcher:
    """Encodes batches into buffers that the next call overwrites and that grow to the largest
    batch."""

    def __init__(
        self, geometry: Geometry, grids: NDArray[np.int16] | None = None, *, features: bool = False
    ) -> None:
        """`grids[K, area]` are the placements of the cells on the grid among which `symmetry`
        chooses, by default only the identity. With `features`, batches include the planes of
        `ringrift.nets.features`."""
        self.geometry = geometry
        self.features = features
        self.grids = geometry.grid_of[None] if grids is None else grids
        self._cells = np.zeros(geometry.n_cells, np.int16)
        self._reserve_states(0)
        self._reserve_moves(0)
        self._reserve_rows(0)

    def _reserve_states(self, count: int) -> None:
        self._planes = np.zeros((count, self.geometry.width**2, PLANES), np.float32)
        self._globals = np.zeros((count, GLOBALS), np.float32)
        self._plain = np.zeros(count, np.int16)
        self._threats = np.zeros(
            (count if self.features else 0, self.geometry.width**2, FEATURES), np.float32
        )

    def _reserve_moves(self, count: int) -> None:
        self._starts = np.zeros(count + 1, np.int64)
        self._kinds = np.zeros(count, np.int64)
        self._positions = np.zeros(count, np.int64)

    def _reserve_rows(self, count: int) -> None:
        self._rows = np.zeros(count, np.int64)
        self._weights = np.zeros(count, np.float32)

    def encode(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> Batch:
        """Return the batch of `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` are indices into `grids`."""
        count, moves, width = len(states), len(codes), self.geometry.width
        if len(offsets) != count + 1 or offsets[0] != 0 or offsets[-1] != moves:
            raise ValueError(
                f"offsets of {count} states must run from 0 to {moves}, the number of moves"
            )
        if count > len(self._planes):
            self._reserve_states(count)
        if moves > len(self._kinds):
            self._reserve_moves(moves + moves // 2)
        rows = rows_max(self.geometry, codes)
        if rows > len(self._rows):
            self._reserve_rows(rows + rows // 2)
        chosen = self._plain[:count] if symmetry is None else symmetry
        encode_batch(self.geometry, states, self.grids, chosen, self._planes, self._globals)
        used = fill_bags(
            self.geometry,
            states,
            codes,
            offsets,
            self.grids,
            chosen,
            self._cells,
            self._rows,
            self._weights,
            self._starts,
            self._kinds,
            self._positions,
        )
        if self.features:
            threats_of_batch(self.geometry, states, self.grids, chosen, self._threats)
        planes = (
            torch.from_numpy(self._planes[:count])
            .view(count, width, width, PLANES)
            .permute(0, 3, 1, 2)
        )
        threats = (
            torch.from_numpy(self._threats[:count])
            .view(-1, width, width, FEATURES)
            .permute(0, 3, 1, 2)
        )
        return Batch(
            planes,
            torch.from_numpy(self._globals[:count]),
            torch.from_numpy(self._rows[:used]),
            torch.from_numpy(self._starts[: moves + 1]),
            torch.from_numpy(self._weights[:used]),
            torch.from_numpy(self._kinds[:moves]),
            torch.from_numpy(self._positions[:moves]),
            threats if self.features else None,
        )
