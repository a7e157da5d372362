"""How strong is each network, since when, with what error, and where does it come from?"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.events import facts as f
from ringrift.events.facts import Rating
from ringrift.insight.elo import elo_text
from ringrift.insight.generations import Generation
from ringrift.insight.models.model_history import VERDICTS
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobMissing
from ringrift.log.protocol import Log
from ringrift.log.topology import MODEL_BUCKET
from ringrift.web import drawing
from ringrift.web.children import Children, reason
from ringrift.web.drawing import Point
from ringrift.web.fold import Fold, Network
from ringrift.web.matches import seats_of, trial_of
from ringrift.web.pages import at_of, fold_of, number, shown, view_of
from ringrift.web.rendering import minus

menu = "/networks", "Networks"
ROWS = 100
"""networks on a page"""
SEQ_MAX = 10**18
LINEAGE_MAX = 50
"""ancestors that are shown"""
MARKS_FEW = 60
"""networks in a chart beside others"""
EXPORTS, EXPORT = Children("ONNX"), ("ringrift.nets.onnx_export",)
MARKS = 7
"""of a time axis"""


class Row(NamedTuple):
    """A network in the table."""

    network: Network
    generation: Generation | None
    rating: Rating | None


async def configs(request: Request) -> Response:
    """Show every config; go to the only one."""
    fold, at = await fold_of(request), at_of(request)
    names = list(fold.loop.configs)
    if len(names) == 1:
        return RedirectResponse(f"{f'/at/{at}' if at else ''}/networks/{names[0]}", 307)
    cards = [
        (fold.loop.configs[name], chart_of(fold, name, at, "games", MARKS_FEW)) for name in names
    ]
    return shown(request, "networks.html", title="Networks", cards=cards)


async def networks(request: Request) -> Response:
    """Show the networks of a config: Elo over games or time, and a table."""
    fold, config, at = await fold_of(request), request.path_params["config"], at_of(request)
    item = fold.loop.configs.get(config)
    if item is None:
        raise HTTPException(404, f"no config is called {config[:40]!r}")
    over = "time" if request.query_params.get("over") == "time" else "games"
    before = number(request, "before", fold.seq + 1, 0, SEQ_MAX)
    made = list(islice((one for one in fold.newest_of(config) if one.seq < before), ROWS + 1))
    rows = [
        Row(one, item.generations.get(one.generation or 0), item.rating_of(one.model))
        for one in made[:ROWS]
    ]
    return shown(
        request,
        "config.html",
        title=f"Networks of {config}",
        item=item,
        rows=rows,
        more=made[ROWS - 1].seq if len(made) > ROWS else None,
        over=over,
        chart=chart_of(fold, config, at, over),
    )


async def network(request: Request) -> Response:
    """Show one network: strength, scores, losses, lineage, downloads."""
    fold, log = await fold_of(request), request.app.state.log
    found = _network(fold, request)
    item = fold.loop.configs.get(found.config)
    trials = [trial_of(match, fold) for match in fold.running.of_model(found.model)]
    played = {trial.match.seq: await seats_of(view_of(request), trial.match) for trial in trials}
    verdict = await read.fact_at(log, f"EVENTS/{found.judged}") if found.judged else None
    asked = await read.fact_at(log, f"EVENTS/{found.requested}") if found.requested else None
    ratings, name = item.ratings if item else (), f"{found.model[:12]}:"
    return shown(
        request,
        "network.html",
        title=f"Network {found.model[:12]}",
        network=found,
        verdict_fact=verdict.event if verdict else None,
        asked=asked.event if asked and isinstance(asked.event, f.TrainingRequested) else None,
        ratings=[one for one in ratings if one.participant.startswith(name)],
        anchor=item.anchor if item else None,
        current=item is not None and item.current == found.model,
        trials=trials,
        seats=played,
        losses=await losses_of(log, found),
        ancestors=ancestors_of(fold, found),
        children=[one for one in fold.newest_of(found.config) if found.model in one.parents],
    )


async def download(request: Request) -> Response:
    """Return a network as it is in the bucket, or as an ONNX graph that a child process makes."""
    found = _network(await fold_of(request), request)
    try:
        data = await Blobs(request.app.state.log).get(MODEL_BUCKET, found.model)
    except BlobMissing as error:
        raise HTTPException(404, f"network {found.model[:12]} is not in the bucket") from error
    form = "onnx" if request.query_params.get("format") == "onnx" else "safetensors"
    if form == "onnx":
        status, data, said = await EXPORTS.run(EXPORT, seconds=300.0, given=data)
        if status:
            raise HTTPException(400, reason(said))
    name = f"{found.config}-{found.model[:12]}.{form}"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "public, max-age=31536000, immutable",
    }
    return Response(data, media_type="application/octet-stream", headers=headers)


past_routes = [
    Route("/networks", configs),
    Route("/networks/{config}", networks),
    Route("/networks/{config}/{model}", network),
]
routes = [Route("/networks/{config}/{model}/download", download)]


def _network(fold: Fold, request: Request) -> Network:
    """The network in the address, by its digest or the first digits of it."""
    config, model = request.path_params["config"], request.path_params["model"]
    known = fold.network(model)
    if known and known.config == config:
        return known
    found = [one for one in fold.newest_of(config) if one.model.startswith(model)]
    if len(found) != 1 or len(model) < 6:
        raise HTTPException(
            404, f"{len(found) or 'no'} networks of {config[:40]} start with {model[:64]!r}"
        )
    return found[0]


def ancestors_of(fold: Fold, network: Network) -> list[Network]:
    """Return the networks from whose weights a network started, the nearest first."""
    found: dict[str, Network] = {}
    waiting = list(network.parents)
    while waiting and len(found) < LINEAGE_MAX:
        known = fold.networks.get(waiting.pop(0))
        if known and known.model not in found:
            found[known.model] = known
            waiting += known.parents
    return list(found.values())


async def losses_of(log: Log, network: Network) -> Markup:
    """Draw the losses of the training that made a network."""
    if not (network.requested and network.finished):
        return Markup()
    progress = read.facts(
        log,
        f.TrainingProgressed,
        scope=network.config,
        after=network.requested,
        until=network.finished,
    )
    points = [event async for event, _ in progress if event.generation == network.generation]
    checked = [(one.step, one.validation_loss) for one in points if one.validation_loss is not None]
    series = [
        ("loss", "", [(float(one.step), one.loss) for one in points]),
        ("policy", "second", [(float(one.step), one.policy_loss) for one in points]),
        ("value", "third", [(float(one.step), one.value_loss) for one in points]),
        ("validation", "second", [(float(step), loss) for step, loss in checked]),
    ]
    return drawing.curves(series, f"losses of the training of {network.model[:12]}", "step")


def chart_of(
    fold: Fold, config: str, at: int | None, over: str, most: int = drawing.MARKS_MAX
) -> Markup:
    """Draw the Elo of the rated networks of a config, of `most` of them, over self-play games or
    over time."""
    item = fold.loop.configs[config]
    prefix, points = f"/at/{at}" if at else "", []
    for one in fold.networks_of(config, most):
        rating, row = item.rating_of(one.model), item.generations.get(one.generation or 0)
        if rating is None:
            continue
        place = one.since.timestamp() if over == "time" else float(row.games if row else 0)
        said = VERDICTS[one.promoted] or "not judged"
        name = f"generation {one.generation}, {one.model[:12]}, {said}"
        title = f"{name}: Elo {minus(elo_text(rating))}"
        href = f"{prefix}/networks/{config}/{one.model}"
        half, short = rating.elo_95_half_width, str(one.generation or one.model[:6])
        ends = rating.elo - half, rating.elo + half
        points.append(Point(place, rating.elo, *ends, short, title, href, one.promoted is not True))
    if not points:
        return Markup()
    lines = [
        (rating.elo, name)
        for name in ("heuristic", "random")
        if (rating := item.rating(f"baseline:{name}:"))
    ]
    points.sort()
    along = _times(points) if over == "time" else _games(points)
    under = "time, UTC" if over == "time" else "games of self-play before the training"
    return drawing.elo_chart(
        points, lines, along, f"Elo of the networks of {config}, 95 % intervals", under
    )


def _games(points: list[Point]) -> list[tuple[float, str]]:
    scale = drawing.Scale(points[0].x, points[-1].x, 0, 1)
    return [(mark, f"{mark:,.0f}") for mark in scale.marks(MARKS)] or [
        (points[0].x, f"{points[0].x:,.0f}")
    ]


def _times(points: list[Point]) -> list[tuple[float, str]]:
    first, last = points[0].x, points[-1].x
    steps = MARKS - 1 if last > first else 1
    places = [first + (last - first) * number / steps for number in range(steps + (last > first))]
    form = (
        "%H:%M" if last - first < 86_400 else "%m-%d" if last - first > 7 * 86_400 else "%d %H:%M"
    )
    return [(place, datetime.fromtimestamp(place, UTC).strftime(form)) for place in places]
