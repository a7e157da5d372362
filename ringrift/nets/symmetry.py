"""Exact symmetries of the boards: the image of a position has the images of its legal moves, with
the images of their effects.

A square has 8 symmetries and a hexagon 12, but the rules break some:

- hex8: the border growth of section 2.4 reaches `(+1, +1)` and `(-1, -1)` besides the six
  neighbours. Only the 4 symmetries that keep this pair of offsets hold: identity, half turn, and
  the two reflections that map axial `(q, r)` to `(r, q)` and `(-r, -q)`.
- every board: the line that a recovery slide makes may depend on the order of the axes (13.2,
  13.4). In positions in which a slide may be legal, only the symmetries that keep every axis hold:
  identity and half turn. `ORDER_KEEPING` are their indices.

`tests/unit/nets/test_symmetry.py` checks these claims on random positions and moves, and that the
other symmetries fail."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from ringrift.nets.arrays import Int16s
from ringrift.rules import Config, geometry


@dataclass(frozen=True, slots=True)
class Symmetry:
    """`(x, y) -> (xx * x + xy * y, yx * x + yy * y)` in coordinates around the centre; axial
    coordinates on hexes."""

    name: str
    xx: int
    xy: int
    yx: int
    yy: int

    def move(self, x: int, y: int) -> tuple[int, int]:
        """Return the image of `(x, y)`."""
        return self.xx * x + self.xy * y, self.yx * x + self.yy * y


SQUARE: Final = (
    Symmetry("identity", 1, 0, 0, 1),
    Symmetry("half turn", -1, 0, 0, -1),
    Symmetry("quarter turn", 0, -1, 1, 0),
    Symmetry("three quarter turn", 0, 1, -1, 0),
    Symmetry("mirror columns", -1, 0, 0, 1),
    Symmetry("mirror rows", 1, 0, 0, -1),
    Symmetry("transpose", 0, 1, 1, 0),
    Symmetry("anti-transpose", 0, -1, -1, 0),
)
HEX_KEEPING_GROWTH: Final = (
    Symmetry("identity", 1, 0, 0, 1),
    Symmetry("half turn", -1, 0, 0, -1),
    Symmetry("transpose", 0, 1, 1, 0),
    Symmetry("anti-transpose", 0, -1, -1, 0),
)
HEX: Final = (
    *HEX_KEEPING_GROWTH,
    Symmetry("turn by 60", 0, -1, 1, 1),
    Symmetry("turn by 120", -1, -1, 1, 0),
    Symmetry("turn by 240", 0, 1, -1, -1),
    Symmetry("turn by 300", 1, 1, -1, 0),
    Symmetry("mirror q", 1, 1, 0, -1),
    Symmetry("mirror r", -1, 0, 1, 1),
    Symmetry("mirror q, half turn", -1, -1, 0, 1),
    Symmetry("mirror r, half turn", 1, 0, -1, -1),
)
ORDER_KEEPING: Final = (0, 1)
"""Indices of identity and half turn in each of the tables."""


def symmetries(config: Config) -> tuple[Symmetry, ...]:
    """Return the symmetries that hold on the board of `config`, identity first."""
    if not config.shape.hex:
        return SQUARE
    return HEX_KEEPING_GROWTH if config.board == "hex8" else HEX


def cell_table(config: Config, symmetry: Symmetry) -> Int16s:
    """Return the core id of the image of each core id, `[area]`; -1 off the board."""
    geo = geometry(config)
    cells = config.shape.cells
    core = {cell: int(geo.cell_of[index]) for index, cell in enumerate(cells)}
    last = config.shape.width - 1
    table = np.full(geo.area, -1, np.int16)
    for x, y in cells:
        # Twice the coordinates around the centre: integers on even boards too.
        u, v = symmetry.move(2 * x - last, 2 * y - last)
        table[core[x, y]] = core[(u + last) // 2, (v + last) // 2]
    return table


@cache
def grid_tables(config: Config) -> Int16s:
    """Return the grid place of each cell under each symmetry of `symmetries(config)`, `[K, area]`:
    the `grids` of the encoder."""
    geo = geometry(config)
    tables = [cell_table(config, symmetry) for symmetry in symmetries(config)]
    return np.array([np.where(table >= 0, geo.grid_of[table], -1) for table in tables], np.int16)
