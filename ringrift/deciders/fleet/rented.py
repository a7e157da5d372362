"""What is rented, what it is worth, and why it should be returned: the state of the decider
`ringrift.deciders.fleet.renting`, and questions about it."""

from __future__ import annotations

from datetime import datetime
from math import inf, sqrt

from ringrift.deciders.fleet.durations import Durations, Spread
from ringrift.deciders.fleet.offers import PRICE_MIN, Offer
from ringrift.deciders.kit import Context, Struct
from ringrift.events.settings import RentingSettings

SAMPLE_AGE_SECONDS_MAX = 600.0
"""an older sample says nothing about now"""
PAUSE_SECONDS_MAX = 6 * 3600.0
HOUR_SECONDS = 3600.0
NAMES = "rented"
"""begins the names of nodes, so that they are not those of nodes of the operator's own"""
SURPLUS = 1.25
"""more speed than this factor of what the deadline needs is returned"""


class Rented(Struct, frozen=True, kw_only=True):
    """What was asked for or is rented; `instance` is empty until it is rented."""

    offer: str
    cost_per_hour: float
    since: datetime
    instance: str = ""
    seen: bool = False
    """whether it ever sent a heartbeat"""
    present: bool = False
    idle_seconds: float = 0.0
    gone: str = ""
    """why it is to be returned: drained, preempted, or to be replaced"""
    stopped: datetime | None = None
    """when it stopped in an orderly way; an update starts it again"""
    draining_since: datetime | None = None
    returning: bool = False
    failures: int = 0
    """of returns"""
    again_at: datetime | None = None
    """when a return that failed is asked for again"""


class Refused(Struct, frozen=True, kw_only=True):
    """Failures of an offer in a row, and since when it is not asked."""

    failures: int
    since: datetime


class Renting(Struct, frozen=True, kw_only=True):
    """What is rented by node, what the provider runs besides, and what decides about more."""

    nodes: dict[str, Rented] = {}
    orphans: dict[str, Rented] = {}
    refused: dict[str, Refused] = {}
    asked: tuple[datetime, ...] = ()
    """times of the requests of the last hour"""
    last: dict[str, str] = {}
    """the node of each offer that was asked for last"""
    calm_since: datetime | None = None
    """when a node was last returned because it was idle"""
    spent: float = 0.0
    ticked: datetime | None = None
    waiting: float = 0.0
    """share of the cores that wait for tickets"""
    sampled: datetime | None = None
    judged: dict[str, int] = {}
    """newest generation with a verdict, by config"""
    speed_seconds: float = 0.0
    """work since the last verdict: seconds of nodes times their speed"""
    per_verdict: Spread = Spread()
    """such seconds that a verdict takes"""
    others: int = 0
    """nodes with workers that are not rented"""
    elo_per_cost: dict[str, float] = {}
    play: Durations = Durations()
    tickets: tuple[str, ...] = ()

    @property
    def cost_per_hour(self) -> float:
        """Cost of all that is asked for, rented, or not yet returned; orphans left out."""
        return sum(node.cost_per_hour for node in self.nodes.values())


def why_not(state: Renting, offers: dict[str, Offer], context: Context) -> str:
    """Why nothing more is rented now; empty if the budget alone decides."""
    settings = context.settings.renting
    if not offers:
        return "there is no offer (`renting.offers`)"
    if why := useless(state, context):
        return why
    if context.pauses.stops("all", "selfplay"):
        return "self-play is paused"
    fresh = seconds_since(state.sampled, context) < SAMPLE_AGE_SECONDS_MAX
    if fresh and state.waiting > 1.0 - settings.used_min:
        return f"{state.waiting:.0%} of the cores wait for a ticket already"
    if seconds_since(state.calm_since, context) < settings.calm_minutes * 60.0:
        return "a node was returned a short while ago, because it was idle"
    return ""


def useless(state: Renting, context: Context) -> str:
    """Why nothing at all should be rented; empty if something may be."""
    settings, ends = context.settings.renting, context.settings.renting.ends()
    if not settings.budget_per_hour:
        return "there is no budget (`renting.budget_per_hour`)"
    if settings.budget and state.spent >= settings.budget:
        return f"the budget is spent: {state.spent:,.2f} of {settings.budget:,.2f}"
    if ends is not None and context.time >= ends:
        return f"the deadline {settings.deadline} has passed"
    if context.settings.generations and not verdicts_left(state, context):
        return "all wanted generations are judged"
    known, least = state.elo_per_cost, settings.elo_per_cost_min
    best = max((known[name] for name in context.settings.configs if name in known), default=least)
    if least and best < least:
        return (
            f"the best config gains {best:.1f} Elo per unit of cost, less than {least:g} "
            "(`renting.elo_per_cost_min`)"
        )
    return ""


