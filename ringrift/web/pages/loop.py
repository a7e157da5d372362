"""Is it learning, what is it doing, does it need me?"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import Fact, facts as f
from ringrift.events.facts import Rating
from ringrift.insight.describe import fields_line, plural
from ringrift.insight.generations import ConfigView
from ringrift.insight.needs import needs
from ringrift.web.fold import Fold
from ringrift.web.matches import Trial, trial_of
from ringrift.web.pages import at_of, fold_of, shown, view_of
from ringrift.web.pages.networks import MARKS_FEW, chart_of
from ringrift.web.view import View

menu = "/", "Loop"
CHARTS_MAX = 3
"""configs with a chart beside their cards; of more, the page has the cards only"""


class Stage(NamedTuple):
    """What a config is doing, as words and a number: `done` of `wanted`, which may be unknown."""

    name: str
    kind: str
    unit: str = ""
    done: float = 0
    wanted: float = 0
    more: str = ""
    left_seconds: float | None = None


class Card(NamedTuple):
    """All that the card of a config shows."""

    view: ConfigView
    stage: Stage
    trials: list[Trial]
    rating: Rating | None
    generation: int | None
    games: int
    games_an_hour: float | None
    hours: float
    cost: float | None
    left_seconds: float | None
    decisions: list[tuple[str, str, int, datetime, str]]


async def loop(request: Request) -> Response:
    """Show a card for each config, below what needs a person."""
    fold, now = await fold_of(request), None if at_of(request) else view_of(request)
    cards = [card_of(fold, config, now) for config in fold.loop.configs]
    few, at = len(cards) <= CHARTS_MAX, at_of(request)
    charts = {
        one.view.config: chart_of(fold, one.view.config, at, "games", MARKS_FEW)
        for one in cards
        if few
    }
    return shown(
        request,
        "loop.html",
        title="Loop",
        fold=fold,
        cards=cards,
        charts=charts,
        needs=needs(fold.loop, now),
        heard=now is not None and bool(now.beats),
    )


past_routes = [Route("/", loop, name="loop")]


def card_of(fold: Fold, config: str, view: View | None) -> Card:
    """Return the card of a config, as it is now with the view of now."""
    item, pace, time = (
        fold.loop.configs[config],
        fold.pace(config),
        view.now() if view else fold.time,
    )
    speed = view.games_an_hour(config) if view else pace.games_per_hour(time)
    trials = [trial_of(match, fold) for match in fold.running.open(config)]
    network = fold.networks.get(item.current or "")
    return Card(
        view=item,
        stage=stage_of(fold, item, trials, view),
        trials=trials,
        rating=item.rating_of(item.current),
        generation=network.generation if network else None,
        games=item.games + (view.in_hand(config) if view else 0),
        games_an_hour=speed or None,
        hours=sum(pace.hours.values()),
        cost=pace.cost if pace.priced else None,
        left_seconds=item.seconds_left(fold.loop.generations_wanted) or None,
        decisions=[said(event, meta.seq, meta.time) for event, meta in reversed(pace.decisions)][
            :4
        ],
    )


def stage_of(fold: Fold, item: ConfigView, trials: list[Trial], view: View | None) -> Stage:
    """Return what a config is doing."""
    pace, settings = fold.pace(item.config), fold.in_force.settings
    if (now := item.training) is not None:
        name = f"Training generation {now.generation}"
        speed = now.samples_per_second
        left = (now.steps - now.step) * settings.training.batch / speed if speed else None
        more = f"loss {now.loss:.3f}, {speed:,.0f} samples a second"
        return Stage(name, "training", "step", now.step, now.steps, more, left)
    if item.training_now is not None:
        name = item.doing[0].upper() + item.doing[1:]
        return Stage(name, "waiting" if item.training_wanted else "training")
    if pace.finished < pace.planned:
        done = pace.finished + (view.in_hand(item.config) if view else 0)
        hourly = view.games_an_hour(item.config) if view else None
        left = (pace.planned - done) / hourly * 3600 if hourly else None
        name = f"Playing generation {pace.generation}"
        return Stage(name, "playing", "games", min(done, pace.planned), pace.planned, "", left)
    if item.training_failed is not None:
        return Stage(f"Training of generation {item.training_failed} failed", "failed")
    tested = [trial for trial in trials if trial.match.purpose == "promotion"]
    if tested:
        trial = tested[-1]
        name = f"Testing generation {trial.match.generation}"
        return Stage(name, "testing", "trial", trial.now.starts, trial.now.starts_max)
    if trials:
        played, wanted = (
            sum(getattr(one.now, name) for one in trials) for name in ("games", "games_wanted")
        )
        name = f"Evaluating generation {trials[-1].match.generation}"
        return Stage(name, "testing", "games", played, wanted)
    if fold.loop.generations_wanted and item.judged >= fold.loop.generations_wanted:
        return Stage(f"All {plural(item.judged, 'generation')} judged", "done")
    text = item.doing
    return Stage(text[0].upper() + text[1:], "failed" if "failed" in text else "waiting")


def said(event: Fact, seq: int, time: datetime) -> tuple[str, str, int, datetime, str]:
    """Return a decision in words: what, why, where it stands, when, and its kind."""
    match event:
        case f.ModelPromoted():
            return f"Generation {event.generation} promoted", event.why, seq, time, "good"
        case f.PromotionRejected():
            return f"Generation {event.generation} rejected", event.why, seq, time, "bad"
        case f.ModelRolledBack():
            return "Rolled back", event.why, seq, time, "bad"
        case f.TrainingRequested():
            what = f"Training of generation {event.generation}"
            return what, f"{event.samples:,} samples: {event.reason}", seq, time, ""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event).__name__).capitalize()
    reasons = (getattr(event, name, "") for name in ("why", "detail", "reason"))
    return words, next(filter(None, reasons), "") or fields_line(event), seq, time, ""
