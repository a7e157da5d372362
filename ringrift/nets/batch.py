"""Encoding states and their legal moves as the input tensors of a network."""

from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.arrays import Codes, Floats, Int16s, Int64s, States
from ringrift.nets.bags import Bags, fill_bags, rows_max
from ringrift.nets.encoding import GLOBALS, PLANES, encode_batch
from ringrift.nets.features import FEATURES, threats_of_batch
from ringrift.rules.geometry import Geometry

T = TypeVar("T")


class Batch(NamedTuple):
    """The arguments of `Tower.forward` for B positions."""

    planes: Tensor  # float32 [B, PLANES, width, width], channels innermost in memory
    globals_: Tensor  # float32 [B, GLOBALS]
    bags: Bags[Tensor]
    features: Tensor | None  # float32 [B, FEATURES, width, width] of networks with threat planes


def to_device(item: T, device: torch.device) -> T:
    """Return a tensor, or all tensors of a nested named tuple, on `device`; other values are
    unchanged."""
    moved: Any = item
    if isinstance(item, Tensor):
        moved = item.to(device, non_blocking=True)
    elif isinstance(item, tuple):
        moved = type(item)(*(to_device(part, device) for part in item))
    return cast(T, moved)


class BagEncoder:
    """Encodes bags into buffers that the next call overwrites and that grow as needed."""

    def __init__(self, geometry: Geometry, grids: Int16s) -> None:
        self.geometry, self.grids = geometry, grids
        self._cells = np.zeros(geometry.n_cells, np.int16)
        self._reserve(0, 0)

    def _reserve(self, moves: int, rows: int) -> None:
        starts, kinds, positions = (np.zeros(n, np.int64) for n in (moves + 1, moves, moves))
        self._buffers: Bags[NDArray[Any]] = Bags(
            np.zeros(rows, np.int64), starts, np.zeros(rows, np.float32), kinds, positions
        )

    def encode(
        self, states: States, codes: Codes, offsets: Int64s, symmetry: Int16s
    ) -> Bags[Tensor]:
        """Return the bags of the moves `codes[offsets[i]:offsets[i + 1]]` of each state i."""
        moves, rows = len(codes), rows_max(self.geometry, codes)
        if moves > len(self._buffers.kinds) or rows > len(self._buffers.rows):
            self._reserve(moves + moves // 2, rows + rows // 2)
        place = self.grids, symmetry, self._cells
        used = fill_bags(self.geometry, states, codes, offsets, *place, self._buffers)
        sizes = Bags(used, moves + 1, used, moves, moves)
        parts = zip(self._buffers, sizes, strict=True)
        return Bags(*(torch.from_numpy(buffer[:size]) for buffer, size in parts))


class Batcher:
    """Encodes batches into buffers that the next call overwrites and that grow to the largest
    batch."""

    def __init__(
        self, geometry: Geometry, grids: Int16s | None = None, *, features: bool = False
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
        self, states: States, codes: Codes, offsets: Int64s, symmetry: Int16s | None = None
    ) -> Batch:
        """Return the batch of `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` are indices into `grids`."""
        count, moves = len(states), len(codes)
        if len(offsets) != count + 1 or offsets[0] != 0 or offsets[-1] != moves:
            raise ValueError(f"offsets of {count} states must run from 0 to {moves} moves")
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

    def _as_image(self, cells: Floats) -> Tensor:
        """Return `cells[B, area, C]` as a tensor [B, C, width, width] over the same memory."""
        width = self.geometry.width
        return torch.from_numpy(cells).view(-1, width, width, cells.shape[-1]).permute(0, 3, 1, 2)
