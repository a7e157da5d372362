"""The worked positions of the rules document, and the cases in which engine and document differ."""

import re
from collections.abc import Mapping

import pytest

from ringrift.rules import Config, IllegalMove, Position


def make(
    key: str,
    cells: Mapping[str, str],
    turn: str,
    context: str = "-",
    hands: str = "",
    plies: int = 10,
) -> Position:
    """Return a position with these cells, in the letters of section 21.4."""
    config = Config.parse(key)
    rows: dict[int, str] = {}
    for x, y in config.shape.cells:
        rows[y] = rows.get(y, "") + cells.get(f"{chr(97 + x)}{y + 1}", ".")
    board = "/".join(re.sub(r"\.+", lambda run: str(len(run[0])), rows[y]) for y in sorted(rows))
    zeros = ",".join("0" * config.seats)
    fields = f"{board} {turn} {hands or zeros} {zeros} {context} 0//0/0 {plies}"
    return Position.parse(f"{config.board}/{config.seats} {fields}")


def cell(position: Position, name: str) -> str:
    """Return the content of a square8 or hex8 cell as in the position text."""
    x, y = ord(name[0]) - 97, int(name[1:]) - 1
    shape = position.config.shape
    row = position.text().split(" ")[1].split("/")[y]
    column = sorted(cx for cx, cy in shape.cells if cy == y).index(x)
    contents: list[str] = []
    i = 0
    while i < len(row):
        if row[i].isdigit():
            contents += ["1"] * int(row[i])
            i += 1
        elif row[i] == "(":
            end = row.index(")", i)
            contents.append(row[i : end + 1])
            i = end + 1
        else:
            contents.append(row[i])
            i += 1
    return contents[column]


def test_a_plain_move_flips_foreign_markers_and_collapses_own() -> None:
    position = make(
        "square8_2p", {"a1": "(11)", "c1": "b", "e1": "a", "h8": "(2)"}, "1m", "last=2", plies=1
    )
    east = {move for move in position.legal() if move.startswith("a1-") and move.endswith("1")}
    assert east == {"a1-c1", "a1-d1", "a1-e1", "a1-f1", "a1-g1", "a1-h1"}
    onto_marker = position.copy()
    position.play("a1-f1")
    assert (
        position.text() == "square8/2 a1a1A(11)2/8/8/8/8/8/8/7(2) 1l 0,0 0,0 acted,last=1 0//0/0 2"
    )
    assert position.territory() == (1, 0)
    onto_marker.play("a1-c1")
    assert (cell(onto_marker, "a1"), cell(onto_marker, "c1")) == ("a", "(1)")
    assert onto_marker.removed() == (1, 0)


def test_a_chain_may_land_on_the_marker_of_its_departure() -> None:
    position = make("square8_2p", {"a1": "(11)", "c1": "(22)"}, "1m")
    leaps = {move for move in position.legal() if "x" in move}
    assert leaps == {f"a1xc1-{landing}1" for landing in "defgh"}
    position.play("a1xc1-d1")
    assert [cell(position, name) for name in ("a1", "c1", "d1")] == ["a", "(2)", "(112)"]
    assert position.legal() == [">d1xc1-a1"]
    position.play(">d1xc1-a1")
    assert [cell(position, name) for name in ("a1", "c1", "d1")] == ["(122)", "1", "a"]
    assert position.removed() == (1, 0)


def test_a_ring_lost_by_landing_on_a_marker_leaves_the_captured_ring() -> None:
    position = make("square8_2p", {"a1": "(1)", "b1": "(2)", "c1": "b"}, "1m")
    position.play("a1xb1-c1")
    assert cell(position, "c1") == "(2)"
    assert position.removed() == (1, 0)
    assert position.legal() == ["-l"]


TWO_LINES = dict.fromkeys(("a1", "b1", "c1", "d1", "a3", "b3", "c3", "d3"), "a") | {
    "h8": "(1)",
    "g7": "(1)",
    "e5": "(2)",
}


