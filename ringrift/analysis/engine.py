"""The analysis engine: reads queries as lines of JSON and answers each position as soon as it is
searched, in any order. The positions that wait for the same participant are searched together.

Each position is a task; `terminate` cancels it. While `WAITING_MAX` positions wait, no further line
is read."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from ringrift import __version__
from ringrift.analysis.messages import Action, Answer, Complaint, Done, Network, Query
from ringrift.analysis.participants import Library, Participant, Wish
from ringrift.analysis.positions import Analysis, analyse
from ringrift.analysis.searching import Searcher
from ringrift.errors import RingRiftError
from ringrift.rules import CONFIGS, Config, ConfigError, Position, RulesError
from ringrift.rules.version import RULES_VERSION
from ringrift.search.harness import HARNESSES, HarnessError

WAITING_MAX: Final = 10_000
LINE_BYTES_MAX: Final = 1 << 20
UNFORCED: Final = ("resign", "timeout")
"""moves that are legal beside a forced one"""
_FIELD: Final = re.compile(r"`\$\.(\w+)")
Write = Callable[[bytes], None]
Turn = tuple[str, int]
"""id of a query, and number of moves after which it asks"""


class Refused(Exception):
    """A query that cannot be answered, and the field that is wrong."""

    def __init__(self, field: str | None, text: str) -> None:
        self.field = field
        super().__init__(text)


class _Asked(Struct, frozen=True):
    """A query that can be answered."""

    query: Query
    who: Participant
    positions: dict[int, Position]


class Engine:
    """Answers lines. `write` gets each answer as a line; when it raises OSError, nothing more is
    searched and `run` raises it."""

    def __init__(self, library: Library, searcher: Searcher, write: Write) -> None:
        self._library, self._searcher, self._write = library, searcher, write
        self._turns: dict[Turn, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Answer all lines, finish what is queued when they end, and return."""
        reading = asyncio.create_task(self._read(lines))
        try:
            await asyncio.wait([reading, self._closed], return_when=asyncio.FIRST_COMPLETED)
            if self._closed.done():
                self._closed.result()
            reading.result()
        finally:
            left = [reading, *self._turns.values()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _read(self, lines: AsyncIterator[bytes]) -> None:
        async for line in lines:
            if line.strip():
                await self._handle(line)
            while len(self._turns) > WAITING_MAX:
                await self._one_ends()
        while self._turns:
            await self._one_ends()

    async def _one_ends(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _say(self, message: Struct) -> None:
        try:
            self._write(msgspec.json.encode(message) + b"\n")
        except OSError as error:
            if not self._closed.done():
                self._closed.set_exception(error)

    async def _handle(self, line: bytes) -> None:
        """Answer a line, or begin to."""
        name: str | None = None
        try:
            raw = _object(line)
            name = raw["id"] if isinstance(raw.get("id"), str) else None
            kind = Action if "action" in raw else Query
            message = _converted(raw, kind)
            for field in raw.keys() - _names(kind):
                self._say(Complaint(warning="unknown field, ignored", field=field, id=name))
            if isinstance(message, Action):
                await self._act(message)
            else:
                self._begin(await self._asked(message))
        except Refused as error:
            self._say(Complaint(error=str(error), field=error.field, id=name))

    def _begin(self, asked: _Asked) -> None:
        for turn, position in asked.positions.items():
            key = asked.query.id, turn
            self._turns[key] = asyncio.create_task(self._answer(asked, turn, position))
            self._turns[key].add_done_callback(partial(self._end, key))

    def _end(self, key: Turn, task: asyncio.Task[None]) -> None:
        """Forget a position, and report what kept it from being answered."""
        self._turns.pop(key, None)
        self._ended.set()
        if task.cancelled():  # before it began
            self._say(_without_results(*key))
        elif (error := task.exception()) is not None:
            known = isinstance(error, RingRiftError | RulesError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            self._say(Complaint(error=text, id=key[0]))

    async def _asked(self, query: Query) -> _Asked:
        """Return what a query asks for. Raises Refused."""
        if any(name == query.id for name, _ in self._turns):
            raise Refused("id", f"a query with the id {query.id!r} is not answered yet")
        positions = _positions(query)
        config = next(iter(positions.values())).config
        return _Asked(query, await self._participant(query, config), positions)

    async def _participant(self, query: Query, config: Config) -> Participant:
        harness, model = HARNESSES.get(query.harness), query.model
        if harness is None:
            raise Refused("harness", f"there are {', '.join(HARNESSES)}, not {query.harness!r}")
        if model is None and "network" in harness.evaluators:
            model = await self._library.current(config)
        wish = Wish(harness=query.harness, network=model, simulations=query.simulations)
        try:
            return await self._library.participant(config, wish, considered=query.considered)
        except HarnessError as error:
            raise Refused("harness", str(error)) from error
        except RingRiftError as error:
            raise Refused("model", str(error)) from error

    async def _answer(self, asked: _Asked, turn: int, position: Position) -> None:
        """Search a position, and answer also if that is cancelled."""
        query, every = asked.query, asked.query.report_during_search_every
        now = asyncio.get_running_loop().time
        found, said = None, now()
        growing = analyse(
            self._searcher,
            asked.who,
            position,
            allow=query.allow_moves,
            growing=every is not None,
            priority=query.priority,
        )
        try:
            async for found in growing:
                if every is not None and found.is_during_search and now() - said >= every:
                    said = now()
                    self._say(_answer(asked, turn, found))
        except asyncio.CancelledError:
            if found is not None:
                found = msgspec.structs.replace(found, is_during_search=False)
        self._say(_answer(asked, turn, found))

    async def _act(self, action: Action) -> None:
        done = Done(
            id=action.id,
            action=action.action,
            terminate_id=action.terminate_id,
            turn_numbers=action.turn_numbers,
        )
        match action.action:
            case "query_version":
                done = msgspec.structs.replace(
                    done, version=__version__, rules_version=RULES_VERSION
                )
            case "query_models":
                done = msgspec.structs.replace(done, models=await self._models())
            case "clear_cache":
                self._library.clear()
                self._searcher.clear()
            case "terminate" if action.terminate_id is None:
                raise Refused("terminateId", "name the query to terminate")
            case _:
                self._terminate(action)
        self._say(done)

    def _terminate(self, action: Action) -> None:
        for (name, turn), task in list(self._turns.items()):
            named = action.terminate_id in (None, name)
            if named and (action.turn_numbers is None or turn in action.turn_numbers):
                task.cancel()

    async def _models(self) -> tuple[Network, ...]:
        current = [(config.key, await self._library.current(config)) for config in CONFIGS]
        return tuple(Network(config=key, model=model) for key, model in current if model)


def _object(line: bytes) -> dict[str, Any]:
    """Return the object of a line. Raises Refused."""
    if len(line) > LINE_BYTES_MAX:
        raise Refused(None, f"the line has more than {LINE_BYTES_MAX:,} bytes")
    try:
        raw = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise Refused(None, f"the line is not JSON: {error}") from error
    except RecursionError as error:
        raise Refused(None, "the line is nested too deeply") from error
    if not isinstance(raw, dict):
        raise Refused(None, "the line is not an object")
    return raw


def _converted(raw: dict[str, Any], kind: type[Query] | type[Action]) -> Query | Action:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        if place := _FIELD.search(text):
            raise Refused(place[1], text.partition(" - at")[0]) from error
        missing = re.search(r"required field `(\w+)`", text)
        raise Refused(missing[1] if missing else None, text) from error


def _names(kind: type[Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _positions(query: Query) -> dict[int, Position]:
    """Return the positions to analyse by their number of moves. Raises Refused."""
    position, moves = _start(query), query.moves
    wanted = (len(moves),) if query.analyze_turns is None else query.analyze_turns
    if not wanted or not all(0 <= turn <= len(moves) for turn in wanted):
        raise Refused("analyzeTurns", f"give numbers of moves from 0 to {len(moves)}")
    found = dict.fromkeys(wanted, position)
    for turn, move in enumerate((*moves, None)):
        if turn in found:
            found[turn] = position.copy()
        if move is not None:
            _play(position, move)
    for turn in wanted if query.allow_moves else ():
        for move in query.allow_moves:
            try:
                found[turn].code(move)
            except RulesError as error:
                raise Refused("allowMoves", str(error)) from error
    return found


def _start(query: Query) -> Position:
    try:
        if query.position is not None:
            position = Position.parse(query.position)
            if query.config not in (None, position.config.key):
                raise Refused("config", f"the position is one of {position.config.key}")
            return position
        if query.config is None:
            raise Refused("config", "give a config such as hex8_2p, or a position")
        config = Config.parse(query.config)
    except ConfigError as error:
        raise Refused("config", str(error)) from error
    except RulesError as error:
        raise Refused("position", str(error)) from error
    if query.pie and config.seats != 2:
        raise Refused("pie", "the pie rule is for two seats")
    return Position.start(config, query.pie)


def _play(position: Position, move: str) -> None:
    """Play a move, after forced plies that were left out."""
    while len(legal := position.legal()) == 1 and move not in (*legal, *UNFORCED):
        position.play(legal[0])
    try:
        position.play(move)
    except RulesError as error:
        raise Refused("moves", str(error)) from error


def _answer(asked: _Asked, turn: int, found: Analysis | None) -> Answer:
    query = asked.query
    if found is None:
        return _without_results(query.id, turn)
    moves = found.moves if query.include_policy else tuple(_searched(found))
    if not query.include_pv:
        moves = tuple(msgspec.structs.replace(move, pv=()) for move in moves)
    return Answer(
        id=query.id,
        turn_number=turn,
        is_during_search=found.is_during_search,
        participant=asked.who.seat.participant,
        forced=found.forced,
        root_info=found.root,
        move_infos=moves,
    )


def _without_results(id: str, turn: int) -> Answer:
    return Answer(id=id, turn_number=turn, is_during_search=False, no_results=True)


def _searched(found: Analysis) -> Iterator[Any]:
    """Yield the best move and all that were searched."""
    return (move for move in found.moves if move.visits or move.order == 0)
