"""Play: people and networks at one board, by clicks on cells."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ringrift.analysis.sessions import Person, Player, keep
from ringrift.errors import CommandError, RingRiftError
from ringrift.insight.board.board_svg import Mark, figure
from ringrift.learning.pairings import TIERS
from ringrift.log.errors import Forbidden, StreamError
from ringrift.rules import CONFIGS, PHASES, Config, ConfigError, IllegalMove, NotationError
from ringrift.search.harness import HarnessError
from ringrift.web.guard import LOOPBACK, require_operator, same_origin
from ringrift.web.pages import form_of, shown, view_of
from ringrift.web.pages.games import board_values
from ringrift.web.pages.live import stream, versions
from ringrift.web.play import Table, Tables, choices_of, drawn

menu = "/play", "Play"

PERSON: Final = "person"
OTHER: Final = "other"
PLAYER_CHARS_MAX: Final = 120
PROMPTS: Final = {
    "ring_placement": "Place one to three rings on an empty cell, or one ring on a stack.",
    "movement": "Move a stack at least as far as it is high, or leap over another stack.",
    "capture": "The stack may leap, or stay.",
    "chain_capture": "The leap goes on: choose where to.",
    "line_processing": "You have a line: choose what becomes your territory, or pay with a ring.",
    "territory_processing": "You may claim a region; it costs the cap of a stack outside.",
    "forced_elimination": "You cannot move: give up the cap of a stack.",
}
"""what the seat to act does, by phase"""


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Search for the games and analyses of an application until the block ends."""
    app.state.tables = Tables(app.state.log)
    async with app.state.tables.running():
        yield


def tables_of(request: Request) -> Tables:
    """Return the games of this process."""
    found: Tables = request.app.state.tables
    return found


async def require_player(request: Request) -> None:
    """Raise HTTPException unless the request comes from this machine or from the operator, and from
    one of our own pages."""
    host = request.url.hostname or ""
    client = request.client.host if request.client else ""
    if host in LOOPBACK and _is_loopback(client) and same_origin(request):
        return
    await require_operator(request)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def lobby(request: Request) -> Response:
    """Show the form for a new game."""
    query = request.query_params
    configs = [config.key for config in CONFIGS]
    asked = query.get("config", "")
    known = view_of(request).fold.loop.configs
    current = {key: bool(key in known and known[key].current) for key in configs}
    return shown(
        request,
        "play.html",
        title="Play",
        configs=configs,
        asked=asked
        if asked in configs
        else next((key for key in configs if current[key]), "hex8_2p"),
        model=query.get("model", "")[:PLAYER_CHARS_MAX],
        current=current,
        tiers={name: _tier_words(name) for name in TIERS},
    )


def _tier_words(name: str) -> str:
    seat = TIERS[name]
    return f"{seat.harness}, {seat.simulations} simulations" if seat.simulations else seat.harness


async def begin(request: Request) -> Response:
    """Begin a game, and show it."""
    await require_player(request)
    form = await form_of(request)
    try:
        config = Config.parse(form.get("config", ""))
        players = [
            await _player(request, config, form, seat) for seat in range(1, config.seats + 1)
        ]
        pie = config.seats == 2 and "pie" in form
        table = tables_of(request).open(config, players, pie=pie)
    except (RingRiftError, ConfigError, HarnessError) as error:
        raise HTTPException(400, str(error)) from error
    return RedirectResponse(f"/play/{table.id}", 303)


async def _player(request: Request, config: Config, form: dict[str, str], seat: int) -> Player:
    wish = form.get(f"seat{seat}", PERSON)
    if wish == PERSON:
        return Person(form.get(f"name{seat}", "").strip() or f"person {seat}")
    if wish == OTHER:
        wish = form.get(f"other{seat}", "").strip()[:PLAYER_CHARS_MAX]
        if not wish:
            raise CommandError(f"seat {seat}: name a network or a harness, such as minimax:2048")
    try:
        return await tables_of(request).opponent(config, wish)
    except StreamError as error:
        raise CommandError(f"seat {seat}: the network cannot be read: {error}") from error


def table_of(request: Request) -> Table:
    """Return the game that the address names. Raises HTTPException."""
    return tables_of(request).get(request.path_params["id"])


async def table(request: Request) -> Response:
    """Show a game."""
    found = table_of(request)
    return shown(request, "table.html", title=f"Play {found.session.config.key}", **_values(found))


async def position(request: Request) -> Response:
    """Send the parts of the page that change during the game."""
    return shown(request, "table_position.html", title="", **_values(table_of(request)))


def _values(found: Table) -> dict[str, Any]:
    session = found.session
    board = drawn(session)
    marks = [Mark(one.move, one.improved_policy or float(one.order == 0)) for one in found.hints]
    choices = choices_of(session)
    return {
        "table": found,
        "session": session,
        **board_values(board, figure(board, marks, clickable=bool(choices))),
        "choices": msgspec.json.encode(choices).decode(),
        "prompt": PROMPTS.get(PHASES[session.position.phase], "") if choices else "",
        "mover": session.turn.title if session.turn else "",
    }


async def act(request: Request) -> Response:
    """Carry out what a person chose."""
    await require_player(request)
    found, form = table_of(request), await form_of(request)
    session, action = found.session, request.path_params["action"]
    if form.get("ply") not in (None, str(session.position.ply)):
        raise HTTPException(409, "the game has gone on: look at the board again")
    try:
        match action:
            case "move":
                if not session.awaits_person:
                    raise HTTPException(409, "it is not the turn of a person")
                found.act(lambda: session.play(form.get("token", "")))
            case "resign":
                if not session.awaits_person:
                    raise HTTPException(409, "it is not the turn of a person")
                found.act(session.resign)
            case "undo":
                found.act(session.undo)
            case "hint":
                await tables_of(request).hint(found)
            case "keep":
                await _keep(request, found)
            case _:
                raise HTTPException(404, f"there is no action {action!r}")
    except (CommandError, IllegalMove, NotationError) as error:
        raise HTTPException(400, str(error)) from error
    tables_of(request).think(found)
    if "x-part" in request.headers:
        return await position(request)
    return RedirectResponse(f"/play/{found.id}", 303)


async def _keep(request: Request, found: Table) -> None:
    """Store a finished game in the log, if this process may write there."""
    await require_operator(request)
    if not found.session.over or found.kept:
        raise HTTPException(409, "only a finished game can be kept, once")
    log, seconds = request.app.state.log, found.used - found.began
    try:
        found.kept = await keep(log, found.session, f"human-{found.id}", "web", seconds)
    except (Forbidden, TimeoutError) as error:
        text = "this server may only read the log, so the game cannot be kept: save its record"
        raise HTTPException(403, text) from error
    found.touch()


async def record(request: Request) -> Response:
    """Send the record of the game so far."""
    found = table_of(request)
    headers = {"content-disposition": f"attachment; filename=game-{found.id}.txt"}
    return PlainTextResponse(str(found.session.record()), headers=headers)


async def live(request: Request) -> Response:
    """Send the version of the game whenever it has changed."""
    view = view_of(request)
    return stream(versions(table_of(request), ended=lambda: view.closed))


routes = [
    Route("/play", lobby),
    Route("/play", begin, methods=["POST"]),
    Route("/play/{id}", table),
    Route("/play/{id}/position", position),
    Route("/play/{id}/record.txt", record),
    Route("/play/{id}/live", live),
    Route("/play/{id}/{action}", act, methods=["POST"]),
]
