"""Ask what a network or a search thinks of a position, and where a game turned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.analysis.games import Review, review
from ringrift.analysis.participants import Participant
from ringrift.analysis.positions import Analysis, analyse
from ringrift.errors import CommandError, RingRiftError
from ringrift.insight.board.board_svg import figure
from ringrift.insight.board.drawing import BoardView, view
from ringrift.learning.pairings import TIERS
from ringrift.rules import NotationError, Position, RulesError
from ringrift.search.harness import HarnessError
from ringrift.web.analysis import Subject, Subjects, blunders, checked, curve, marks, share_of
from ringrift.web.games_graph import graph
from ringrift.web.pages import form_of, number, shown
from ringrift.web.pages.games import board_values, games_of
from ringrift.web.pages.live import stream
from ringrift.web.pages.play import require_player, tables_of
from ringrift.web.rendering import TEMPLATES

menu = "/analysis", "Analysis"

SEARCHES_MAX: Final = 8
"""searches that run or wait for pages"""
MOVES_SHOWN: Final = 12
PLIES_MAX: Final = 10**6
REPORT_SECONDS: Final = 0.5
"""between two reports on a review"""
Found = tuple[Subject, int, Participant]


def subjects_of(request: Request) -> Subjects:
    """Return what was pasted here."""
    state = request.app.state
    if not hasattr(state, "subjects"):
        state.subjects, state.searches = Subjects(), 0
    found: Subjects = state.subjects
    return found


async def subject_of(request: Request) -> Subject | None:
    """Return what the query names, None if it names nothing. Raises HTTPException."""
    query = request.query_params
    if name := query.get("game"):
        try:
            game = await games_of(request).get(name)
        except CommandError as error:
            raise HTTPException(404, str(error).split(";")[0]) from error
        title = f"{game.fact.config}, game {game.seq}"
        return Subject(f"game={game.seq}", title, game.recorded.record)
    if id := query.get("play"):
        table = tables_of(request).get(id)
        title = f"{table.session.config.key}, your game"
        return Subject(urlencode({"play": id}), title, table.session.record())
    if key := query.get("text"):
        found = subjects_of(request).get(key)
        if found is None:
            raise HTTPException(404, "this text is forgotten: paste it again")
        return found
    return None


async def _asked(request: Request) -> Found:
    """Return subject, ply and participant of the query. Raises HTTPException."""
    subject = await subject_of(request)
    if subject is None:
        raise HTTPException(404, "name a game, or paste a position")
    ply = number(request, "ply", subject.plies, 0, subject.plies)
    config = subject.at(ply).position.config
    wish = request.query_params.get("by", "").strip()[:120]
    tables = tables_of(request)
    try:
        by = await (tables.participant(config, wish) if wish else tables.adviser(config))
    except (RingRiftError, HarnessError) as error:
        raise HTTPException(400, str(error)) from error
    return subject, ply, by


async def page(request: Request) -> Response:
    """Show the form, and the position that is asked about."""
    if await subject_of(request) is None:
        return shown(request, "analysis.html", title="Analysis", subject=None, tiers=TIERS, by="")
    found = await _asked(request)
    subject, ply, by = found
    values = _values(request, found, None)
    if "wait" in request.query_params:
        await require_player(request)
        async for result in analyse(tables_of(request).engine, by, subject.at(ply).position):
            values = _values(request, found, result)
    kept = subjects_of(request).reviews.get(_key(found))
    title = f"Analysis of {subject.title}"
    return shown(request, "analysis.html", title=title, **values, **_review_values(found, kept))


def _values(request: Request, found: Found, result: Analysis | None) -> dict[str, Any]:
    """Return what the templates show of a position and of what a search found in it."""
    subject, ply, by = found
    board = _after_forced(subject, ply, result)
    played = subject.record.moves[ply] if subject.record and ply < subject.plies else ""
    if result and result.forced:
        at = ply + len(result.forced)
        played = subject.record.moves[at] if subject.record and at < subject.plies else ""
    moves = result.moves if result else ()
    visits = sum(move.visits for move in moves)
    wish = request.query_params.get("by", "")
    address = f"/analysis?{subject.query}&{urlencode({'by': wish})}&ply="
    return {
        "subject": subject,
        "ply": ply,
        "plies": subject.plies,
        **board_values(board, figure(board, marks(moves, played))),
        "result": result,
        "moves": [(move, share_of(move, visits)) for move in moves[:MOVES_SHOWN]],
        "played": played,
        "participant": by,
        "by": wish,
        "tiers": TIERS,
        "address": address,
        "live": f"/analysis/live?{subject.query}&{urlencode({'by': wish})}&ply={ply}",
    }


def _after_forced(subject: Subject, ply: int, result: Analysis | None) -> BoardView:
    """Return the position that was searched, which is after the forced plies."""
    board = subject.at(ply)
    if result is None or not result.forced:
        return board
    names = [seat.name for seat in board.seats]
    turn = [*(move.token for move in board.last_turn), *result.forced]
    return view(Position.parse(result.position), names=names, last_turn=turn, title=board.title)


def _key(found: Found) -> tuple[str, str]:
    """Return the name under which the review of a game, which may still go on, is kept."""
    subject, _, by = found
    return f"{subject.query}:{subject.plies}", by.seat.participant


def _review_values(found: Found, kept: Review | None) -> dict[str, Any]:
    subject, ply, _ = found
    address = f"/analysis?{subject.query}&ply="
    lines = curve(kept) if kept else {}
    drawn = graph(
        lines, subject.plies, ply=ply, blunders=blunders(kept) if kept else (), link=address
    )
    return {"review": kept, "graph": Markup(drawn), "done": 0, "total": 0}


async def paste(request: Request) -> Response:
    """Keep a pasted record or position, and show it."""
    await require_player(request)
    form = await form_of(request)
    try:
        key = subjects_of(request).add(checked(form.get("text", "")))
    except RulesError as error:
        raise HTTPException(400, str(error)) from error
    return RedirectResponse(f"/analysis?{urlencode({'text': key, 'by': form.get('by', '')})}", 303)


async def live(request: Request) -> Response:
    """Send the parts of the page again and again while the search grows."""
    await require_player(request)
    subject, ply, by = found = await _asked(request)
    engine, position = tables_of(request).engine, subject.at(ply).position

    async def parts() -> AsyncIterator[str]:
        async for result in analyse(engine, by, position, growing=True):
            yield _part(request, "analysis_position.html", _values(request, found, result))

    return _stream(request, parts())


async def live_review(request: Request) -> Response:
    """Search every position of a game, and send how far it is, then its blunders."""
    await require_player(request)
    subject, _, by = found = await _asked(request)
    record = subject.record
    if record is None:
        raise HTTPException(404, "a position alone has no blunders")
    base = _values(request, found, None)
    state = {"done": 0, "total": 0}

    def progress(done: int, total: int) -> None:
        state.update(done=done, total=total)

    async def parts() -> AsyncIterator[str]:
        engine = tables_of(request).engine
        task = asyncio.create_task(review(engine, by, record, progress=progress))
        try:
            while not task.done():
                values = {**base, **_review_values(found, None), **state}
                yield _part(request, "analysis_review.html", values)
                await asyncio.wait([task], timeout=REPORT_SECONDS)
            subjects_of(request).reviews.put(_key(found), task.result())
            values = {**base, **_review_values(found, task.result())}
            yield _part(request, "analysis_review.html", values)
        finally:
            task.cancel()

    return _stream(request, parts())


def _part(request: Request, template: str, values: dict[str, Any]) -> str:
    html = TEMPLATES.get_template(template).render({"request": request, **values})
    return f"data: {msgspec.json.encode(html).decode()}\n\n"


def _stream(request: Request, parts: AsyncIterator[str]) -> Response:
    """Return a stream of events that ends with `end`. Raises HTTPException if too many run."""
    state = request.app.state
    subjects_of(request)
    if state.searches >= SEARCHES_MAX:
        raise HTTPException(503, f"{SEARCHES_MAX} searches are running: wait for one to end")

    async def counted() -> AsyncIterator[str]:
        state.searches += 1
        try:
            async for part in parts:
                yield part
            yield "event: end\ndata: 1\n\n"
        except (RingRiftError, HarnessError, NotationError) as error:
            yield f"event: trouble\ndata: {msgspec.json.encode(str(error)).decode()}\n\n"
        finally:
            state.searches -= 1

    return stream(counted())


routes = [
    Route("/analysis", page),
    Route("/analysis", paste, methods=["POST"]),
    Route("/analysis/live", live),
    Route("/analysis/review", live_review),
]
