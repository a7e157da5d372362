"""How fast does a config get stronger? Elo per hour of its promoted networks, and the distance of
the current network from the heuristic.

Elo is measured from the heuristic baseline in the newest rating table, whatever its anchor. A
config whose best distance has not grown for 24 hours stalls.
Only recorded time counts: hours in which no coordinator ran do not."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace, tick_seconds
from ringrift.deciders.loop.rating import HEURISTIC, as_tried, heuristic_elo
from ringrift.events import facts as f
from ringrift.events.settings import VelocitySettings

Reported = Iterator[f.VelocityChanged | f.ProgressStalled | f.ProgressRecovered]
POINTS_MAX = 64
"""promoted networks that are remembered: more than a window holds"""


class Point(Struct, frozen=True, kw_only=True):
    """A network that became current at `at`, and its Elo above the heuristic once both are rated,
    with the half-width of its 95 % interval where the heuristic is the anchor."""

    model: str
    at: datetime
    gap: float | None = None
    half_width: float | None = None


class Velocity(Struct, frozen=True, kw_only=True):
    """The networks of a config that became current, oldest first, and its best gap with the
    recorded time since."""

    points: tuple[Point, ...] = ()
    reported: f.VelocityChanged | None = None
    """the newest report"""
    best: float | None = None
    idle_seconds: float = 0.0
    stalled: bool = False
    stalled_at: float = 0.0
    """best gap when it stalled"""


class Velocities(Configs[Velocity], frozen=True, kw_only=True):
    """Every config that has a current network, and the newest tick."""

    ticked: datetime | None = None


DECIDER = Decider("velocity", Velocities)


@DECIDER.evolves
def became_current(item: Velocity, fact: f.IncumbentChanged, context: Context) -> Velocity:
    again = (replace(one, at=context.time) for one in item.points if one.model == fact.current)
    points = (*item.points, next(again, Point(model=fact.current, at=context.time)))
    return replace(item, points=points[-POINTS_MAX:])


@DECIDER.evolves
def rated(item: Velocity, fact: f.RatingsUpdated, context: Context) -> Velocity:
    zero, settings = heuristic_elo(fact.ratings), context.settings
    if zero is None or not item.points:
        return item
    ratings = as_tried(fact.ratings, settings.evaluation.simulations)
    anchored = (fact.anchor or "").startswith(HEURISTIC)
    points = tuple(
        replace(one, gap=row.elo - zero, half_width=row.elo_95_half_width if anchored else None)
        if (row := ratings.get(one.model[:12]))
        else one
        for one in item.points
    )
    item, gap = replace(item, points=points), points[-1].gap
    if gap is None or (item.best is not None and gap < item.best + settings.velocity.gain_min):
        return item
    # a stall keeps its duration until the recovery has reported it
    return replace(item, best=gap, idle_seconds=item.idle_seconds if item.stalled else 0.0)


@DECIDER.evolves
def ticked(state: Velocities, fact: f.TickRecorded, context: Context) -> Velocities:
    passed = tick_seconds(state.ticked, context.time)
    configs = {
        name: replace(item, idle_seconds=item.idle_seconds + passed)
        for name, item in state.configs.items()
    }
    return replace(state, ticked=context.time, configs=configs)


@DECIDER.evolves
def reported(item: Velocity, fact: f.VelocityChanged) -> Velocity:
    return replace(item, reported=fact)


@DECIDER.evolves
def stalled(item: Velocity, fact: f.ProgressStalled) -> Velocity:
    return replace(item, stalled=True, stalled_at=fact.best_elo_above_heuristic)


@DECIDER.evolves
def recovered(item: Velocity, fact: f.ProgressRecovered) -> Velocity:
    return replace(item, stalled=False)


@DECIDER.decides
def on_ratings(item: Velocity, fact: f.RatingsUpdated, context: Context) -> Reported:
    """Report the velocity where it moved, and the end of a stall."""
    yield from _change(item, fact.config, context, pace_only=False)
    if item.stalled and item.best is not None and item.best > item.stalled_at:
        yield f.ProgressRecovered(
            **context.basis(fact.config),
            best_elo_above_heuristic=item.best,
            elo_gain=item.best - item.stalled_at,
            stalled_seconds=item.idle_seconds,
        )


@DECIDER.decides
def on_tick(state: Velocities, fact: f.TickRecorded, context: Context) -> Reported:
    """Report changes of pace, and stalls."""
    stall_seconds = context.settings.velocity.stall_hours * 3600.0
    for config in context.settings.configs:
        item = state.configs.get(config)
        if item is None:
            continue
        yield from _change(item, config, context, pace_only=True)
        if not item.stalled and item.best is not None and item.idle_seconds >= stall_seconds:
            yield f.ProgressStalled(
                **context.basis(config),
                best_elo_above_heuristic=item.best,
                stalled_seconds=item.idle_seconds,
            )


def velocity(points: tuple[Point, ...], now: datetime, settings: VelocitySettings) -> float | None:
    """Elo per hour gained in the window before `now`; None with fewer than two rated networks.

    Without a promotion in the window the gain is 0; the window of a young config begins with its
    first network."""
    rated = [(point.at, point.gap) for point in points if point.gap is not None]
    if len(rated) < 2:
        return None
    start = now - timedelta(hours=settings.window_hours)
    base_at, base = next(((at, gap) for at, gap in reversed(rated) if at <= start), rated[0])
    hours = (now - max(base_at, start)).total_seconds() / 3600.0
    return (rated[-1][1] - base) / max(hours, settings.hours_min)


def pace_of(value: float | None, settings: VelocitySettings) -> f.Pace | None:
    """The pace of a velocity; None if it is unknown."""
    if value is None:
        return None
    if value < settings.regressing_below:
        return "regressing"
    if value < settings.stalled_below:
        return "stalled"
    return "fast" if value > settings.fast_above else "steady"


def _change(item: Velocity, config: str, context: Context, *, pace_only: bool) -> Reported:
    settings, last = context.settings.velocity, item.reported
    if not item.points or (gap := item.points[-1].gap) is None:
        return
    value = velocity(item.points, context.time, settings)
    fact = f.VelocityChanged(
        **context.basis(config),
        model=item.points[-1].model,
        elo_per_hour=value,
        pace=pace_of(value, settings),
        elo_above_heuristic=gap,
        elo_95_half_width=item.points[-1].half_width,
    )
    if last is not None and last.pace == fact.pace:
        faster = abs((value or 0.0) - (last.elo_per_hour or 0.0))
        moved = max(faster, abs(gap - last.elo_above_heuristic))
        # ticks come every minute, and only a change of pace is worth a report then
        if pace_only or (last.model == fact.model and moved < settings.change_min):
            return
    yield fact
