"""Find a game, step through it, see why it turned."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ringrift.errors import CommandError
from ringrift.insight.board.board_svg import figure, style, svg
from ringrift.insight.board.drawing import BoardView, text
from ringrift.rules import CONFIGS
from ringrift.web.games import Game, Games, Wanted
from ringrift.web.games_graph import graph
from ringrift.web.pages import number, shown
from ringrift.web.rendering import HERE

menu = "/games", "Games"
REASONS = ("ring_elimination", "territory_control", "last_player_standing", "resign", "timeout")
ORIGINS = ("selfplay", "evaluation", "tournament", "reanalysis", "import", "human")
SEQ_MAX = 10**17
PLIES_MAX = 10**6
CANDIDATES_MAX = 8
"""moves listed and drawn with their shares"""
MARK_SHARE_MIN = 0.01
"""smaller shares are not drawn"""


def games_of(request: Request) -> Games:
    """Return the games of the log."""
    state = request.app.state
    if not hasattr(state, "games"):
        state.games = Games(state.log)
    found: Games = state.games
    return found


async def games(request: Request) -> Response:
    """List games that match a search, newest first."""
    query = request.query_params
    texts = ("config", "player", "origin", "node", "winner", "reason")
    wanted = Wanted(
        **{name: query.get(name, "").strip()[:200] for name in texts},
        longer=number(request, "longer", 0, 0, PLIES_MAX),
        shorter=number(request, "shorter", 0, 0, PLIES_MAX),
    )
    before = number(request, "before", 0, 0, SEQ_MAX)
    found = await games_of(request).search(wanted, before)
    asked = {name: value for name, value in wanted._asdict().items() if value}
    return shown(
        request,
        "games.html",
        title="Games",
        wanted=wanted,
        found=found,
        configs=[config.key for config in CONFIGS],
        reasons=REASONS,
        origins=ORIGINS,
        newest=f"/games?{urlencode(asked)}" if before else "",
        older=f"/games?{urlencode({**asked, 'before': found.reached})}",
    )


async def game_of(request: Request) -> Game:
    """Return the game that the address names. Raises HTTPException."""
    try:
        return await games_of(request).get(request.path_params["name"])
    except CommandError as error:
        name = request.path_params["name"][:80]
        raise HTTPException(404, f"the log has no game {name!r}: look in the list") from error


def ply_of(request: Request, plies: int) -> int:
    """Return the ply of the query, by default the last one."""
    return number(request, "ply", plies, 0, plies)


async def game(request: Request) -> Response:
    """Show a game at a ply."""
    found = await game_of(request)
    values = position_values(found, ply_of(request, len(found.moves)))
    name = f"{found.fact.config}, game {found.seq}"
    return shown(request, "game.html", title=name, turns=found.turns, **values)


async def position(request: Request) -> Response:
    """Send the parts of the page that change with the ply."""
    found = await game_of(request)
    values = position_values(found, ply_of(request, len(found.moves)))
    return shown(request, "game_position.html", title="", **values)


def position_values(found: Game, ply: int) -> dict[str, Any]:
    """Return what the templates show of a game at a ply."""
    board = found.at(ply)
    candidates = found.candidates(board)[:CANDIDATES_MAX]
    marks = [one.mark for one in candidates if one.share >= MARK_SHARE_MIN or one.played]
    plies, decision = len(found.moves), found.decisions.get(ply)
    return {
        "game": found,
        "ply": ply,
        "plies": plies,
        **board_values(board, figure(board, marks)),
        "candidates": candidates,
        "values": decision.values.tolist() if decision else None,
        "graph": Markup(graph(found.values(), plies, ply=ply)),
        "next_decision": min((at for at in found.decisions if at > ply), default=None),
    }


def board_values(board: BoardView, drawing: str) -> dict[str, Any]:
    """Return what the templates show of a position; `drawing` is its SVG element."""
    return {"board": board, "drawing": Markup(drawing), "drawn": text(board).plain}


async def picture(request: Request) -> Response:
    """Send the position at a ply as an SVG file."""
    found = await game_of(request)
    ply = ply_of(request, len(found.moves))
    file = f"game-{found.seq}-ply-{ply}.svg"
    return _download(svg(found.recorded.at(ply)), "image/svg+xml", file)


async def record(request: Request) -> Response:
    """Send the record of the game in the notation of the rules."""
    found = await game_of(request)
    return _download(str(found.recorded.record), "text/plain", f"game-{found.seq}.txt")


async def document(request: Request) -> Response:
    """Send the whole game as JSON, with values and shares of its searched decisions."""
    found = await game_of(request)
    position = found.recorded.record.start()
    decisions = []
    for ply, move in enumerate(found.moves):
        if decision := found.decisions.get(ply):
            legal = position.legal()
            pairs = zip(decision.indices.tolist(), decision.probabilities.tolist(), strict=True)
            shares = {legal[index]: round(share, 5) for index, share in pairs}
            values = [round(value, 5) for value in decision.values.tolist()]
            decisions.append({"ply": ply, "values": values, "shares": shares})
        position.play(move)
    known = found.recorded.document(found.recorded.at())
    response = JSONResponse({"seq": found.seq, **known, "decisions": decisions})
    response.headers["content-disposition"] = f"attachment; filename=game-{found.seq}.json"
    return response


def _download(body: str, media: str, file: str) -> Response:
    headers = {"content-disposition": f"attachment; filename={file}"}
    return Response(body, media_type=media, headers=headers)


_STYLE = style() + "\n" + (HERE / "static" / "board.css").read_text()


async def board_style(request: Request) -> Response:
    """Send the style of boards: that of the pictures, and what only pages have."""
    return PlainTextResponse(_STYLE, media_type="text/css")


routes = [
    Route("/games", games),
    Route("/games/{name}", game),
    Route("/games/{name}/position", position),
    Route("/games/{name}/board.svg", picture),
    Route("/games/{name}/record.txt", record),
    Route("/games/{name}/record.json", document),
    Route("/board.css", board_style),
]