def verdicts_left(state: Renting, context: Context) -> int:
    """Verdicts that are wanted and missing."""
    settings = context.settings
    wanted = (settings.generations - state.judged.get(name, 0) for name in settings.configs)
    return sum(max(0, left) for left in wanted)


def needed(state: Renting, context: Context) -> float | None:
    """Speed of all nodes that most likely keeps the deadline; None without one, or before the first
    verdict."""
    settings, verdict = context.settings.renting, state.per_verdict
    ends, left = settings.ends(), verdicts_left(state, context)
    if ends is None or not context.settings.generations or not verdict.mean:
        return None
    spare = settings.deadline_sigmas * sqrt(left * verdict.variance)
    return (left * verdict.mean + spare) / max((ends - context.time).total_seconds(), 60.0)


def leaving(state: Renting, offers: dict[str, Offer], context: Context) -> dict[str, str]:
    """The nodes to return, and why."""
    settings = context.settings.renting
    all_go, found = useless(state, context), {}
    for name, node in state.nodes.items():
        if node.instance and (why := all_go or worn(node, settings, context)):
            found[name] = why
    cost, speed, need = state.cost_per_hour, speed_of(state, offers), needed(state, context)
    for name, node in sorted(state.nodes.items(), key=lambda item: worth(item[1], offers)):
        own = offers[node.offer].speed if node.offer in offers else 0.0
        if node.returning or name in found:
            cost, speed = cost - node.cost_per_hour, speed - own
        elif not node.instance:
            continue
        elif cost > settings.budget_per_hour + 1e-9:
            found[name] = f"{cost:,.2f} per hour are more than the budget"
            cost, speed = cost - node.cost_per_hour, speed - own
        elif need is not None and speed - own > need * SURPLUS:
            found[name] = "the deadline is kept without it"
            cost, speed = cost - node.cost_per_hour, speed - own
    return found


def worn(node: Rented, settings: RentingSettings, context: Context) -> str:
    """Why one node should be returned whatever the others do; empty if it should not."""
    if node.gone:
        return node.gone
    if node.idle_seconds >= settings.idle_minutes * 60.0:
        return f"it had no work for {node.idle_seconds / 60.0:,.0f} minutes"
    boot_seconds = settings.boot_minutes * 60.0
    if node.stopped and seconds_since(node.stopped, context) >= boot_seconds:
        return f"it stopped {settings.boot_minutes} minutes ago"
    if not node.seen and seconds_since(node.since, context) >= boot_seconds:
        return f"it sent no heartbeat in {settings.boot_minutes} minutes"
    return ""


def blocked(offer: Refused | None, settings: RentingSettings, context: Context) -> bool:
    """Whether an offer failed so often that it is not asked now."""
    if offer is None or offer.failures < settings.failures_max:
        return False
    pause = settings.pause_minutes * 60.0 * 2.0 ** min(offer.failures - settings.failures_max, 30)
    return seconds_since(offer.since, context) < min(pause, PAUSE_SECONDS_MAX)


def free_names(state: Renting, offer: Offer) -> list[str]:
    """Names of an offer's nodes that may be rented, the one that was not used for longest first:
    what had it may be about to stop."""
    names = [f"{NAMES}-{offer.name}-{number}" for number in range(1, offer.most + 1)]
    last = state.last.get(offer.name)
    turn = names.index(last) + 1 if last in names else 0
    used = state.nodes.keys() | state.orphans.keys()
    count = sum(node.offer == offer.name for node in state.nodes.values())
    return [name for name in names[turn:] + names[:turn] if name not in used][: offer.most - count]


def is_due_again(node: Rented, settings: RentingSettings, context: Context) -> bool:
    """Whether a return that failed is due again."""
    pause = settings.pause_minutes * 60.0
    return node.again_at is not None and seconds_since(node.again_at, context) >= pause


def finishes(node: Rented, settings: RentingSettings, context: Context) -> bool:
    """Whether a node still finishes its tickets."""
    since = node.draining_since
    return (
        node.present
        and since is not None
        and seconds_since(since, context) < settings.drain_seconds
    )


def speed_of(state: Renting, offers: dict[str, Offer], *, present: bool = False) -> float:
    """Speed of all nodes that work or will, or are `present`; those not rented count as 1."""
    rented = state.nodes.values()
    here = (one for one in rented if (one.present if present else not one.returning))
    return state.others + sum(offers[one.offer].speed for one in here if one.offer in offers)


def worth(node: Rented, offers: dict[str, Offer]) -> tuple[float, datetime]:
    """What is returned first: little speed for its cost, then the oldest."""
    speed = offers[node.offer].speed if node.offer in offers else 0.0
    return speed / max(node.cost_per_hour, PRICE_MIN), node.since


def seconds_since(moment: datetime | None, context: Context) -> float:
    """Seconds from a moment to the time of the event; infinite without one."""
    return (context.time - moment).total_seconds() if moment else inf
