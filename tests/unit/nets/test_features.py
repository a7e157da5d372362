"""Threat planes: what they say of positions made by hand, and that they turn with the board and
count what the moves do."""

from __future__ import annotations

import numpy as np
import pytest

from ringrift.nets.batch import Batcher
from ringrift.nets.features import FEATURES, RAYS_SCALE, RUN_SCALE, Feature
from ringrift.nets.symmetry import cell_table, grid_tables, symmetries
from ringrift.rules import Position
from ringrift.rules.moves import LEAP, WALK, move_a, move_b, move_type

# mover 1: a stack of 2 on d4 looks east over a marker at the enemy on g4; nothing stands behind the
# enemy
DUEL = "square8/2 4bb2/8/8/8/3(11)1a(2)1/8/8/8 1m 5,5 0,0 last=2 0//0/0 9"


def planes_of(position: Position, symmetry: int = 0) -> np.ndarray:
    """[width, width, FEATURES]."""
    codes = position.legal_codes()
    batcher = Batcher(position.geometry, grid_tables(position.config), features=True)
    batch = batcher.encode(
        position.state[None], codes, np.array([0, len(codes)]), np.array([symmetry], np.int16)
    )
    assert batch.features is not None
    return batch.features[0].permute(1, 2, 0).numpy().copy()


def test_a_position_made_by_hand() -> None:
    planes = planes_of(Position.parse(DUEL))
    assert planes.shape == (8, 8, FEATURES)
    (mine,) = np.argwhere(planes[:, :, Feature.LEAPS])
    (victim,) = np.argwhere(planes[:, :, Feature.LEAPT_BY_MOVER])
    row = mine[0]
    assert mine.tolist() == [row, 3]
    assert victim.tolist() == [row, 6]
    assert planes[row, 3, Feature.MOBILE] == 8 * RAYS_SCALE
    assert planes[row, 3, Feature.CREDITS] == RAYS_SCALE
    assert planes[row, 3, Feature.CROSSES] == 0  # the marker is the last cell before the enemy
    assert planes[row, 5, Feature.REACHED_BY_MOVER] == RAYS_SCALE
    assert planes[row, 5, Feature.REACHED_BY_OTHERS] == RAYS_SCALE
    assert planes[row, 5, Feature.RUN] == RUN_SCALE
    assert sorted(planes[:, :, Feature.RUN][planes[:, :, Feature.RUN] > 0].tolist()) == [
        RUN_SCALE,
        2 * RUN_SCALE,
        2 * RUN_SCALE,
    ]


def test_the_planes_count_the_walks_and_leaps_that_are_legal(random_positions) -> None:
    """A stack can walk or leap where the planes say so: on the positions in which every move of a
    stack is on offer."""
    seen = 0
    for position in random_positions("square8_2p", count=80) + random_positions(
        "hex8_3p", count=60
    ):
        codes = [int(code) for code in position.legal_codes()]
        must = position.geometry.grid_of[max(position.state[4], 0)] if position.state[4] else None
        walks = {int(position.geometry.grid_of[move_a(c)]) for c in codes if move_type(c) == WALK}
        if not walks or must is not None:
            continue
        seen += 1
        planes = planes_of(position).reshape(-1, FEATURES)
        controller = position.state[0]
        own = {
            int(position.geometry.grid_of[c])
            for c in position.geometry.cell_of
            if position.state[64 + c] & 16 and position.state[64 + c] & 7 == controller
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


@pytest.mark.parametrize("key", ["square8_3p", "hex8_2p", "hexagonal_2p"])
def test_the_planes_turn_with_the_board(key: str, random_positions) -> None:
    for position in random_positions(key, count=6):
        plain = planes_of(position).reshape(-1, FEATURES)
        for k, symmetry in enumerate(symmetries(position.config)):
            moved = planes_of(position, k).reshape(-1, FEATURES)
            table = cell_table(position.config, symmetry)
            grid_of = position.geometry.grid_of
            for cell in position.geometry.cell_of:
                np.testing.assert_array_equal(moved[grid_of[table[cell]]], plain[grid_of[cell]])


def test_the_planes_of_the_next_position_hold_nothing_of_the_last(random_positions) -> None:
    first, second = random_positions("hex8_2p", count=2)
    batcher = Batcher(first.geometry, features=True)
    for position in (first, second):
        codes = position.legal_codes()
        found = batcher.encode(position.state[None], codes, np.array([0, len(codes)])).features
    assert found is not None
    np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), planes_of(second))
