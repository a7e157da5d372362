"""Threat planes: their values in a handmade position, and that they agree with the legal moves
and follow the symmetries of the board."""

from __future__ import annotations

import numpy as np
import pytest
from support.positions import random_positions

from ringrift.nets.batch import Batcher
from ringrift.nets.features import FEATURES, RAYS_SCALE, RUN_SCALE, Feature
from ringrift.nets.symmetry import cell_table, grid_tables, symmetries
from ringrift.rules import Position, layout as la
from ringrift.rules.moves import LEAP, WALK, move_a, move_b, move_type
from ringrift.rules.table import CELLS_AT

# Seat 1 moves: east of its stack of 2 on d4 are a marker and, on g4, a stack of seat 2 with an
# empty cell behind it
DUEL = "square8/2 4bb2/8/8/8/3(11)1a(2)1/8/8/8 1m 5,5 0,0 last=2 0//0/0 9"


def planes_of(position: Position, symmetry: int = 0) -> np.ndarray:
    """Return the planes under a symmetry, [width, width, FEATURES]."""
    codes = position.legal_codes()
    batcher = Batcher(position.geometry, grid_tables(position.config), features=True)
    batch = batcher.encode(
        position.state[None], codes, np.array([0, len(codes)]), np.array([symmetry], np.int16)
    )
    assert batch.features is not None
    return batch.features[0].permute(1, 2, 0).numpy().copy()


def test_the_planes_of_a_handmade_position() -> None:
    planes = planes_of(Position.parse(DUEL))
    assert planes.shape == (8, 8, FEATURES)
    (mine,) = np.argwhere(planes[:, :, Feature.LEAPS])
    (victim,) = np.argwhere(planes[:, :, Feature.LEAPT_BY_MOVER])
    row = mine[0]
    assert mine.tolist() == [row, 3]
    assert victim.tolist() == [row, 6]
    assert planes[row, 3, Feature.MOBILE] == 8 * RAYS_SCALE
    assert planes[row, 3, Feature.CREDITS] == RAYS_SCALE
    assert (
        planes[row, 3, Feature.CROSSES] == 0
    )  # the marker is the last cell before the other stack
    assert planes[row, 5, Feature.REACHED_BY_MOVER] == RAYS_SCALE
    assert planes[row, 5, Feature.REACHED_BY_OTHERS] == RAYS_SCALE
    assert planes[row, 5, Feature.RUN] == RUN_SCALE
    assert sorted(planes[:, :, Feature.RUN][planes[:, :, Feature.RUN] > 0].tolist()) == [
        RUN_SCALE,
        2 * RUN_SCALE,
        2 * RUN_SCALE,
    ]


def test_the_planes_agree_with_the_legal_walks_and_leaps() -> None:
    """Compared in positions in which every stack may move."""
    seen = 0
    for position in random_positions("square8_2p", count=80) + random_positions(
        "hex8_3p", count=60
    ):
        codes = [int(code) for code in position.legal_codes()]
        must = (
            position.geometry.grid_of[position.state[la.MUST]] if position.state[la.MUST] else None
        )
        walks = {int(position.geometry.grid_of[move_a(c)]) for c in codes if move_type(c) == WALK}
        if not walks or must is not None:
            continue
        seen += 1
        planes = planes_of(position).reshape(-1, FEATURES)
        mover = position.state[la.TURN]
        own = {
            int(position.geometry.grid_of[c])
            for c in position.geometry.cell_of
            if word_of(position, c) & la.STACK and word_of(position, c) & la.SEAT_BITS == mover
        }
        assert {g for g in own if planes[g, Feature.MOBILE] > 0} == walks
        landings = {
            int(position.geometry.grid_of[move_b(c)]) for c in codes if move_type(c) == WALK
        }
        assert set(np.flatnonzero(planes[:, Feature.REACHED_BY_MOVER])) == landings
        leapers = {int(position.geometry.grid_of[move_a(c)]) for c in codes if move_type(c) == LEAP}
        assert {
            g for g in own if planes[g, Feature.LEAPS] > 0
        } <= leapers  # leaps over own stacks are not counted
    assert seen >= 15


def word_of(position: Position, cell: int) -> int:
    return int(position.state[CELLS_AT + cell])


@pytest.mark.parametrize("key", ["square8_3p", "hex8_2p", "hexagonal_2p"])
def test_the_planes_follow_the_symmetries_of_the_board(key: str) -> None:
    for position in random_positions(key, count=6):
        plain = planes_of(position).reshape(-1, FEATURES)
        for k, symmetry in enumerate(symmetries(position.config)):
            moved = planes_of(position, k).reshape(-1, FEATURES)
            table = cell_table(position.config, symmetry)
            grid_of = position.geometry.grid_of
            for cell in position.geometry.cell_of:
                np.testing.assert_array_equal(moved[grid_of[table[cell]]], plain[grid_of[cell]])


def test_the_planes_do_not_depend_on_the_previous_batch() -> None:
    first, second = random_positions("hex8_2p", count=2)
    batcher = Batcher(first.geometry, features=True)
    for position in (first, second):
        codes = position.legal_codes()
        found = batcher.encode(position.state[None], codes, np.array([0, len(codes)])).features
    assert found is not None
    np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), planes_of(second))
