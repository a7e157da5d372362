"""Legal moves for people: kinds, cells and words of every type of move."""

import pytest
from support.positions import random_game

from ringrift.analysis.choices import KINDS, choice_of, choices
from ringrift.rules import CONFIGS, Position, moves as mv
from ringrift.rules.notation import cell_ids

LONG_LINE = "square8/2 (1)7/8/8/aaaaa3/8/8/8/7(2) 1l 0,0 0,0 acted,last=1 0//0/0 2"


def test_a_long_line_can_be_taken_as_a_whole_or_in_part() -> None:
    found = {choice.token: choice for choice in choices(Position.parse(LONG_LINE))}
    whole, part = found["L(a4..e4)=all"], found["L(a4..e4)=a4..d4"]
    assert (whole.kind, whole.text) == ("line", "take the whole line a4 to e4, which costs a ring")
    assert (whole.cells, whole.takes) == (("a4", "e4"), ("a4", "b4", "c4", "d4", "e4"))
    assert part.text == "take a4 to d4 of the line a4 to e4 at no cost"
    assert (part.cells, part.takes) == (("a4", "e4", "a4", "d4"), ("a4", "b4", "c4", "d4"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_every_legal_move_of_a_game_is_a_choice(config) -> None:
    cells = cell_ids(config)
    for position in random_game(config.key, 3)[::7]:
        found = choices(position)
        assert [choice.token for choice in found] == position.legal()
        for choice in found:
            assert set(choice.cells) | set(choice.takes) <= cells.keys()
            assert "None" not in choice.text
            assert (choice.kind == "place") == (choice.rings > 0)
            assert (choice.kind in ("line", "territory")) <= bool(choice.takes)


def test_every_type_of_move_has_words() -> None:
    assert KINDS.keys() == set(range(mv.PLACE, mv.TIMEOUT + 1))


def test_a_placement_names_its_rings() -> None:
    position = Position.start(CONFIGS[0])
    choice = choice_of(position, position.code("@a1"))
    assert (choice.kind, choice.cells, choice.rings) == ("place", ("a1",), 1)
    assert choice.text == "place 1 ring on a1"
