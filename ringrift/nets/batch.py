"""Encoding states and their legal moves as the input tensors of a tower or an NNUE."""

from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.nets.arrays import Codes, Floats, Int16s, Int64s, States
from ringrift.nets.bags import ROLES, Bags, fill_bags, rows_max
from ringrift.nets.boards import NnueRows
from ringrift.nets.encoding import GLOBALS, PLANES, encode_batch
from ringrift.nets.features import FEATURES, threats_of_batch
from ringrift.nets.nnue import features as nf
from ringrift.nets.symmetry import grid_tables
from ringrift.rules import Config, Geometry, geometry
from ringrift.rules.table import T_AXES, T_AXIS, T_STRIDE_LOG2

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

    def __init__(self, geo: Geometry, grids: Int16s) -> None:
        self.geometry, self.grids = geo, grids
        self._cells = np.zeros(geo.n_cells, np.int16)
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
        self, geo: Geometry, grids: Int16s | None = None, *, features: bool = False
    ) -> None:
        """`grids[K, area]` are the placements of the cells on the grid among which `symmetry`
        chooses, by default only the identity. With `features`, batches include the planes of
        `ringrift.nets.features`."""
        self.geometry, self.features = geo, features
        self.grids = geo.grid_of[None] if grids is None else grids
        self._bags = BagEncoder(geo, self.grids)
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

    def __init__(self, config: Config, *, policy: bool, rows: NnueRows | None = None) -> None:
        """With `policy`, batches include the bags of the moves. `rows` are those of a network of
        another board."""
        self.geometry, self._policy, self._rows = geometry(config), policy, rows
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
        features = self._indices[: starts[-1]].astype(np.int64)
        if self._rows:
            features = self._rows.features[features]
        return NnueBatch(
            torch.from_numpy(features),
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
        if self._rows:
            bags.rows.copy_(torch.from_numpy(self._rows.roles[bags.rows.numpy()]))
        return bags
