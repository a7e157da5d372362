"""Dead letters: messages that could not be used, the reason, and what a person can do."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.cluster.steering import record
from ringrift.deciders.fleet.dead_letters import DeadLetter, DeadLetters
from ringrift.events import Fact
from ringrift.log.errors import StreamError
from ringrift.runtime import dead_letter_retry
from ringrift.web.guard import require_operator
from ringrift.web.pages import fold_of, form_of, shown, view_of

ROWS = 200
BODY_SHOWN_BYTES = 4000
WHY_CHARS_MAX = 500


async def letters(request: Request) -> Response:
    """List the unresolved ones."""
    state = await _state(request)
    found = [(letter, _since(letter)) for letter in state.unresolved.values()]
    return shown(
        request,
        "letters.html",
        title="Dead letters",
        letters=found[:ROWS],
        count=len(found),
        resolved=state.resolved,
    )


async def letter(request: Request) -> Response:
    """Show one with its bytes."""
    found = await _letter(request)
    entry = await dead_letter_retry.original(view_of(request).log, found)
    body = entry.body[:BODY_SHOWN_BYTES].decode(errors="backslashreplace") if entry else None
    return shown(
        request,
        "letter.html",
        title=f"Dead letter {found.dead_seq}",
        letter=found,
        since=_since(found),
        lines=None if body is None else body.split("\n"),
        size=len(entry.body) if entry else 0,
    )


async def act(request: Request) -> Response:
    """Retry or drop one; both are recorded as facts of a person."""
    await require_operator(request)
    found, log = await _letter(request), view_of(request).log
    outcome: Fact
    if request.path_params["verb"] == "retry":
        outcome = await dead_letter_retry.retry(log, found)
    elif request.path_params["verb"] == "drop":
        why = (await form_of(request)).get("why", "").strip()[:WHY_CHARS_MAX]
        if not why:
            raise HTTPException(400, "give the reason for dropping it: it is recorded")
        outcome = dead_letter_retry.dropped(found, why)
    else:
        raise HTTPException(404, "a dead letter can be retried or dropped")
    try:
        await record(log, outcome)
    except (StreamError, TimeoutError) as error:
        why = f"the log refused the fact, perhaps because this process may only read: {error}"
        raise HTTPException(403, why) from error
    return RedirectResponse("/dead-letters", 303)


async def _state(request: Request) -> DeadLetters:
    state: DeadLetters = (await fold_of(request)).states["dead-letters"]
    return state


async def _letter(request: Request) -> DeadLetter:
    wanted = request.path_params["number"]
    for found in (await _state(request)).unresolved.values():
        if found.dead_seq == wanted:
            return found
    raise HTTPException(404, f"no unresolved dead letter has number {wanted}")


def _since(letter: DeadLetter) -> datetime:
    return datetime.fromtimestamp(letter.since, UTC)


past_routes = [Route("/dead-letters", letters)]
routes = [
    Route("/dead-letters/{number:int}", letter),
    Route("/dead-letters/{number:int}/{verb}", act, methods=["POST"]),
]
