"""Will it pass, and how far are the bounds?"""

from __future__ import annotations

from itertools import islice

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.insight.running import Match
from ringrift.web.fold import Fold
from ringrift.web.matches import classes_of, games_of, seats_of, starts_of, trial_of
from ringrift.web.pages import at_of, fold_of, number, shown, view_of

menu = "/evaluations", "Evaluations"
ROWS = 40
"""ended matches on a page"""
STARTS_SHOWN = 100
NEWEST = 500
"""matches whose purposes can be chosen"""


async def evaluations(request: Request) -> Response:
    """Show the matches that are being played, and those that ended, newest first."""
    fold = await fold_of(request)
    config, purpose = (request.query_params.get(name, "") for name in ("config", "purpose"))
    before = number(request, "before", 0, 0, 10**18)
    ended = [trial_of(match, fold) for match in islice(_ended(fold, config, purpose, before), ROWS)]
    running = [trial_of(match, fold) for match in fold.running.open(config or None)]
    purposes = sorted({match.purpose for match in islice(fold.running.newest(), NEWEST)})
    return shown(
        request,
        "evaluations.html",
        title="Evaluations",
        running=[(trial, classes_of(trial)) for trial in running],
        ended=ended,
        more=ended[-1].match.seq if len(ended) == ROWS else None,
        configs=list(fold.loop.configs),
        purposes=purposes,
        config=config,
        purpose=purpose,
    )


def _ended(fold: Fold, config: str, purpose: str, before: int) -> filter[Match]:
    def wanted(match: Match) -> bool:
        return (
            not match.open
            and config in ("", match.config)
            and purpose in ("", match.purpose)
            and (not before or match.seq < before)
        )

    return filter(wanted, fold.running.newest())


async def evaluation(request: Request) -> Response:
    """Show one match; the address of a later round leads to it."""
    fold, view, at = await fold_of(request), view_of(request), at_of(request)
    seq = request.path_params["seq"]
    match = fold.running.match_of(f"EVENTS/{seq}")
    if match is None:
        raise HTTPException(404, f"EVENTS/{seq} is no request of an evaluation")
    if match.seq != seq:
        return RedirectResponse(f"{f'/at/{at}' if at else ''}/evaluations/{match.seq}", 307)
    trial = trial_of(match, fold)
    starts = starts_of(await games_of(view, match, at), match.seats)
    return shown(
        request,
        "evaluation.html",
        title=f"{match.config}: generation {match.generation} against {_name(match)}",
        trial=trial,
        classes=classes_of(trial),
        starts=starts[:STARTS_SHOWN],
        starts_all=len(starts),
        seats=await seats_of(view, match, at),
    )


def _name(match: Match) -> str:
    model = match.opponent.model
    return f"network {model[:12]}" if model else match.opponent.harness


past_routes = [Route("/evaluations", evaluations), Route("/evaluations/{seq:int}", evaluation)]
