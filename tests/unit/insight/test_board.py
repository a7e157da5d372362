import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ringrift.insight.board import board_svg
from ringrift.insight.board.board_svg import Mark, figure, style, svg
from ringrift.insight.board.drawing import text, trace, view
from ringrift.insight.board.recorded_game import RecordedGame
from ringrift.rules import CONFIGS, Config, Position

SQUARE = "square8/2 a1a1A(11)2/8/8/3(1221)4/8/8/8/7(2) 1l 0,0 0,0 acted,last=1 0//0/0 2"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_text_shows_stacks_markers_and_collapsed_cells() -> None:
    lines = text(view(Position.parse(SQUARE))).plain.splitlines()
    assert lines[0] == "square8_2p, ply 2: seat 1 to act, line processing"
    assert lines[3].split() == ["1", "o1", "·", "o1", "·", "#1", "1:2", "·", "·", "1"]
    assert lines[6].split() == ["4", "·", "·", "·", "1:4/1", "·", "·", "·", "·", "4"]
    assert lines[10].split()[-2:] == ["2:1", "8"]
    assert "buried rings, top first: d4 (1221)" in lines


def test_every_cell_of_every_board_is_where_its_coordinates_say() -> None:
    for config in CONFIGS:
        board = view(Position.start(config))
        assert {(cell.x, cell.y) for cell in board.cells} == set(config.shape.cells)
        drawn = [line for line in text(board).plain.splitlines() if "·" in line]
        assert len(drawn) == config.shape.width
        assert sum(line.count("·") for line in drawn) == len(config.shape.cells)


def test_hex_columns_run_down_to_the_right() -> None:
    lines = text(view(Position.start(Config.parse("hex8_2p")))).plain.splitlines()
    rows = [line for line in lines if "·" in line]
    assert [line.index("·") for line in rows[:5]] == sorted(
        (line.index("·") for line in rows[:5]), reverse=True
    )
    assert [line.split()[-1] for line in rows] == [str(row) for row in range(1, 10)]
    assert rows[0].split()[0] == "d"  # is left of and above d2, the first cell of its column


@pytest.mark.parametrize(
    ("token", "path", "cells"),
    [
        ("@x5", (), ("x5",)),
        ("@d4*2", (), ("d4",)),
        ("d4-d7", ("d4", "d7"), ("d4", "d7")),
        ("x12-x14", ("x12", "x14"), ("x12", "x14")),
        (">d8xf8-h8", ("d8", "f8", "h8"), ("d8", "f8", "h8")),
        ("Rc3-d4=P(b4..e4)", ("c3", "d4"), ("c3", "d4", "b4", "e4")),
        ("L(a1..e1)=b1..e1", (), ("a1", "e1", "b1", "e1")),
        ("Ta1/2", (), ("a1",)),
        ("-l", (), ()),
        ("swap", (), ()),
    ],
)
def test_a_move_is_traced_to_its_cells(
    token: str, path: tuple[str, ...], cells: tuple[str, ...]
) -> None:
    assert (trace(token).path, trace(token).cells) == (path, cells)


SHOWN = r"\u0000\u001b[31m\u202e'" + '"></text><script>&' + r"\ud800\ufffe"
HOSTILE = "\x00\x1b[31m\u202e'\"></text><script>&\ud800\ufffe"


def test_hostile_names_stay_text() -> None:
    """XML forbids control characters, lone surrogates and U+FFFE, even as references."""
    board = view(Position.parse(SQUARE), names=[HOSTILE, "x"], title=HOSTILE)
    document = svg(board)
    drawn = ElementTree.fromstring(document.encode())
    assert {element.tag for element in drawn.iter()}.isdisjoint({f"{SVG}script"})
    words = " ".join(drawn.itertext())
    assert SHOWN in words
    assert r"seat 1 · \u0000\u001b[31m" in words
    assert document.replace("\n", "").isprintable()


def test_hostile_attributes_stay_attributes() -> None:
    tag = ElementTree.fromstring(board_svg._tag("circle", "x", aria_label=HOSTILE))
    assert set(tag.attrib) == {"class", "aria-label"}
    assert tag.get("aria-label") == SHOWN