def test_one_ring_pays_for_two_lines_in_a_turn() -> None:
    position = make("square8_2p", TWO_LINES, "1l", "acted,last=1")
    assert set(position.legal()) == {"L(a1..d1)", "L(a3..d3)"}
    position.play("L(a1..d1)")
    assert set(position.legal()) == {"L(a3..d3)", "Eh8.l", "Eg7.l"}
    position.play("L(a3..d3)")
    assert set(position.legal()) == {"Eh8.l", "Eg7.l"}
    position.play("Eh8.l")
    assert position.legal() == ["-l"]
    assert (position.removed(), position.territory()) == ((1, 0), (8, 0))


def test_collapsing_part_of_a_long_line_cancels_the_debt() -> None:
    cells = dict(TWO_LINES) | {"e3": "a"}
    position = make("square8_2p", cells, "1l", "acted,last=1")
    assert set(position.legal()) == {
        "L(a1..d1)",
        "L(a3..e3)=all",
        "L(a3..e3)=a3..d3",
        "L(a3..e3)=b3..e3",
    }
    position.play("L(a1..d1)")
    position.play("L(a3..e3)=b3..e3")
    assert position.removed() == (0, 0)
    assert position.seat == 1
    assert position.phase == 5


def test_runs_of_three_are_no_lines_on_hex8_with_three_seats() -> None:
    run = dict.fromkeys(("d5", "e5", "f5"), "a")
    position = make("hex8_3p", run | {"a5": "(1)", "i5": "(2)"}, "1l", "acted,last=1")
    assert position.legal() == ["-l"]
    position = make("hex8_3p", run | {"g5": "a", "a5": "(1)", "i5": "(2)"}, "1l", "acted,last=1")
    assert set(position.legal()) == {"L(d5..g5)=all", "L(d5..g5)=d5..f5", "L(d5..g5)=e5..g5"}


def test_a_claim_takes_the_connected_border_of_any_colour() -> None:
    cells = {"b1": "a", "a2": "a", "c2": "b", "f1": "a", "f6": "(21)", "g7": "(1)"}
    position = make("square8_2p", cells, "2t", "acted,last=2")
    assert "Ta1/1" in position.legal()
    position.play("Ta1/1")
    assert [cell(position, name) for name in ("a1", "b1", "a2", "c2", "f1")] == [
        "B",
        "B",
        "B",
        "B",
        "a",
    ]
    assert position.territory() == (0, 4)
    assert position.legal() == ["Ef6.t"]
    position.play("Ef6.t")
    assert cell(position, "f6") == "(1)"
    assert position.removed() == (0, 1)


def hex_cell(q: int, r: int) -> str:
    """Return the name of an axial hex8 cell."""
    return f"{chr(97 + q + 4)}{r + 5}"


@pytest.mark.parametrize(("key", "radius", "taken"), [("hex8_2p", 4, 6), ("hexagonal_2p", 12, 4)])
def test_border_growth_depends_on_the_board(key: str, radius: int, taken: int) -> None:
    marks = {(-3, 0): "b", (-4, 1): "b", (-3, -1): "b", (-2, 1): "a", (-1, 0): "b"}
    shift = radius - 4  # the same corner of the larger hexagon
    cells = {
        f"{chr(97 + q - shift + radius)}{r + radius + 1}": mark for (q, r), mark in marks.items()
    }
    cells |= {f"{chr(97 + radius)}{radius + 1}": "(1)", f"{chr(98 + radius)}{radius + 1}": "(2)"}
    position = make(key, cells, "1t", "acted,last=1")
    corner = f"a{radius + 1}"
    assert f"T{corner}/2" in position.legal()
    position.play(f"T{corner}/2")
    assert position.territory() == (taken, 0)


def test_a_strike_may_extract_from_the_stack_it_hits() -> None:
    position = make("square8_2p", {"a1": "a", "b1": "(21)", "h8": "(2)"}, "1m", "last=2")
    assert "Ra1-b1=S!b1" in position.legal()
    position.play("Ra1-b1=S!b1")
    assert (cell(position, "a1"), cell(position, "b1")) == ("1", "1")
    assert position.removed() == (2, 0)


