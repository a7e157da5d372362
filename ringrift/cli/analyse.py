"""`ringrift analyse` and `ringrift engine`: what a search knows about positions and games."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ringrift.cli.common import (
    HERE,
    TABLE,
    Form,
    Source,
    Tabular,
    Words,
    console,
    opened,
    progress,
    show_rows,
)
from ringrift.errors import CommandError
from ringrift.log.errors import Unreachable
from ringrift.log.protocol import Log
from ringrift.rules import RulesError
from ringrift.search.harness import HarnessError

if TYPE_CHECKING:
    from ringrift.analysis.participants import Participant
    from ringrift.analysis.searching import Searcher
    from ringrift.rules import Position


async def analyse(
    what: Annotated[str, Parameter(metavar="FILE|ID|POSITION")],
    /,
    *,
    by: str | None = None,
    ply: int | None = None,
    allow: Words = (),
    blunder: float | None = None,
    session: Tabular = TABLE,
) -> None:
    """Show what a search knows about a position, or review a game.

    A position gives its candidate moves; a game gives the value of each seat by ply, and the
    blunders. Values are -1 (last) to 1 (first).

    Args:
        what: A file with a game record, the id of a game in the log, or the text of a position.
        by: The participant that searches, such as current:512, minimax:2048 or D8 [default: the
            current network, else the heuristic, with 128 simulations].
        ply: Analyse only the position after so many plies of the game.
        allow: Consider only these moves of the position.
        blunder: Least loss of a blunder [default: 0.2].
    """
    from ringrift.analysis import games, tables
    from ringrift.analysis.participants import CURRENT, Library
    from ringrift.analysis.searching import searcher
    from ringrift.insight.board.recorded_game import RecordedGame, find_game
    from ringrift.rules import Position

    async with readable(session) as log, plain_errors():
        game: RecordedGame | None = None
        if " " not in what.strip() and (game := RecordedGame.read(what)) is None:
            if log is None:
                raise CommandError(f"{what} is no file, and there is no log to find a game in")
            game = await find_game(log, what)
        position = game.at(ply).position if game else Position.parse(what)
        library, config = Library(log, files=True), position.config
        usual = CURRENT if await library.current(config) else "gumbel"
        participant = await library.participant(config, by or f"{usual}:128")
    async with searcher() as searching, plain_errors():
        if game is None or ply is not None:
            await _show_position(searching, participant, position, allow, session)
            return
        loss = games.BLUNDER_LOSS if blunder is None else blunder
        with progress("searching") as report:
            found = await games.review(
                searching, participant, game.record, blunder_loss=loss, progress=report
            )
    shown = tables.review_table(found), tables.blunders_line(found)
    show_rows(session, found, found.plies, *shown)


async def _show_position(
    searching: "Searcher",
    participant: "Participant",
    position: "Position",
    allow: Sequence[str],
    form: Form,
) -> None:
    """Show the candidates of a position; at a terminal also while they are searched."""
    from rich.console import Group
    from rich.live import Live

    from ringrift.analysis import positions, tables

    out = console()
    live = out.is_terminal and form.form == "table"
    with Live(console=out, transient=True) if live else contextlib.nullcontext() as screen:
        async for found in positions.analyse(
            searching, participant, position, allow=allow, growing=live
        ):
            if screen is not None:
                screen.update(Group(tables.headline(found), tables.candidates_table(found)))
    who = f"searched by {participant.title}"
    shown = who, tables.headline(found), tables.candidates_table(found)
    show_rows(form, found, found.moves, *shown)


async def engine(*, source: Source = HERE) -> None:
    """Answer analysis queries on standard input, one JSON object a line.

    The lines are described in docs/engine.md and schemas/engine. The log is needed only for its
    networks; without one the heuristic and networks in files are used."""
    from ringrift.analysis.engine import Engine
    from ringrift.analysis.participants import Library
    from ringrift.analysis.searching import searcher
    from ringrift.analysis.streams import lines, write

    async with readable(source) as log, searcher() as searching:
        await Engine(Library(log, files=True), searching, write).run(lines())


@contextlib.asynccontextmanager
async def plain_errors() -> AsyncIterator[None]:
    """Show errors of the rules, and parts of a player that do not go together, in one line."""
    try:
        yield
    except (RulesError, HarnessError) as error:
        raise CommandError(str(error)) from error


@contextlib.asynccontextmanager
async def readable(source: Source) -> AsyncIterator[Log | None]:
    """The log of `source`; None if there is none and no server was named."""
    async with contextlib.AsyncExitStack() as leaving:
        try:
            log: Log | None = await leaving.enter_async_context(opened(source))
        except Unreachable:
            if source.server:
                raise
            log = None
        yield log
