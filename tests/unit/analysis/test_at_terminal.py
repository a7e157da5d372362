"""A game at the terminal, by script."""

import io

import pytest
from rich.console import Console

from ringrift.analysis.at_terminal import play
from ringrift.analysis.participants import Library
from ringrift.analysis.searching import Searcher
from ringrift.analysis.sessions import Person, Session
from ringrift.rules import Config

HEX8 = Config.parse("hex8_2p")


@pytest.fixture
def session() -> Session:
    return Session(HEX8, [Person("Anna"), Person("Ben")])


async def said(session: Session, searching: Searcher, library: Library, *lines: str) -> str:
    """What a game prints when these lines are typed."""
    typed, out = iter(lines), io.StringIO()
    console = Console(file=out, width=100, markup=False)
    adviser = await library.participant(HEX8, "gumbel:16")
    await play(session, searching, console, lambda prompt: next(typed, None), adviser)
    return out.getvalue()


async def test_moves_are_typed_by_number_cell_or_token(session, searching, library) -> None:
    text = await said(session, searching, library, "@e5", "e9", "swap", "1")
    assert "16  e5-e9  move e5 to e9" in text
    assert [ply.token for ply in session.plies] == ["@e5", "e5-e9", "-l", "-t", "@a5"]
    assert "'swap' is not legal" in text
    assert "seat 1 (Anna): 17 in hand" in text


async def test_a_cell_of_several_moves_lists_them(session, searching, library) -> None:
    text = await said(session, searching, library, "e5")
    assert "  31  @e5    place 1 ring on e5\n  92  @e5*2  place 2 rings on e5" in text
    assert not session.plies
    assert "such as @a5: place 1 ring on a5" in text


async def test_mistakes_change_nothing(session, searching, library) -> None:
    text = await said(session, searching, library, "999", "castle", "undo", "")
    assert "there are moves 1 to 183, not 999" in text
    assert "no move of section 21.2 is written like this" in text
    assert "there is no choice of a person to undo" in text
    assert "take your last choice back" in text
    assert not session.plies


async def test_a_hint_undo_and_resigning(session, searching, library) -> None:
    text = await said(session, searching, library, "hint", "@e5", "undo", "list", "resign", "1")
    assert "seat 1 to act, 16 positions, values" in text
    assert " 183  @i5*3" in text or "183  @" in text
    assert "hex8_2p, ply 1: seat 2 wins by resign" in text
    assert [ply.token for ply in session.plies] == ["resign"]


async def test_the_plies_of_a_participant_are_one_line(searching, library) -> None:
    session = Session(HEX8, [await library.participant(HEX8, "random"), Person("Anna")])
    text = await said(session, searching, library, "quit")
    played = " ".join(ply.token for ply in session.plies)
    assert f"seat 1 (random) plays {played}\n" in text