def test_a_line_slide_excludes_all_other_slides() -> None:
    cells = {"a1": "a", "b1": "a", "c1": "a", "d2": "a", "h8": "(21)"}
    legal = make("square8_2p", cells, "1m", "last=2").legal()
    assert set(legal) == {"~r", "Rd2-d1=A!h8"}


def test_a_line_slide_that_cannot_be_played_excludes_fallbacks() -> None:
    cells = {"d5": "a", "e5": "a", "f6": "a", "a5": "(21)"}
    legal = make("hex8_3p", cells, "1m", "last=3").legal()
    assert legal == ["~r"]  # f6 to f5 would make a run of three, listed and rejected (E12)


def test_a_long_recovery_line_offers_the_windows_that_contain_the_destination() -> None:
    cells = {"a1": "a", "b1": "a", "d1": "a", "e1": "a", "c2": "a", "h8": "(21)"}
    position = make("square8_2p", cells, "1m", "last=2")
    assert set(position.legal()) == {"~r", "Rc2-c1=A!h8", "Rc2-c1=P(a1..d1)", "Rc2-c1=P(b1..e1)"}
    position.play("Rc2-c1=P(b1..e1)")
    assert [cell(position, f"{letter}1") for letter in "abcde"] == ["a", "A", "A", "A", "A"]
    assert position.removed() == (0, 0)


def test_a_blocked_seat_may_claim_the_rest_of_the_board_or_pay() -> None:
    walls = dict.fromkeys(("b1", "a2", "b2"), "B")
    position = make("square8_2p", walls | {"a1": "(12)", "h8": "(2)"}, "1p", "last=2")
    assert position.legal() == ["-p"]
    for move in ("-p", "-m"):
        position.play(move)
    assert position.legal() == ["-l"]
    position.play("-l")
    assert set(position.legal()) == {"~t", "Ta3/0"}  # the rest of the board lacks its colour
    position.play("~t")
    assert position.legal() == ["Fa1"]
    position.play("Fa1")
    assert (cell(position, "a1"), position.removed()) == ("(2)", (1, 0))
    assert position.winner == 2  # no other seat has a ring


def test_a_blocked_seat_without_regions_is_forced_after_the_line_phase() -> None:
    position = make("square8_2p", {"a1": "(11)", "d4": "(1)"}, "1l", "last=1")
    assert position.legal() == ["-l"]
    position.play("-l")
    assert set(position.legal()) == {"Fa1", "Fd4"}


def test_a_placement_that_could_not_move_is_illegal() -> None:
    walls = dict.fromkeys(("b1", "a2", "b2"), "B")
    position = make("square8_2p", walls | {"h8": "(2)"}, "1p", "last=2", hands="5,5")
    assert not any(move.startswith("@a1") for move in position.legal())
    assert "@a3*3" in position.legal()


def test_the_second_seat_may_swap_once() -> None:
    position = Position.start(Config.parse("square8_2p"), pie=True)
    assert "swap" not in position.legal()
    for move in ("@d4", "d4-d5", "-l", "-t"):
        position.play(move)
    assert "swap" in position.legal()
    position.play("swap")
    assert (position.seat, position.phase) == (2, 0)
    assert "swap" not in position.legal()


@pytest.mark.parametrize(("key", "winner"), [("hex8_2p", 2), ("hex8_3p", 0)])
def test_resignation_ends_the_game(key: str, winner: int) -> None:
    position = Position.start(Config.parse(key))
    position.play("resign")
    assert (position.over, position.winner, position.reason, position.legal()) == (
        True,
        winner,
        "resign",
        [],
    )
    with pytest.raises(IllegalMove, match="the game is over"):
        position.play("timeout")


def test_illegal_moves_leave_the_position_unchanged() -> None:
    position = Position.start(Config.parse("hex8_2p"))
    before = position.text()
    with pytest.raises(IllegalMove, match="seat 1 is in ring_placement"):
        position.play("a5-b5")
    with pytest.raises(IllegalMove):
        position.play_code(12345)
    assert position.text() == before
