"""Regions (section 11) against a plain search over sets of cells, and the shortcuts of the compiled
search."""

import random

import pytest

from ringrift.rules import Config, Position, accessors as ac, layout as la
from ringrift.rules.notation import cell_names

ORTHOGONAL = ((1, 0), (0, 1), (-1, 0), (0, -1))
HEXAGONAL = (*ORTHOGONAL, (1, -1), (-1, 1))
Cells = frozenset[int]


class PlainBoard:
    """The cells of a position as sets."""

    def __init__(self, position: Position) -> None:
        s, shape = position.state, position.config.shape
        ids = [int(c) for c in position.geometry.cell_of]
        grid = dict(zip(shape.cells, ids, strict=True))
        steps = HEXAGONAL if shape.hex else ORTHOGONAL
        self.near = {
            c: [grid[x + dx, y + dy] for dx, dy in steps if (x + dx, y + dy) in grid]
            for (x, y), c in grid.items()
        }
        self.seats = range(1, position.config.seats + 1)
        self.marks = {seat: {c for c in ids if ac.marker_at(s, c) == seat} for seat in self.seats}
        self.land = {c for c in ids if ac.collapsed_at(s, c) == 0}
        self.stacks = {
            c: [ac.ring_at(s, c, i) for i in range(ac.height_at(s, c))]
            for c in ids
            if ac.height_at(s, c)
        }

    def components(self, border: int) -> list[Cells]:
        """Return the components of the floor of a border colour by first cell."""
        rest = self.land - (self.marks[border] if border else set())
        found = []
        while rest:
            reached, edge = set(), [min(rest)]
            while edge:
                c = edge.pop()
                if c in rest:
                    rest.remove(c)
                    reached.add(c)
                    edge += self.near[c]
            found.append(frozenset(reached))
        return found

    def claims(self, mover: int, recovering: bool) -> dict[Cells, int]:
        """Return the processable regions with the border colour that names them."""
        present = {ring for stack in self.stacks.values() for ring in stack}
        found: dict[Cells, int] = {}
        for border in (*(seat for seat in self.seats if self.marks[seat]), 0):
            for cells in self.components(border):
                inside = {stack[0] for c, stack in self.stacks.items() if c in cells}
                if border:
                    is_region = len(inside) < len(present)
                else:
                    is_region = len(inside) == 1 and len(present) >= 2
                outside = [stack for c, stack in self.stacks.items() if c not in cells]
                paying = [stack[1:] if recovering else stack[:1] for stack in outside]
                payable = any(mover in rings for rings in paying)
                if is_region and payable:
                    found.setdefault(cells, border)
        return found


@pytest.mark.parametrize(
    "key", ["square8_2p", "square8_3p", "square8_4p", "hex8_2p", "hex8_3p", "hex8_4p"]
)
def test_claims_agree_with_a_plain_search(key: str) -> None:
    config = Config.parse(key)
    names = cell_names(config)
    seen = 0
    for seed in range(6):
        rng, position = random.Random(seed), Position.start(config)
        while not position.over:
            if position.phase == la.TERRITORY and not position.state[la.OWE_CAP]:
                board = PlainBoard(position)
                expected = board.claims(position.seat, bool(position.state[la.RECOVERING]))
                tokens = {f"T{names[min(cells)]}/{border}" for cells, border in expected.items()}
                assert set(position.legal()) == (tokens | {"~t"} if tokens else {"-t"})
                seen += len(tokens)
            position.play_code(rng.choice(position.legal_codes().tolist()))
    assert seen > 20


@pytest.mark.parametrize("key", ["square8_2p", "square8_4p", "hex8_2p", "hex8_3p", "hexagonal_2p"])
def test_a_floor_marked_as_one_piece_is_connected(key: str) -> None:
    config = Config.parse(key)
    every = 1 if config.shape.width < 10 else 20
    for seed in range(3 if every == 1 else 1):
        rng, position = random.Random(seed), Position.start(config)
        while not position.over:
            position.play_code(rng.choice(position.legal_codes().tolist()))
            if position.ply % every == 0:
                board = PlainBoard(position)
                for border in (0, *board.seats):
                    if int(position.state[la.ONE_PIECE]) >> border & 1:
                        assert len(board.components(border)) <= 1
