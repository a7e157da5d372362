"""Any time of the log: a slider over its events, what happened there, and what is different now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import Fact, Recorded, facts as f
from ringrift.insight.describe import fields_line
from ringrift.insight.elo import elo_text
from ringrift.insight.generations import ConfigView
from ringrift.log import read
from ringrift.web.fold import Fold
from ringrift.web.index import Part
from ringrift.web.pages import number, shown, view_of
from ringrift.web.rendering import digest, whole
from ringrift.web.view import View

menu = "/time", "Time"
AROUND = 4
"""events shown before and after the chosen one"""
CAUSES_SHOWN = 3


class Difference(NamedTuple):
    """What is different: then and now, and the newest of the `events` that changed it."""

    what: str
    before: str
    after: str
    causes: list[int]
    events: int


Read = Callable[[Fold, ConfigView], object]
Kinds = tuple[type[Fact], ...]
PAUSES: Kinds = (f.PipelinePaused, f.PipelineResumed)
INCUMBENTS: Kinds = (f.ModelPromoted, f.ModelRolledBack)


def _elo(fold: Fold, item: ConfigView) -> str:
    rating = item.rating_of(item.current)
    return elo_text(rating) if rating else ""


def _networks(item: ConfigView) -> int:
    return sum(row.model is not None for row in item.generations.values())


def _best_loss(fold: Fold, item: ConfigView) -> str:
    losses = [row.loss for row in item.generations.values() if row.loss is not None]
    return f"{min(losses):.3f}" if losses else ""


def _paused(fold: Fold, config: str) -> str:
    scopes = sorted(fold.loop.paused)
    return ", ".join(one for one in scopes if one.split("/")[0] == config)


def _troubles(fold: Fold) -> str:
    return "; ".join(f"{one.scope}: {one.name}" for one in fold.loop.troubles.in_force())


OF_CONFIG: tuple[tuple[str, Read, Kinds], ...] = (
    ("doing", lambda _, item: item.doing, (f.TrainingRequested, f.SelfplayPlanned)),
    ("games of self-play", lambda _, item: item.games, (f.SelfplayFinished,)),
    ("samples", lambda _, item: item.samples, (f.ShardExported,)),
    ("networks", lambda _, item: _networks(item), (f.ModelRegistered,)),
    ("lowest loss", _best_loss, (f.TrainingFinished,)),
    ("games of matches", lambda _, item: item.evaluation_games, (f.EvaluationScored,)),
    ("generations judged", lambda _, item: item.judged, (f.ModelPromoted, f.PromotionRejected)),
    ("current network", lambda _, item: digest(item.current), INCUMBENTS),
    ("Elo of the current network", _elo, (*INCUMBENTS, f.RatingsUpdated)),
    ("games retracted", lambda _, item: item.retracted, (f.GamesRetracted,)),
    ("paused", lambda fold, item: _paused(fold, item.config), PAUSES),
)
"""what is compared of a config, and the types of facts that change it"""
LETTERS: Kinds = (f.DeadLetterStored, f.DeadLetterResolved)
OF_ALL: tuple[tuple[str, Callable[[Fold], object], Kinds], ...] = (
    ("version of the settings", lambda fold: fold.in_force.settings_version, (f.SettingsChanged,)),
    ("paused", lambda fold: _paused(fold, "all"), PAUSES),
    ("dead letters", lambda fold: len(fold.states["dead-letters"].unresolved), LETTERS),
    ("failures and setbacks", _troubles, ()),
)


async def time(request: Request) -> Response:
    """Choose a sequence or a time; show what happened there, and what is different now."""
    view = view_of(request)
    seq = _chosen(request, view)
    then = await view.at(seq) if seq else view.fold
    after = max(0, seq - AROUND - 1)
    near: list[Recorded] = [
        recorded async for recorded in read.facts(view.log, after=after, until=seq + AROUND)
    ]
    return shown(
        request,
        "time.html",
        title="Time",
        seq=seq,
        last=view.fold.seq,
        first_time=view.index.time_of(1),
        time=view.index.time_of(seq),
        near=[(event, meta, fields_line(event)) for event, meta in near],
        differences=list(differences(view, then)) if seq < view.fold.seq else [],
    )


routes = [Route("/time", time)]


def _chosen(request: Request, view: View) -> int:
    """The sequence that the query names, by itself or by a time; by default the last one."""
    last = view.fold.seq
    if text := request.query_params.get("when", ""):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise HTTPException(
                400, f"{text[:40]!r} is no time such as 2026-11-21T04:00"
            ) from error
        return view.index.at(moment.replace(tzinfo=moment.tzinfo or UTC))
    return number(request, "at", last, min(1, last), last)


def differences(view: View, then: Fold) -> Iterator[tuple[str, list[Difference]]]:
    """Yield what is different now, by config; last what is common to all."""
    now, part = view.fold, view.index.after(then.seq)
    for config, item in now.loop.configs.items():
        old = then.loop.configs.get(config) or ConfigView(config=config)
        rows = [(what, get(then, old), get(now, item), kinds) for what, get, kinds in OF_CONFIG]
        yield config, _changed(part, rows, config)
    common = [(what, get(then), get(now), kinds) for what, get, kinds in OF_ALL]
    yield "all", _changed(part, common, "")


def _changed(
    part: Part, rows: list[tuple[str, object, object, Kinds]], scope: str
) -> list[Difference]:
    found = []
    for what, before, after, kinds in rows:
        if before != after:
            names = [kind.__name__ for kind in kinds]
            count, causes = part.newest(names, scope, CAUSES_SHOWN)
            found.append(Difference(what, _text(before), _text(after), causes, count))
    return found


def _text(value: object) -> str:
    return whole(value) if isinstance(value, int) else str(value)
