"""Draws the examples of `docs/rules_with_pictures.md` from positions that the rules reach.

    python docs/scripts/pictures.py        writes docs/pictures/*.svg

`tests/unit/test_pictures.py` draws them again and compares."""

from pathlib import Path
from typing import NamedTuple

from ringrift.insight.board.board_svg import svg
from ringrift.insight.board.drawing import view
from ringrift.rules import Position

FOLDER = Path(__file__).parents[1] / "pictures"


class Example(NamedTuple):
    """A position as text, and the moves that the picture shows."""

    position: str
    moves: str = ""


START = "square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 - 0//0/0 0"
MOVE = "square8/2 8/8/(11)1b1a3/8/8/8/8/7(2) 1m 16,17 0,0 last=2 0//0/0 8"
LEAP = "square8/2 8/8/1(11)1(22)4/8/8/8/8/8 1m 16,16 0,0 last=2 0//0/0 8"
LINES = "square8/2 8/8/1aaaaa2/8/8/8/6(1)1/7(2) 1l 17,17 0,0 acted,last=1 0//0/0 40"
REGION = "square8/2 1(1)b5/1b1a4/b7/8/8/5(21)2/6(1)1/8 2t 15,16 0,0 acted,last=2 0//0/0 40"
RECOVERY = "square8/2 aaa5/3a4/8/8/8/8/8/7(21) 1m 0,0 0,0 last=2 0//0/0 40"
BLOCKED = "square8/2 (12)B6/BB6/8/8/8/8/8/7(2) 1p 0,0 0,0 last=2 0//0/0 40"

EXAMPLES = {
    "placement": Example(START, "@c3*2"),
    "first_move": Example(START, "@c3*2 c3-f6"),
    "move_before": Example(MOVE),
    "move_after": Example(MOVE, "a3-f3"),
    "move_onto_marker": Example(MOVE, "a3-c3"),
    "leap_before": Example(LEAP),
    "leap_once": Example(LEAP, "b3xd3-e3"),
    "leap_chain": Example(LEAP, "b3xd3-e3 >e3xd3-b3"),
    "line_before": Example(LINES),
    "line_part": Example(LINES, "L(b3..f3)=c3..f3"),
    "line_all": Example(LINES, "L(b3..f3)=all Eg7.l"),
    "region_before": Example(REGION),
    "region_claimed": Example(REGION, "Ta1/2"),
    "region_paid": Example(REGION, "Ta1/2 Ef6.t"),
    "recovery_before": Example(RECOVERY),
    "recovery_after": Example(RECOVERY, "Rd2-d1=A!h8"),
    "blocked": Example(BLOCKED),
    "hexes": Example(
        "hex8/2 5/6/3b3/8/2(112)1a1(2)2/8/7/2A3/5 1m 14,16 1,0 last=2 0//0/0 30", "c5-f5"
    ),
}


def drawn(example: Example) -> str:
    """The picture of an example, as an SVG document."""
    position = Position.parse(example.position)
    for move in example.moves.split():
        position.play(move)
    return svg(view(position, last_turn=example.moves.split()))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        (FOLDER / f"{name}.svg").write_text(drawn(example))
