"""The sparse features are those of the documented table, plane by plane, from every seat."""

from __future__ import annotations

import numpy as np
import pytest

from ringrift.nets.nnue import features as nf
from ringrift.nets.nnue.features import describe
from ringrift.rules import Config, Position
from ringrift.rules.notation import cell_ids

# Stacks c1 (rings 1, 1, 2 from the top) and f1 (2); markers a3 b3 c3 of seat 1, e5 f5 of seat 2;
# collapsed cells a8 of seat 1, h8 of seat 2
SQUARE = "square8/2 2(112)2(2)2/8/aaa5/8/4bb2/8/8/A6B 1m 6,8 5,4 acted,last=1 0//0/0 9"


def features_of(position: Position, seat: int) -> set[str]:
    """Return `<cell> <plane>.<level>` of every active feature."""
    geo = position.geometry
    cells = np.zeros(geo.n_cells, np.int32)
    out = np.zeros(nf.features_max(geo), np.int32)
    describe(geo, position.state, cells)
    places, axes = nf.plain_places(geo)
    used = nf.active_features(geo, cells, seat, places, axes, out)
    assert (np.diff(out[:used]) > 0).all()
    names = {int(geo.scan_of[core]): name for name, core in cell_ids(position.config).items()}
    return {
        f"{names[index // nf.LEVELS]} {level_name(index % nf.LEVELS)}"
        for index in out[:used].tolist()
    }


def level_name(level: int) -> str:
    plane = max(p for p in range(nf.PLANES) if nf.FIRST_LEVEL[p] <= level)
    name = nf.PLANE_LEVELS[plane][0] + (str(plane % 4) if plane < 24 else "")
    return f"{name}.{level - nf.FIRST_LEVEL[plane]}"


def on(features: set[str], cell: str, plane: str) -> set[str]:
    return {feature for feature in features if feature.startswith(f"{cell} {plane}")}


def test_there_are_26_planes_and_32_globals() -> None:
    assert (nf.PLANES, nf.GLOBALS, nf.LEVELS) == (26, 32, 66)
    assert nf.ENCODER == "nnue-1:7ce26c2304247757"  # changes only with FEATURE_SET


@pytest.mark.parametrize(("seat", "own", "other"), [(1, 0, 1), (2, 1, 0)])
def test_rings_are_set_by_owner_at_any_depth(seat: int, own: int, other: int) -> None:
    found = features_of(Position.parse(SQUARE), seat)
    assert on(found, "c1", "rings") == {f"c1 rings{own}.0", f"c1 rings{other}.0"}
    assert on(found, "f1", "rings") == {f"f1 rings{other}.0"}


@pytest.mark.parametrize(("seat", "own", "other"), [(1, 0, 1), (2, 1, 0)])
def test_heights_are_thermometer_codes_by_controller(seat: int, own: int, other: int) -> None:
    found = features_of(Position.parse(SQUARE), seat)
    assert on(found, "c1", "height") == {f"c1 height{own}.{level}" for level in (0, 1, 2)}
    assert on(found, "f1", "height") == {f"f1 height{other}.0"}
    tall = features_of(Position.parse(SQUARE.replace("(112)", "(11111112)")), seat)
    assert len(on(tall, "c1", "height")) == 6  # 8 reaches 7 and not 10


@pytest.mark.parametrize(("seat", "own", "other"), [(1, 0, 1), (2, 1, 0)])
def test_territory_is_set_by_owner(seat: int, own: int, other: int) -> None:
    found = features_of(Position.parse(SQUARE), seat)
    assert on(found, "a8", "") == {f"a8 territory{own}.0"}
    assert on(found, "h8", "") == {f"h8 territory{other}.0"}


@pytest.mark.parametrize(("seat", "own", "other"), [(1, 0, 1), (2, 1, 0)])
def test_markers_are_set_by_owner(seat: int, own: int, other: int) -> None:
    found = features_of(Position.parse(SQUARE), seat)
    assert on(found, "b3", "marker") == {f"b3 marker{own}.0"}
    assert on(found, "e5", "marker") == {f"e5 marker{other}.0"}


def test_caps_are_thermometer_codes_from_two_rings_on() -> None:
    found = features_of(Position.parse(SQUARE), 1)
    assert on(found, "c1", "cap") == {"c1 cap0.0"}
    assert on(found, "f1", "cap") == set()
    four = features_of(Position.parse(SQUARE.replace("(112)", "(11112)")), 2)
    assert on(four, "c1", "cap") == {"c1 cap1.0", "c1 cap1.1", "c1 cap1.2"}


# Axes are east, south-east, south and north-east; three markers in a row threaten a line of four
LINES = {
    0: ("8/8/aaa5/8/8/8/8/7(2)", "a3 b3 c3"),
    1: ("8/8/a7/1a6/2a5/8/8/7(2)", "a3 b4 c5"),
    2: ("8/8/a7/a7/a7/8/8/7(2)", "a3 a4 a5"),
    3: ("8/8/2a5/1a6/a7/8/8/7(2)", "c3 b4 a5"),
}


