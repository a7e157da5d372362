"""Cell numbering and tables of a board.

Cells have *core ids*: `(x + 1) * stride + (y + 1)` with grid coordinates `x, y` (hexes: `x = q +
m`, `y = r + m`) and stride 16 on the small boards, 32 on the large ones. Ascending core ids are the
scan order, row and bit of a cell are a shift and a mask away, and every cell has eight neighbours
in the array, sentinels around the board included. Move codes contain core ids, so this numbering is
frozen.
"""

from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from operator import itemgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import table as tb
from ringrift.rules.config import Config

SQUARE_DIRECTIONS: Final = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
HEX_DIRECTIONS: Final = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))

Cell = tuple[int, int]  # grid coordinates, or the difference of two


class Geometry(NamedTuple):
    """Everything that is fixed by a config; usable in compiled code."""

    seats: int
    n_cells: int
    area: int  # number of core ids, sentinels included
    state_size: int  # int32 words of a state
    moves_max: int  # upper bound on the number of legal moves
    line_length: int
    rings_per_seat: int
    hex: int  # 0 or 1
    width: int  # side of the bounding grid
    table: NDArray[np.int32]
    scan_of: NDArray[np.int16]  # [area] index in scan order, -1 off the board
    cell_of: NDArray[np.int16]  # [n_cells] core id of the k-th cell in scan order
    grid_of: NDArray[np.int16]  # [area] y * width + x, -1 off the board


@cache
def geometry(config: Config) -> Geometry:
    """Return the geometry of `config`, always the same object."""
    board = config.shape
    cells = board.cells
    shift = 4 if board.width < 14 else 5
    stride = 1 << shift
    area = (board.width + 2) * stride
    core = {(x, y): (x + 1) * stride + y + 1 for x, y in cells}
    directions = HEX_DIRECTIONS if board.hex else SQUARE_DIRECTIONS
    row_slots = board.width + 2 * tb.ROW_MARGIN
    rows_at = tb.CELLS_AT + area
    links_at = rows_at + row_slots * (2 + 2 * config.seats)
    scratch_at = links_at + config.seats * config.rings_per_seat
    size = -(-(scratch_at + tb.SCRATCH_MASKS * row_slots) // 16) * 16  # whole cache lines
    places = {tb.T_ROW_SLOTS: row_slots, tb.T_ROWS_AT: rows_at, tb.T_RING_LINKS_AT: links_at}
    places |= {tb.T_SCRATCH_AT: scratch_at, tb.T_STATE_SIZE: size}
    rays = sum(_ray_length(core, cell, d) for cell in cells for d in directions)
    slides = len(cells) * len(directions) // 2  # from a marker to a cell without one
    grid_of = np.full(area, -1, np.int16)
    scan_of = np.full(area, -1, np.int16)
    for index, (x, y) in enumerate(cells):
        scan_of[core[x, y]] = index
        grid_of[core[x, y]] = y * board.width + x
    return Geometry(
        seats=config.seats,
        n_cells=len(cells),
        area=area,
        state_size=size,
        moves_max=max(3 * len(cells) + 2, rays, (slides + len(cells)) * config.rings_per_seat)
        + tb.WRITE_AHEAD,
        line_length=config.line_length,
        rings_per_seat=config.rings_per_seat,
        hex=int(board.hex),
        width=board.width,
        table=_table(config, shift, places),
        scan_of=scan_of,
        cell_of=np.array([core[cell] for cell in cells], np.int16),
        grid_of=grid_of,
    )


def _ray_length(core: Mapping[Cell, int], cell: Cell, step: Cell) -> int:
    length = 0
    while (cell[0] + (length + 1) * step[0], cell[1] + (length + 1) * step[1]) in core:
        length += 1
    return length


def _table(config: Config, shift: int, places: Mapping[int, int]) -> NDArray[np.int32]:
    """Return the table of a config, with these entries about places in a state."""
    board = config.shape
    stride = 1 << shift
    east, south, south_east, north_east = stride, 1, stride + 1, stride - 1
    directions = HEX_DIRECTIONS if board.hex else SQUARE_DIRECTIONS
    axes = (east, north_east, south) if board.hex else (east, south_east, south, north_east)
    recovery_axes = axes if board.hex else (east, south, south_east, north_east)
    t = np.zeros(tb.T_SIZE, np.int32)
    t[tb.T_SEATS] = config.seats
    t[tb.T_STRIDE_LOG2] = shift
    t[tb.T_WIDTH] = board.width
    t[tb.T_HEX] = board.hex
    t[tb.T_RINGS] = config.rings_per_seat
    t[tb.T_RINGS_TO_WIN] = config.rings_to_win
    t[tb.T_TERRITORY_TO_WIN] = config.territory_to_win
    t[tb.T_LINE] = config.line_length
    t[tb.T_LINE_NOTICED] = config.line_noticed
    t[tb.T_RECOVERY_NOTICED] = 3 if board.name == "square8" else 4
    t[tb.T_GROWTH] = board.name != "hexagonal"
    t[tb.T_DIRECTIONS] = len(directions)
    t[tb.T_AXES] = len(axes)
    t[list(places)] = list(places.values())
    t[tb.T_NEIGHBOURHOOD :] = _neighbourhoods(board.hex)
    deltas = [dx * stride + dy for dx, dy in directions]
    t[tb.T_DIRECTION : tb.T_DIRECTION + len(directions)] = deltas
    t[tb.T_AXIS : tb.T_AXIS + len(axes)] = axes
    t[tb.T_RECOVERY_AXIS : tb.T_RECOVERY_AXIS + len(axes)] = recovery_axes
    for x, y in board.cells:
        t[tb.T_VALID + tb.ROW_MARGIN + x] |= 1 << (y + 1)
    return t


def _neighbourhoods(is_hex: bool) -> list[int]:
    """Return flags for each set of floor cells in the 3 x 3 block around a cell (11.1).

    Bit `3 * (dx + 1) + (dy + 1)` of the index is the cell at that offset. tb.TOUCHES: some
    territory neighbour is floor. tb.MAY_SPLIT: the floor neighbours are not connected within the
    block, so without the middle cell the floor might be split."""
    ring = HEX_DIRECTIONS if is_hex else SQUARE_DIRECTIONS
    entries = []
    for index in range(512):
        around = [bool(index >> (3 * (dx + 1) + dy + 1) & 1) for dx, dy in ring]
        groups = _groups(around, [is_hex or 0 in step for step in ring])
        entries.append(tb.TOUCHES * (groups > 0) + tb.MAY_SPLIT * (groups > 1))
    return entries


def _groups(around: list[bool], is_neighbour: list[bool]) -> int:
    """Return the number of runs of floor, in the closed ring of cells, that contain a territory
    neighbour."""
    if all(around):
        return 1
    groups = 0
    for i, free in enumerate(around):
        if free and not around[i - 1]:
            turned = zip(around[i:] + around[:i], is_neighbour[i:] + is_neighbour[:i], strict=True)
            groups += any(near for _, near in takewhile(itemgetter(0), turned))
    return groups
