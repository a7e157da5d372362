"""Games that people play in the browser: in the memory of this process, a bounded number of them,
each forgotten after a time without use."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Final

from starlette.exceptions import HTTPException

from ringrift.analysis.choices import Choice
from ringrift.analysis.participants import Library, Participant, parse
from ringrift.analysis.positions import MoveInfo, analyse
from ringrift.analysis.searching import Searcher, searcher
from ringrift.analysis.sessions import Player, Session
from ringrift.errors import CommandError, RingRiftError
from ringrift.insight.board.drawing import BoardView, view
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.rules import Config
from ringrift.rules.position import warm_up
from ringrift.search.harness import HarnessError
from ringrift.web.latest import Changing

TABLES_MAX: Final = 64
UNUSED_SECONDS_MAX: Final = 6 * 3600.0
HINT_TIER: Final = "D6"
"""who gives hints where there is no network"""
HINT_PRIORITY: Final = 5
HINTS_SHOWN: Final = 3

Step = tuple[str, ...]


def steps(choice: Choice) -> tuple[Step, ...]:
    """Return the cells to click on in turn for a move: a placement has one step, a walk two, a line
    or region one anywhere on it, a move without cells none."""
    cells = choice.cells
    if choice.kind in ("line", "territory"):
        return (choice.takes,)
    if choice.kind in ("leap", "chain"):
        return (cells[:1], cells[2:3])
    if choice.kind == "recovery":
        paid = "!" in choice.token
        return tuple((cell,) for cell in (cells[:3] if paid else cells[:2]))
    return tuple((cell,) for cell in cells)


def choices_of(session: Session) -> list[tuple[str, tuple[Step, ...], Step, str]]:
    """Return token, steps, the cells that it takes, and words of every move of the person that has
    the choice; none while a participant has it."""
    if not session.awaits_person:
        return []
    return [(one.token, steps(one), one.takes or one.cells, one.text) for one in session.choices()]


def drawn(session: Session) -> BoardView:
    """Return the position with the last turn pointed out."""
    last: list[str] = []
    for ply in reversed(session.plies):
        if last and ply.seat != session.plies[-1].seat:
            break
        last.insert(0, ply.token)
    names = [session.player_at(seat).title for seat in range(1, session.config.seats + 1)]
    return view(session.position, names=names, last_turn=last)


class Table(Changing):
    """A game in the browser.

    hints     the best moves of the present position, empty unless asked for
    trouble   why a participant could not move, empty if it could
    kept      where the finished game is stored in the log, empty if it is not
    """

    def __init__(self, id: str, session: Session) -> None:
        super().__init__()
        self.id, self.session = id, session
        self.began = self.used = time.monotonic()
        self.hints: tuple[MoveInfo, ...] = ()
        self.trouble, self.kept = "", ""
        self.thinking: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Note a change."""
        self.used = time.monotonic()
        super().touch()

    def act(self, action: Callable[[], object]) -> None:
        """Change the game, which makes hints old. Raises what the action raises."""
        action()
        self.hints, self.trouble = (), ""
        self.touch()

    async def think(self, engine: Searcher) -> None:
        """Let participants move until a person has the choice or the game is over."""
        while not self.session.over and not self.session.awaits_person:
            try:
                await self.session.step(engine)
            except (RingRiftError, HarnessError) as error:
                self.trouble = str(error)
                return self.touch()
            self.touch()


class Tables:
    """The games of this process, their opponents and what searches for them."""

    def __init__(self, log: Log) -> None:
        self.players = Library(log)
        self._tables: dict[str, Table] = {}
        self._engine: Searcher | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Search until the block ends."""
        warm = asyncio.create_task(asyncio.to_thread(warm_up))  # takes seconds, or longer
        async with searcher() as self._engine:
            yield
            for table in self._tables.values():
                if table.thinking:
                    table.thinking.cancel()
        await warm

    @property
    def engine(self) -> Searcher:
        """What searches for every table and analysis."""
        assert self._engine is not None
        return self._engine

    def open(self, config: Config, players: list[Player], *, pie: bool) -> Table:
        """Begin a game. Raises CommandError."""
        now = time.monotonic()
        for id, table in list(self._tables.items()):
            if now - table.used > UNUSED_SECONDS_MAX or (table.session.over and table.kept):
                del self._tables[id]
        while len(self._tables) >= TABLES_MAX:
            oldest = min(self._tables.values(), key=lambda table: table.used)
            del self._tables[oldest.id]
        seed = secrets.randbelow(1 << 32)
        table = Table(secrets.token_hex(8), Session(config, players, pie=pie, seed=seed))
        self._tables[table.id] = table
        self.think(table)
        return table

    def get(self, id: str) -> Table:
        """Return a game by its id. Raises HTTPException."""
        if id not in self._tables:
            raise HTTPException(404, "this game is over and forgotten, or never was: begin another")
        self._tables[id].used = time.monotonic()
        return self._tables[id]

    def think(self, table: Table) -> None:
        """Let the participants of a game move in the background."""
        if table.thinking is None or table.thinking.done():
            table.thinking = asyncio.create_task(table.think(self.engine))

    async def hint(self, table: Table) -> None:
        """Search the present position for the person that has the choice."""
        session = table.session
        revision = session.revision
        adviser = await self.adviser(session.config)
        async for found in analyse(self.engine, adviser, session.position, priority=HINT_PRIORITY):
            if session.revision == revision:
                table.hints = found.moves[:HINTS_SHOWN]
        table.touch()

    async def adviser(self, config: Config) -> Participant:
        """Return the current network of a config, or who gives hints without one."""
        current = await self.players.current(config)
        with contextlib.suppress(CommandError, StreamError):
            return await self.participant(config, current or HINT_TIER)
        return await self.participant(config, HINT_TIER)

    async def participant(self, config: Config, wish: str) -> Participant:
        """Return the participant that a text asks for; raises as `Library.participant` does."""
        await _import_for(wish)
        return await self.players.participant(config, wish)

    async def opponent(self, config: Config, wish: str) -> Participant:
        """Return the participant that a text asks for, as `Library.opponent` does."""
        await _import_for(wish)
        return await self.players.opponent(config, wish)


async def _import_for(wish: str) -> None:
    if parse(wish).network:  # reading one imports torch, which takes seconds
        await asyncio.to_thread(import_module, "ringrift.insight.models.model_store")