@pytest.mark.parametrize("axis", LINES)
def test_line_threats_are_set_by_axis_and_owner(axis: int) -> None:
    board, cells = LINES[axis]
    position = Position.parse(f"square8/2 {board} 1m 6,8 9,7 - 0//0/0 9")
    own, other = features_of(position, 1), features_of(position, 2)
    for cell in cells.split():
        assert on(own, cell, "line") == {f"{cell} line{axis}.0"}
        assert on(other, cell, "line") == {f"{cell} line{axis}.1"}
    assert not any(
        " line" in feature
        for feature in features_of(Position.parse(SQUARE.replace("aaa5", "aa6")), 1)
    )


def test_a_threat_is_an_opportunity_to_one_seat_and_a_vulnerability_to_the_other() -> None:
    # The stack on c1, height 3 and cap 2, can leap over f1 to g1 or h1; the cap of f1 is too low
    position = Position.parse(SQUARE)
    for seat, name in ((1, "opportunity.0"), (2, "vulnerable.0")):
        found = {
            feature
            for feature in features_of(position, seat)
            if "vulnerable" in feature or "opportunity" in feature
        }
        assert found == {f"f1 {name}"}
    # A stack of height 7 finds no cell to land on
    too_near = Position.parse(SQUARE.replace("2(112)2(2)2", "5(1111112)(2)1"))
    assert not any("opportunity" in feature for feature in features_of(too_near, 1))


def test_with_three_seats_features_are_relative_to_the_perspective() -> None:
    text = "square8/3 (11)1(2)5/8/8/8/8/8/8/7(3) 1m 6,8,9 9,3,4 - 0//0/0 9"
    names = {seat: features_of(Position.parse(text), seat) for seat in (1, 2, 3)}
    assert on(names[1], "h8", "height") == {"h8 height2.0"}
    assert on(names[2], "h8", "height") == {"h8 height1.0"}
    assert on(names[3], "h8", "height") == {"h8 height0.0"}
    assert "c1 opportunity.0" in names[1]
    assert "c1 vulnerable.0" in names[2]
    assert on(names[3], "c1", "vulnerable") | on(names[3], "c1", "opportunity") == set()


def globals_of(position: Position, seat: int) -> dict[str, float]:
    out = np.zeros(nf.GLOBALS, np.int16)
    nf.global_features(position.geometry, position.state, seat, out)
    return {
        name: value / nf.GLOBAL_ONE
        for name, value in zip(nf.GLOBAL_NAMES, out.tolist(), strict=True)
        if value
    }


def test_globals_are_shares_relative_to_the_perspective() -> None:
    first, second = globals_of(Position.parse(SQUARE), 1), globals_of(Position.parse(SQUARE), 2)
    near = pytest.approx
    assert first == {
        "movement": 1,
        "to_move_0": 1,
        "hand_0": near(6 / 18, abs=0.004),
        "hand_1": near(8 / 18, abs=0.004),
        "removed_0": near(5 / 18, abs=0.004),
        "removed_1": near(4 / 18, abs=0.004),
        "territory_0": near(1 / 33, abs=0.004),
        "territory_1": near(1 / 33, abs=0.004),
        "on_board_0": near(2 / 18, abs=0.004),
        "on_board_1": near(2 / 18, abs=0.004),
    }
    assert second["to_move_1"] == 1
    assert "to_move_0" not in second
    assert second["hand_0"] == first["hand_1"]
    owing = globals_of(Position.parse(SQUARE.replace("1m", "1l").replace("acted", "debt,acted")), 1)
    assert owing["owes"] == owing["line_processing"] == 1


def test_rounds_as_the_only_able_seat_are_a_global() -> None:
    alone = globals_of(Position.parse(SQUARE.replace("0//0/0", "1/1+2-/2/1")), 2)
    assert alone["alone_1"] == pytest.approx(2 / 3, abs=0.004)


@pytest.mark.parametrize("key", ["hex8_3p", "square8_4p", "hexagonal_2p"])
def test_absent_seats_and_axes_have_no_features(key: str) -> None:
    rng = np.random.default_rng(3)
    position = Position.start(Config.parse(key))
    for _ in range(150):
        if position.over:
            break
        position.play_code(int(rng.choice(position.legal_codes())))
    for seat in range(1, position.config.seats + 1):
        found = features_of(position, seat)
        assert found
        planes = {feature.split()[1].split(".")[0] for feature in found}
        names = ("rings", "height", "territory", "marker", "cap")
        assert not planes & {
            f"{name}{r}" for name in names for r in range(position.config.seats, 4)
        }
        assert not (position.config.shape.hex and "line3" in planes)
