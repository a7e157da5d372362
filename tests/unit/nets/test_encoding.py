"""Different positions have different inputs; planes and globals have their documented values."""

from __future__ import annotations

import numpy as np
import pytest
from support.positions import random_positions

from ringrift.nets.encoding import (
    GLOBALS,
    PLANES,
    SEAT_GLOBALS,
    Global,
    Plane,
    encode,
    encode_batch,
)
from ringrift.nets.symmetry import cell_table, grid_tables, symmetries
from ringrift.rules import CONFIGS, Config, Position, geometry


def inputs(position: Position) -> tuple[np.ndarray, np.ndarray]:
    geo = position.geometry
    planes = np.full((geo.width**2, PLANES), np.nan, np.float32)
    globals_ = np.full(GLOBALS, np.nan, np.float32)
    encode(geo, position.state, geo.grid_of, planes, globals_)
    return planes, globals_


def at(planes: np.ndarray, position: Position, x: int, y: int) -> np.ndarray:
    return planes[y * position.geometry.width + x]


EMPTY_ROWS = "8/8/8/8/8/8"
"""Six empty rows of square8."""


def square(
    cells: str,
    *,
    seats: int = 2,
    turn: str = "1m",
    hands: str = "",
    context: str = "-",
    rounds: str = "0//0/0",
) -> Position:
    hands = hands or ",".join(["2"] * seats)
    return Position.parse(
        f"square8/{seats} {cells} {turn} {hands} {','.join('1' * seats)} {context} {rounds} 30"
    )


STACK = f"(12)3(2)3/8/{EMPTY_ROWS}"

