"""How fast does a config grow stronger? Elo an hour of its promoted networks, and how far the
current one is above the heuristic.

Elo is measured from the heuristic baseline in the newest rating table: the tables' own zero moves
with every player that joins. A config whose best gap has not grown for 24 hours has stalled. Only
recorded time counts: hours in which nobody ran do not."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ModelPromoted,
    ModelRolledBack,
    Pace,
    ProgressRecovered,
    ProgressStalled,
    RatingsUpdated,
    SettingsChanged,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import VelocitySettings

HEURISTIC = "baseline:heuristic:"
POINTS_MAX = 64
"""promoted networks that are remembered: more than a window holds"""
TICK_SECONDS_MAX = 300.0
"""a longer pause between two ticks counts as this: nobody ran"""


class Point(Struct, frozen=True, kw_only=True):
    """A network that became current at `at`, and its Elo above the heuristic once both are
    rated."""

    model: str
    at: datetime
    gap: float | None = None


class ConfigVelocity(Struct, frozen=True, kw_only=True):
    """One config: its promoted networks, oldest first, what was told last, and the best gap with
    the time since it was reached."""

    points: tuple[Point, ...] = ()
    told: VelocityChanged | None = None
    best: float | None = None
    idle_seconds: float = 0.0
    stalled: bool = False
    stalled_at: float = 0.0
    """best gap when it stalled"""


class VelocityState(Struct, frozen=True, kw_only=True):
    """Settings in force, the last tick, and every config that has a current network."""

    settings: Settings = Settings(configs=())
    version: int = 0
    ticked: datetime | None = None
    configs: dict[str, ConfigVelocity] = {}


def evolve(state: VelocityState, event: Fact, meta: Context) -> VelocityState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case ModelPromoted():
            return _became_current(state, event.config, event.model, meta.time)
        case ModelRolledBack():
            return _became_current(state, event.config, event.current, meta.time)
        case RatingsUpdated():
            return _with(
                state, event.config, _rated(_of(state, event.config), event, state.settings)
            )
        case TickRecorded():
            return _ticked(state, meta.time)
        case VelocityChanged():
            return _with(state, event.config, replace(_of(state, event.config), told=event))
        case ProgressStalled():
            return _with(
                state,
                event.config,
                replace(
                    _of(state, event.config),
                    stalled=True,
                    stalled_at=event.best_elo_above_heuristic,
                ),
            )
        case ProgressRecovered():
            return _with(state, event.config, replace(_of(state, event.config), stalled=False))
    return state


def decide(state: VelocityState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """What a new rating table or a minute more tells."""
    match event:
        case RatingsUpdated():
            return (
                *_change(state, event.config, meta.time, False),
                *_recovery(state, event.config),
            )
        case TickRecorded():
            return tuple(
                fact
                for config in state.settings.configs
                if config in state.configs
                for fact in (*_change(state, config, meta.time, True), *_stall(state, config))
            )
    return ()


def velocity(points: tuple[Point, ...], now: datetime, settings: VelocitySettings) -> float | None:
    """Elo an hour gained in the window before `now`; None while fewer than two networks were
    promoted and rated.

    Without a promotion in the window the gain is 0; the window of a young config begins with its
    first network."""
    rated = [(point.at, point.gap) for point in points if point.gap is not None]
    if len(rated) < 2:
        return None
    start = now - timedelta(hours=settings.window_hours)
    base_at, base = next(((at, gap) for at, gap in reversed(rated) if at <= start), rated[0])
    hours = (now - max(base_at, start)).total_seconds() / 3600.0
    return (rated[-1][1] - base) / max(hours, settings.hours_min)


def pace_of(value: float | None, settings: VelocitySettings) -> Pace | None:
    """In words; regression is looked at first, for it is slower than stalled too."""
    if value is None:
        return None
    if value < settings.regressing_below:
        return "regressing"
    if value < settings.stalled_below:
        return "stalled"
    return "fast" if value > settings.fast_above else "steady"


def _change(state: VelocityState, config: str, now: datetime, pace_only: bool) -> tuple[Fact, ...]:
    item, settings = _of(state, config), state.settings.velocity
    if not item.points or (gap := item.points[-1].gap) is None:
        return ()
    value, told = velocity(item.points, now, settings), item.told
    fact = VelocityChanged(
        config=config,
        model=item.points[-1].model,
        elo_per_hour=value,
        pace=pace_of(value, settings),
        elo_above_heuristic=gap,
        settings_version=state.version,
    )
    if told is not None and told.pace == fact.pace:
        moved = max(
            abs((value or 0.0) - (told.elo_per_hour or 0.0)), abs(gap - told.elo_above_heuristic)
        )
        if pace_only or (told.model == fact.model and moved < settings.change_min):
            return ()
    return (fact,)


def _stall(state: VelocityState, config: str) -> tuple[Fact, ...]:
    item = _of(state, config)
    if (
        item.stalled
        or item.best is None
        or item.idle_seconds < state.settings.velocity.stall_hours * 3600.0
    ):
        return ()
    return (
        ProgressStalled(
            config=config,
            best_elo_above_heuristic=item.best,
            stalled_seconds=item.idle_seconds,
            settings_version=state.version,
        ),
    )


def _recovery(state: VelocityState, config: str) -> tuple[Fact, ...]:
    item = _of(state, config)
    if not item.stalled or item.best is None or item.best <= item.stalled_at:
        return ()
    return (
        ProgressRecovered(
            config=config,
            best_elo_above_heuristic=item.best,
            elo_gain=item.best - item.stalled_at,
            stalled_seconds=item.idle_seconds,
            settings_version=state.version,
        ),
    )


def _became_current(state: VelocityState, config: str, model: str, at: datetime) -> VelocityState:
    item = _of(state, config)
    known = next((point.gap for point in item.points if point.model == model), None)
    points = (*item.points, Point(model=model, at=at, gap=known))
    return _with(state, config, replace(item, points=points[-POINTS_MAX:]))


def _rated(item: ConfigVelocity, event: RatingsUpdated, settings: Settings) -> ConfigVelocity:
    zero = next((row.elo for row in event.ratings if row.participant.startswith(HEURISTIC)), None)
    if zero is None or not item.points:
        return item
    gaps = {
        model: row.elo - zero
        for model, row in as_tried(event.ratings, settings.evaluation.simulations).items()
    }
    points = tuple(
        replace(point, gap=gaps.get(point.model[:12], point.gap)) for point in item.points
    )
    gap = points[-1].gap
    if gap is None or (item.best is not None and gap < item.best + settings.velocity.gain_min):
        return replace(item, points=points)
    return replace(
        item, points=points, best=gap, idle_seconds=item.idle_seconds if item.stalled else 0.0
    )


def _ticked(state: VelocityState, now: datetime) -> VelocityState:
    passed = (now - state.ticked).total_seconds() if state.ticked else 0.0
    passed = min(max(passed, 0.0), TICK_SECONDS_MAX)
    configs = {
        name: replace(item, idle_seconds=item.idle_seconds + passed)
        for name, item in state.configs.items()
    }
    return replace(state, ticked=now, configs=configs)


def _of(state: VelocityState, config: str) -> ConfigVelocity:
    return state.configs.get(config, ConfigVelocity())


def _with(state: VelocityState, config: str, item: ConfigVelocity) -> VelocityState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="velocity",
    state=VelocityState,
    reads=(SettingsChanged, ModelPromoted, ModelRolledBack, RatingsUpdated, TickRecorded),
    writes=(VelocityChanged, ProgressStalled, ProgressRecovered),
    initial=VelocityState,
    evolve=evolve,
    decide=decide,
)
