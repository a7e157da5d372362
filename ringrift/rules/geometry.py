"""Cell numbering and tables of a board.

Cells have *core ids*: `(x + 1) * stride + (y + 1)` with grid coordinates `x, y` (hexes: `x = q +
m`, `y = r + m`) and stride 16 on the small boards, 32 on the large ones. Ascending core ids are the
scan order, row and bit of a cell are a shift and a mask away, and every cell has eight neighbours
in the array, border sentinels included. Core ids stand in move codes, so this numbering is frozen.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config

# Table `t` of a config: one flat int32 array, handed to all compiled code.
T_SEATS: Final = 0
T_STRIDE_LOG2: Final = 1
T_WIDTH: Final = 2
T_HEX: Final = 3
T_RINGS: Final = 4  # R
T_RINGS_TO_WIN: Final = 5  # V
T_TERRITORY_TO_WIN: Final = 6
T_LINE: Final = 7  # L
T_LINE_NOTICED: Final = 8
T_RECOVERY_NOTICED: Final = 9  # 13.4, E12
T_GROWTH: Final = 10  # 1 where a claimed border grows over the 8 array neighbours (2.4)
T_DIRECTIONS: Final = 11  # how many
T_AXES: Final = 12  # how many
T_ROW_SLOTS: Final = 13  # words of one row mask
T_ROWS_AT: Final = 14  # offset of the first row mask in a state
T_RING_LINKS_AT: Final = 15
T_SCRATCH_AT: Final = 16
T_STATE_SIZE: Final = 17
T_DIRECTION: Final = 24  # 8 core id deltas, order of 2.2
T_AXIS: Final = 32  # 4 core id deltas, all positive
T_RECOVERY_AXIS: Final = 36  # the same in recovery order
T_VALID: Final = 40  # row mask of the cells on the board
ROW_SLOTS_MAX: Final = 32
T_NEIGHBOURHOOD: Final = T_VALID + ROW_SLOTS_MAX  # 512 entries, see _neighbourhoods
T_SIZE: Final = T_NEIGHBOURHOOD + 512

CELLS_AT: Final = 64  # the state's header is this long; cells follow
ROW_MARGIN: Final = 3  # empty rows on either side of a row mask, so that three steps never leave it
SCRATCH_MASKS: Final = 4
WRITE_AHEAD: Final = 2  # words that listing may write past the end of the list

SQUARE_DIRECTIONS: Final = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
HEX_DIRECTIONS: Final = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))


class Geometry(NamedTuple):
    """Everything fixed about a config; usable in compiled code."""

    seats: int
    n_cells: int
    area: int  # number of core ids, border included
    state_size: int  # int32 words of a state
    moves_max: int  # bound on the number of legal moves
    line_length: int
    rings_per_seat: int
    hex: int  # 0 or 1
    width: int  # side of the bounding grid
    table: NDArray[np.int32]
    scan_of: NDArray[np.int16]  # [area] index in scan order, -1 for border
    cell_of: NDArray[np.int16]  # [n_cells] core id of the k-th cell in scan order
    grid_of: NDArray[np.int16]  # [area] y * width + x, -1 for border


@cache
def geometry(config: Config) -> Geometry:
    """The geometry of `config`, made once."""
    board = config.shape
    cells = board.cells
    shift = 4 if board.width < 14 else 5
    stride = 1 << shift
    area = (board.width + 2) * stride
    core = {(x, y): (x + 1) * stride + y + 1 for x, y in cells}
    directions = HEX_DIRECTIONS if board.hex else SQUARE_DIRECTIONS
    row_slots = board.width + 2 * ROW_MARGIN
    rows_at = CELLS_AT + area
    links_at = rows_at + row_slots * (2 + 2 * config.seats)
    scratch_at = links_at + config.seats * config.rings_per_seat
    size = -(-(scratch_at + SCRATCH_MASKS * row_slots) // 16) * 16  # whole cache lines
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
        + WRITE_AHEAD,
        line_length=config.line_length,
        rings_per_seat=config.rings_per_seat,
        hex=int(board.hex),
        width=board.width,
        table=_table(config, shift, row_slots, rows_at, links_at, scratch_at, size),
        scan_of=scan_of,
        cell_of=np.array([core[cell] for cell in cells], np.int16),
        grid_of=grid_of,
    )


def _ray_length(
    core: dict[tuple[int, int], int], cell: tuple[int, int], step: tuple[int, int]
) -> int:
    length = 0
    while (cell[0] + (length + 1) * step[0], cell[1] + (length + 1) * step[1]) in core:
        length += 1
    return length


def _table(
    config: Config,
    shift: int,
    row_slots: int,
    rows_at: int,
    links_at: int,
    scratch_at: int,
    size: int,
) -> NDArray[np.int32]:
    board = config.shape
    stride = 1 << shift
    east, south, south_east, north_east = stride, 1, stride + 1, stride - 1
    directions = HEX_DIRECTIONS if board.hex else SQUARE_DIRECTIONS
    axes = (east, north_east, south) if board.hex else (east, south_east, south, north_east)
    recovery_axes = axes if board.hex else (east, south, south_east, north_east)
    t = np.zeros(T_SIZE, np.int32)
    t[T_SEATS] = config.seats
    t[T_STRIDE_LOG2] = shift
    t[T_WIDTH] = board.width
    t[T_HEX] = board.hex
    t[T_RINGS] = config.rings_per_seat
    t[T_RINGS_TO_WIN] = config.rings_to_win
    t[T_TERRITORY_TO_WIN] = config.territory_to_win
    t[T_LINE] = config.line_length
    t[T_LINE_NOTICED] = config.line_noticed
    t[T_RECOVERY_NOTICED] = 3 if board.name == "square8" else 4
    t[T_GROWTH] = board.name != "hexagonal"
    t[T_DIRECTIONS] = len(directions)
    t[T_AXES] = len(axes)
    t[T_ROW_SLOTS], t[T_ROWS_AT], t[T_RING_LINKS_AT] = row_slots, rows_at, links_at
    t[T_NEIGHBOURHOOD:] = _neighbourhoods(board.hex)
    t[T_SCRATCH_AT], t[T_STATE_SIZE] = scratch_at, size
    t[T_DIRECTION : T_DIRECTION + len(directions)] = [dx * stride + dy for dx, dy in directions]
    t[T_AXIS : T_AXIS + len(axes)] = axes
    t[T_RECOVERY_AXIS : T_RECOVERY_AXIS + len(axes)] = recovery_axes
    for x, y in board.cells:
        t[T_VALID + ROW_MARGIN + x] |= 1 << (y + 1)
    return t


TOUCHES: Final = 1
MAY_SPLIT: Final = 2


def _neighbourhoods(is_hex: bool) -> list[int]:
    """For each set of floor cells in the 3 x 3 block around a cell, how the cell hangs together
    with them (11.1).

    Bit `3 * (dx + 1) + (dy + 1)` of the index is the cell at that offset. TOUCHES: some territory
    neighbour is floor. MAY_SPLIT: the floor neighbours are not connected within the block, so that
    without the middle cell the floor might fall apart."""
    ring = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)) if is_hex else SQUARE_DIRECTIONS
    entries = []
    for index in range(512):
        around = [bool(index >> (3 * (dx + 1) + dy + 1) & 1) for dx, dy in ring]
        groups = _groups(around, [is_hex or 0 in step for step in ring])
        entries.append(TOUCHES * (groups > 0) + MAY_SPLIT * (groups > 1))
    return entries


def _groups(around: list[bool], is_neighbour: list[bool]) -> int:
    """Runs of floor in the closed ring of cells that contain a territory neighbour."""
    size = len(around)
    if all(around):
        return 1
    groups = 0
    for i in range(size):
        if around[i] and not around[i - 1]:
            run = [
                i + step
                for step in range(size)
                if all(around[(i + part) % size] for part in range(step + 1))
            ]
            groups += any(is_neighbour[j % size] for j in run)
    return groups