def test_the_picture_has_every_ring_marker_and_collapsed_cell() -> None:
    board = view(Position.parse(SQUARE), names=["a<b", "beta"], last_turn=["f1-c1"], title="x & y")
    root = ElementTree.fromstring(svg(board))
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert "seat 1 · a<b" in words
    assert "x & y" in words
    styles = [element.attrib.get("class", "") for element in root.iter()]
    assert sum(style.startswith("side") for style in styles) == 2 + 4 + 1
    assert [style for style in styles if style.startswith("own")] == ["own1"]
    assert styles.count("move") == 1


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_everything_is_inside_the_picture(config: Config) -> None:
    root = ElementTree.fromstring(svg(view(Position.start(config))))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    group = root.find(f"{SVG}g")
    assert group is not None
    head, scale = map(
        float, re.findall(r"0 (\d+)\) scale\(([\d.]+)\)", group.attrib["transform"])[0]
    )
    cells = list(group.iter(f"{SVG}polygon"))
    assert len(cells) == len(config.shape.cells)
    for cell in cells:
        for point in cell.attrib["points"].split(" "):
            x, y = map(float, point.split(","))
            assert 0 < x * scale < width
            assert head < head + y * scale < height


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_a_figure_has_a_button_for_every_cell_inside_its_frame(config: Config) -> None:
    root = ElementTree.fromstring(figure(view(Position.start(config)), clickable=True))
    left, top, width, height = map(float, root.attrib["viewBox"].split(" "))
    names = {button.attrib["data-cell"] for button in root.iter() if "data-cell" in button.attrib}
    assert names == {cell.name for cell in view(Position.start(config)).cells}
    for shape in root.iter("polygon"):
        for point in shape.attrib["points"].split(" "):
            x, y = map(float, point.split(","))
            assert left < x < left + width
            assert top < y < top + height


def test_cells_are_described_for_those_who_hear_them() -> None:
    root = ElementTree.fromstring(figure(view(Position.parse(SQUARE)), clickable=True))
    labels = {one.attrib.get("data-cell"): one.attrib.get("aria-label") for one in root.iter()}
    assert labels["a1"] == "a1: marker of seat 1"
    assert labels["d4"] == "d4: stack of seat 1, rings from the top 1 2 2 1"
    assert labels["e1"] == "e1: territory of seat 1"
    assert labels["a8"] == "a8"


def test_marks_of_placements_on_one_cell_are_added() -> None:
    marks = [Mark("@a2", 0.25), Mark("@a2*2", 0.5, played=True), Mark("f1-f3", 0.25), Mark("-l", 1)]
    root = ElementTree.fromstring(figure(view(Position.parse(SQUARE)), marks))
    texts = [one.text for one in root.iter("text") if one.attrib["class"] == "percent"]
    assert texts == ["75", "25"]
    styles = [one.attrib.get("class") for one in root.iter()]
    assert styles.count("share played") == 1
    assert styles.count("share") == 1


def test_every_class_of_a_figure_has_a_style_and_none_is_inside() -> None:
    drawn = figure(view(Position.parse(SQUARE), last_turn=["f1-c1"]), [Mark("f1-f3", 1.0)])
    assert "style" not in drawn
    classes = {name for one in re.findall("class='([^']*)'", drawn) for name in one.split()}
    assert all(f".{name} " in style() for name in classes)


def test_the_caption_reports_the_winner() -> None:
    position = Position.start(Config.parse("square8_2p"))
    position.play("resign")
    assert re.search(r"ply 1: seat 2 wins by resign", view(position).caption)


def test_the_picture_in_the_docs_is_up_to_date() -> None:
    docs = Path(__file__).parents[3] / "docs"
    game = RecordedGame.read(docs / "game.txt")
    assert game is not None
    assert svg(game.at(88)) == (docs / "board.svg").read_text(), (
        "ringrift game show docs/game.txt --ply 88 --svg docs/board.svg"
    )
