"""`ringrift play`: a game against a participant, at the terminal."""

import secrets
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ringrift.cli.analyse import plain_errors, readable
from ringrift.cli.common import HERE, Config, Source, Words, console, opened
from ringrift.errors import CommandError, RingRiftError

if TYPE_CHECKING:
    from ringrift.analysis.participants import Library
    from ringrift.analysis.sessions import Player, Session
    from ringrift.rules import Config as Board

CONFIG, LEVEL = "hex8_2p", "D3"
HINTS = "gumbel:128"


async def play(
    config: Config | None = None,
    /,
    *,
    against: str | None = None,
    seats: Annotated[Words, Parameter(metavar="you,D4,...")] = (),
    pie: bool = False,
    seed: int | None = None,
    save: Path | None = None,
    keep: Annotated[str | None, Parameter(metavar="NAME")] = None,
    source: Source = HERE,
) -> None:
    """Play a game at the terminal.

    A player is `you`, a tier D1 to D10, a harness such as minimax:2048, `current`, or the digest or
    file of a network with a budget, such as current:256. Type help for the commands of the game.

    Args:
        config: Board and number of seats; asked for if it is not given.
        against: The player of all other seats.
        seats: The players of all seats, in their order.
        pie: Play with the pie rule (two seats).
        seed: Of the choices of the other players [default: a new one].
        save: Write the game to this file.
        keep: Store the finished game in the log, with this as your name. Games of people have
            ratings of their own and are not trained on, unless a setting admits them.
    """
    from ringrift.analysis.at_terminal import play as play_session
    from ringrift.analysis.participants import CURRENT, Library
    from ringrift.analysis.searching import searcher
    from ringrift.analysis.sessions import Session
    from ringrift.rules import Config as Board

    if save is not None and not save.parent.is_dir():
        raise CommandError(f"there is no folder {save.parent} for the game")
    async with readable(source) as log, plain_errors():
        board = Board.parse(config or _asked("config", CONFIG))
        level = against or ("" if seats else _asked("level (D1 to D10, or current)", LEVEL))
        library = Library(log, files=True)
        words = seats or ("you", *(level,) * (board.seats - 1))
        if keep is not None and log is None:
            raise CommandError("there is no log to keep the game in: name one, or use --save FILE")
        players = [await _player(library, board, word, keep or "you") for word in words]
        hints = f"{CURRENT}:128" if await library.current(board) else HINTS
        adviser = await library.participant(board, hints)
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    session = Session(board, players, pie=pie, seed=seed)
    out, began = console(), time.monotonic()
    try:
        async with searcher() as searching:
            await play_session(session, searching, out, _typed, adviser)
    finally:
        if save is not None:
            _write(save, str(session.record()))
            out.print(f"{save} holds the game: `ringrift analyse {save}` reviews it")
    if keep is not None:
        out.print(await _kept(session, time.monotonic() - began, source))


async def _kept(session: "Session", seconds: float, source: Source) -> str:
    """Store a finished game in the log, and say where. Raises CommandError."""
    from ringrift.analysis.sessions import keep

    if not session.over:
        return "the game is not kept, because it is not over"
    try:
        async with opened(source) as log:
            position = await keep(log, session, f"human-{secrets.token_hex(8)}", "play", seconds)
    except (RingRiftError, TimeoutError) as error:
        why = str(error) or "the log may only be read here"
        raise CommandError(f"the game is not kept: {why}\n{session.record()}") from error
    return f"{position} holds the game: `ringrift analyse {position}` reviews it"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii", errors="replace")


async def _player(library: "Library", board: "Board", word: str, name: str) -> "Player":
    from ringrift.analysis.sessions import Person

    return Person(name) if word == "you" else await library.opponent(board, word)


def _asked(what: str, usual: str) -> str:
    """The answer to a question, `usual` for an empty one or without a terminal."""
    return (sys.stdin.isatty() and _typed(f"{what} [{usual}]: ")) or usual


def _typed(prompt: str) -> str | None:
    """The next line of standard input, None at its end."""
    # Ctrl-C would otherwise only cancel the task that waits here for a line
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input is not UTF-8: byte {error.start}") from error
    finally:
        signal.signal(signal.SIGINT, before)
