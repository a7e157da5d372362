"""A game at the terminal: the board in text, moves by number, cell or token."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, takewhile
from typing import Final

from rich.console import Console
from rich.text import Text

from ringrift.analysis.choices import Choice
from ringrift.analysis.participants import Participant
from ringrift.analysis.positions import analyse
from ringrift.analysis.searching import Searcher
from ringrift.analysis.sessions import Session
from ringrift.analysis.tables import candidates_table, headline
from ringrift.errors import CommandError
from ringrift.insight.board.drawing import text, view
from ringrift.rules import RulesError

LISTED_MAX: Final = 24
"""moves that are listed without being asked for"""
HINTS_SHOWN: Final = 5
HELP: Final = """\
a number      play the move with this number of the list
a token       play a move of the notation, such as @d4 or d4-d7
a cell        play the only move with this cell, or list those with it
list          list all moves
hint          ask a search for the best moves
undo          take your last choice back
resign        resign, which ends the game
quit          leave the game
"""

Ask = Callable[[str], str | None]
"""Shows a prompt and returns the line typed, None at the end of input."""


async def play(
    session: Session, searcher: Searcher, out: Console, ask: Ask, adviser: Participant
) -> None:
    """Play a game until it is over or left; `adviser` gives hints."""
    shown = 0
    while True:
        played = await session.advance(searcher)
        for seat, plies in groupby(played, lambda ply: ply.seat):
            who = f"seat {seat} ({session.player_at(seat).title})"
            out.print(f"{who} plays {' '.join(ply.token for ply in plies)}", soft_wrap=True)
        if session.over:
            out.print(board(session), soft_wrap=True)
            return
        if shown != session.revision:
            shown = session.revision
            out.print(board(session), soft_wrap=True)
            offer(out, session.choices())
        typed = ask(f"seat {session.position.seat}> ")
        word = "quit" if typed is None else typed.strip()
        if word == "quit":
            return
        try:
            await obey(word, session, searcher, out, adviser)
        except (RulesError, CommandError) as error:
            out.print(f"{error}; type help for the commands", soft_wrap=True)


async def obey(
    word: str, session: Session, searcher: Searcher, out: Console, adviser: Participant
) -> None:
    """Carry out one command. Raises RulesError and CommandError, with the game unchanged."""
    match word:
        case "" | "help" | "?":
            out.print(HELP, soft_wrap=True)
        case "list":
            show_choices(out, session.choices(), session.choices())
        case "hint":
            async for found in analyse(searcher, adviser, session.position):
                out.print(headline(found), soft_wrap=True)
                out.print(candidates_table(found, HINTS_SHOWN))
        case "undo":
            session.undo()
        case "resign":
            session.resign()
        case _:
            if (token := chosen(word, session.choices())) is not None:
                session.play(token)
            else:
                with_cell = [choice for choice in session.choices() if word in choice.cells]
                show_choices(out, with_cell, session.choices())


def chosen(word: str, choices: Sequence[Choice]) -> str | None:
    """Return the token that a word means; None if it is a cell of several moves. Raises
    CommandError for a number that is not in the list."""
    if word.isdecimal():
        if not 1 <= int(word) <= len(choices):
            raise CommandError(f"there are moves 1 to {len(choices)}, not {word}")
        return choices[int(word) - 1].token
    with_cell = [choice.token for choice in choices if word in choice.cells]
    if any(word == choice.token for choice in choices) or not with_cell:
        return word
    return with_cell[0] if len(with_cell) == 1 else None


def offer(out: Console, choices: Sequence[Choice]) -> None:
    """List the moves; of many only one of each kind."""
    if len(choices) <= LISTED_MAX:
        show_choices(out, choices, choices)
        return
    kinds = Counter(choice.kind for choice in choices)
    for kind, count in kinds.items():
        example = next(choice for choice in choices if choice.kind == kind)
        what = f"{count} moves such as " if count > 1 else ""
        out.print(f"  {what}{example.token}: {example.text}", soft_wrap=True)
    out.print("type a cell, a move or list")


def show_choices(out: Console, shown: Sequence[Choice], all_choices: Sequence[Choice]) -> None:
    """List moves with their numbers."""
    numbers = {choice.token: number for number, choice in enumerate(all_choices, 1)}
    width = max(len(choice.token) for choice in shown)
    for choice in shown:
        line = f"{numbers[choice.token]:>4}  {choice.token:<{width}}  {choice.text}"
        out.print(line, soft_wrap=True)


def board(session: Session) -> Text:
    """Return the drawing of the position with the moves of the last turn."""
    last = session.plies[-1].seat if session.plies else 0
    turn = [ply.token for ply in takewhile(lambda ply: ply.seat == last, reversed(session.plies))]
    names = [session.player_at(seat).title for seat in range(1, session.config.seats + 1)]
    return text(view(session.position, names=names, last_turn=turn[::-1]))
