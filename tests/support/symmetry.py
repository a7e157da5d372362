"""Images of moves under the symmetries of a board."""

import numpy as np

from ringrift.rules import Config, geometry, moves as mv
from ringrift.rules.move_cells import move_cells


def move_code(config: Config, state: np.ndarray, code: int, table: np.ndarray) -> int:
    """Return the image of the move `code` of `state`; `table` is the result of `cell_table`."""
    kind = mv.move_type(code)
    named = (mv.move_a(code), mv.move_b(code), mv.move_c(code), mv.move_d(code))
    cells = [cell if cell < 0 else int(table[cell]) for cell in named]
    # A line is named by its ends in scan order, which is the order of core ids
    if kind in (mv.LINE, mv.LINE_ALL, mv.LINE_PART):
        cells[:2] = sorted(cells[:2])
    if kind in (mv.LINE_PART, mv.RECOVERY_PART):
        cells[2:] = sorted(cells[2:])
    if kind == mv.CLAIM:
        region = np.zeros(geometry(config).n_cells, np.int16)
        size = move_cells(geometry(config), state, code, region)
        cells[0] = int(table[region[:size]].min())
    count = mv.move_n(code) if kind in (mv.PLACE, mv.CLAIM) else 0
    a, b, c, d = (max(cell, 0) for cell in cells)
    return int(mv.make_move(kind, a, b, c, d, count))