PAIRS = {
    "height 5 and 9": (square(f"(11111)7/8/{EMPTY_ROWS}"), square(f"(111111111)7/8/{EMPTY_ROWS}")),
    "covered ring": (square(f"(1121)7/8/{EMPTY_ROWS}"), square(f"(1122)7/8/{EMPTY_ROWS}")),
    "order of covered rings": (
        square(f"(11212)7/8/{EMPTY_ROWS}"),
        square(f"(11221)7/8/{EMPTY_ROWS}"),
    ),
    "ring 8 of 14": (
        square(f"(12121212121212)7/8/{EMPTY_ROWS}"),
        square(f"(12121211221212)7/8/{EMPTY_ROWS}"),
    ),
    "stack of seat 3 or 4": (
        square(f"(3)7/8/{EMPTY_ROWS}", seats=4),
        square(f"(4)7/8/{EMPTY_ROWS}", seats=4),
    ),
    "marker of seat 2 or 3": (
        square(f"b7/8/{EMPTY_ROWS}", seats=3),
        square(f"c7/8/{EMPTY_ROWS}", seats=3),
    ),
    "collapsed for 1 or 2": (square(f"A7/8/{EMPTY_ROWS}"), square(f"B7/8/{EMPTY_ROWS}")),
    "must": (
        square(f"(1)1(1)5/8/{EMPTY_ROWS}", context="must=a1"),
        square(f"(1)1(1)5/8/{EMPTY_ROWS}", context="must=c1"),
    ),
    "must or none": (square(STACK, context="must=a1"), square(STACK)),
    "origin": (
        square(f"(1)1(1)1(2)3/8/{EMPTY_ROWS}", turn="1k", context="from=a1"),
        square(f"(1)1(1)1(2)3/8/{EMPTY_ROWS}", turn="1k", context="from=c1"),
    ),
    "capture or chain": (
        square(STACK, turn="1c", context="from=a1"),
        square(STACK, turn="1k", context="from=a1"),
    ),
    "debt": (square(STACK, turn="1l"), square(STACK, turn="1l", context="debt")),
    "owed cap": (square(STACK, turn="1t"), square(STACK, turn="1t", context="owe")),
    "acted": (square(STACK), square(STACK, context="acted")),
    "recovering": (square(STACK, turn="1l"), square(STACK, turn="1l", context="rec")),
    "last actor": (square(STACK, context="last=1"), square(STACK, context="last=2")),
    "pie rule open": (square(STACK, turn="2p"), square(STACK, turn="2p", context="swap")),
    "hand": (square(STACK, hands="2,2"), square(STACK, hands="2,3")),
    "round first": (square(STACK, rounds="1/1+/1/1"), square(STACK, rounds="2/1+/1/1")),
    "round mask": (square(STACK, rounds="1/1+/1/1"), square(STACK, rounds="1/1-/1/1")),
    "round mask entry": (square(STACK, rounds="1/1+/1/1"), square(STACK, rounds="1/1+2-/1/1")),
    "rounds done": (square(STACK, rounds="1/1+/1/1"), square(STACK, rounds="1/1+/2/1")),
    "round who": (square(STACK, rounds="1/1+/1/1"), square(STACK, rounds="1/1+/1/2")),
    "seats": (square(f"8/8/{EMPTY_ROWS}", seats=2), square(f"8/8/{EMPTY_ROWS}", seats=3)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_positions_that_differ_in_one_thing_have_different_inputs(name: str) -> None:
    one, other = PAIRS[name]
    assert one.text() != other.text()
    assert not all(np.array_equal(a, b) for a, b in zip(inputs(one), inputs(other), strict=True))


@pytest.mark.parametrize("key", ["square8_2p", "hex8_3p", "hex8_4p"])
def test_different_positions_of_random_play_have_different_inputs(key: str) -> None:
    seen: dict[bytes, str] = {}
    for position in random_positions(key, count=400, every=1):
        planes, globals_ = inputs(position)
        assert np.isfinite(planes).all()
        assert np.isfinite(globals_).all()
        text = position.text().rsplit(" ", 1)[0]  # without the number of plies
        assert (
            seen.setdefault(planes.tobytes() + globals_.tobytes() + bytes([position.seat]), text)
            == text
        )


def test_planes_and_globals_have_their_documented_values() -> None:
    position = square(f"(2212)a1B4/8/{EMPTY_ROWS}", turn="2m", context="must=a1")
    planes, globals_ = inputs(position)
    stack = at(planes, position, 0, 0)
    assert stack[Plane.CONTROLLER] == 1  # seat 2 moves, so it is relative seat 0
    assert stack[Plane.HEIGHT] == pytest.approx(4 / 8)
    assert stack[Plane.HEIGHT_CLASS + 3] == 1
    assert stack[Plane.CAP] == pytest.approx(2 / 8)
    assert stack[Plane.CAP_CLASS + 1] == 1
    assert stack[Plane.RINGS : Plane.RINGS + 2].tolist() == [0.75, 0.25]
    assert stack[Plane.SECOND] == 1
    assert stack[Plane.BELOW_CAP + 1] == 1
    assert stack[Plane.FROM_TOP] == pytest.approx(1 / 5 + 1 / 25 + 2 / 125 + 1 / 625)
    assert stack[Plane.FROM_BOTTOM] == pytest.approx(1 / 5 + 2 / 25 + 1 / 125 + 1 / 625)
    assert stack[Plane.MUST] == 1
    assert at(planes, position, 1, 0)[Plane.MARKER + 1] == 1
    assert at(planes, position, 3, 0)[Plane.COLLAPSED] == 1
    assert planes[:, Plane.ON_BOARD].sum() == 64
    assert planes[:, Plane.MUST].sum() == 1
    assert globals_[Global.PHASE : Global.PHASE + 8].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    territory, stacks, markers = 4, 6, 7  # in the order of `_encode_seat`
    me, other = (globals_[Global.SEAT + k * SEAT_GLOBALS :][:SEAT_GLOBALS] for k in (0, 1))
    assert me[territory] == pytest.approx(1 / 33)
    assert other[territory] == 0
    assert other[markers] == pytest.approx(1 / 64)
    assert me[stacks] == pytest.approx(1 / 8)


def test_planes_and_globals_of_absent_seats_are_zero() -> None:
    planes, globals_ = inputs(square(STACK))
    for group in (
        Plane.CONTROLLER,
        Plane.RINGS,
        Plane.SECOND,
        Plane.BELOW_CAP,
        Plane.MARKER,
        Plane.COLLAPSED,
    ):
        assert not planes[:, group + 2 : group + 4].any()
    assert not globals_[Global.SEAT + 2 * SEAT_GLOBALS :].any()


def test_rotating_the_seats_does_not_change_the_input() -> None:
    one = square(
        f"(12)a1A4/8/{EMPTY_ROWS}", turn="1m", hands="2,3", context="last=2", rounds="1/1+/1/2"
    )
    other = square(
        f"(21)b1B4/8/{EMPTY_ROWS}", turn="2m", hands="3,2", context="last=1", rounds="2/2+/1/1"
    )
    for a, b in zip(inputs(one), inputs(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_the_cells_of_an_empty_board_have_different_inputs(config: Config) -> None:
    planes, _ = inputs(Position.start(config))
    on_board = planes[planes[:, Plane.ON_BOARD] == 1]
    assert len(on_board) == geometry(config).n_cells
    assert len({tuple(row) for row in on_board.tolist()}) == len(on_board)


@pytest.mark.parametrize("key", ["square8_2p", "hex8_2p"])
def test_each_position_of_a_batch_is_encoded_under_its_symmetry(key: str) -> None:
    positions = random_positions(key, count=24)
    config, geo = positions[0].config, positions[0].geometry
    grids = grid_tables(config)
    which = (np.arange(len(positions)) % len(grids)).astype(np.int16)
    planes = np.empty((len(positions), geo.width**2, PLANES), np.float32)
    globals_ = np.empty((len(positions), GLOBALS), np.float32)
    encode_batch(geo, np.array([p.state for p in positions]), grids, which, planes, globals_)
    moving = [c for c in range(PLANES) if c not in (Plane.COLUMN, Plane.ROW)]
    for i, position in enumerate(positions):
        table = cell_table(config, symmetries(config)[which[i]])
        alone, alone_globals = inputs(position)
        np.testing.assert_array_equal(globals_[i], alone_globals)
        for c in geo.cell_of:
            np.testing.assert_array_equal(
                planes[i, geo.grid_of[table[c]]][moving], alone[geo.grid_of[c]][moving]
            )
        # Columns and rows are those of the grid, which does not move
        np.testing.assert_array_equal(planes[i][:, Plane.COLUMN], alone[:, Plane.COLUMN])
