"""What does strength cost? Time and money of each config by kind of work, and the Elo that it
gained for them.

A ticket costs its seconds at the price of its node, divided by the processes that play there where
games are concerned: they share the node. Elo is that of the velocity
(`ringrift.deciders.feedback.velocity`), measured over the same window."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted, replace
from ringrift.events import facts as f

POINTS_MAX = 64
"""measurements that are remembered: more than a window holds"""
SECONDS_MIN = 1.0
"""of nodes between two measurements; less gives no rate"""


class Point(Struct, frozen=True, kw_only=True):
    """Elo above the heuristic at a time, and what was spent up to then."""

    at: datetime
    elo: float
    node_seconds: float
    cost: float


class Costs(Struct, frozen=True, kw_only=True):
    """What a config spent so far, by kind of work, and its measurements, oldest first."""

    spent: dict[f.WorkKind, f.Spent] = {}
    points: tuple[Point, ...] = ()
    tickets: tuple[str, ...] = ()
    """counted"""

    @property
    def node_seconds(self) -> float:
        """Seconds of nodes for all work."""
        return sum(one.node_seconds for one in self.spent.values())

    @property
    def cost(self) -> float:
        """Money for all work, in the operator's currency."""
        return sum(one.cost for one in self.spent.values())


class AllCosts(Configs[Costs], frozen=True, kw_only=True):
    """Costs by config; prices of nodes per hour by the operator and by themselves, and how many
    processes play on each."""

    registered: dict[str, float] = {}
    described: dict[str, float] = {}
    players: dict[str, int] = {}


DECIDER = Decider("costs", AllCosts)
Done = f.SelfplayFinished | f.EvaluationScored | f.TrainingFinished


@DECIDER.evolves
def registered(state: AllCosts, fact: f.NodeRegistered) -> AllCosts:
    return replace(state, registered={**state.registered, fact.node: fact.cost_per_hour})


@DECIDER.evolves
def described(state: AllCosts, fact: f.NodeDescribed) -> AllCosts:
    return replace(state, described={**state.described, fact.node: fact.cost_per_hour})


@DECIDER.evolves
def unregistered(state: AllCosts, fact: f.NodeUnregistered) -> AllCosts:
    left = {name: price for name, price in state.registered.items() if name != fact.node}
    return replace(state, registered=left)


@DECIDER.evolves
def sampled(state: AllCosts, fact: f.UtilisationSampled) -> AllCosts:
    players = {name: use.players for name, use in fact.nodes.items()}
    return state if players.items() <= state.players.items() else replace(state, players=players)


@DECIDER.evolves
def spent(state: AllCosts, fact: Done) -> AllCosts:
    item = state.configs.get(fact.config, Costs())
    if fact.ticket in item.tickets:
        return state
    kind, units, seconds = _work(fact)
    if kind != "training":
        seconds /= max(1, state.players.get(fact.node, 1))
    price = state.registered.get(fact.node, state.described.get(fact.node, 0.0))
    before = item.spent.get(kind, f.Spent(units=0, node_seconds=0.0, cost=0.0))
    after = f.Spent(
        units=min(before.units + units, f.COUNT_MAX),
        node_seconds=before.node_seconds + seconds,
        cost=before.cost + seconds / 3600.0 * price,
    )
    tickets = noted(item.tickets, fact.ticket)
    item = replace(item, spent={**item.spent, kind: after}, tickets=tickets)
    return replace(state, configs={**state.configs, fact.config: item})


def _work(fact: Done) -> tuple[f.WorkKind, int, float]:
    """Kind, units (games or trainings) and seconds of finished work."""
    match fact:
        case f.TrainingFinished():
            return "training", 1, fact.train_seconds
        case f.EvaluationScored():
            return "evaluation", fact.games, fact.play_seconds
    return "selfplay", fact.games, fact.play_seconds


@DECIDER.evolves
def moved(item: Costs, fact: f.VelocityChanged, context: Context) -> Costs:
    elo, seconds = fact.elo_above_heuristic, item.node_seconds
    point = Point(at=context.time, elo=elo, node_seconds=seconds, cost=item.cost)
    return replace(item, points=(*item.points, point)[-POINTS_MAX:])


@DECIDER.decides
def measure(
    item: Costs, fact: f.VelocityChanged, context: Context
) -> Iterator[f.EfficiencyMeasured]:
    """Compare the newest measurement with the one at the beginning of the window."""
    settings, last = context.settings.velocity, item.points[-1]
    start = last.at - timedelta(hours=settings.window_hours)
    base = next((one for one in reversed(item.points) if one.at <= start), item.points[0])
    seconds, cost = last.node_seconds - base.node_seconds, last.cost - base.cost
    hours = max((last.at - base.at).total_seconds() / 3600.0, settings.hours_min)
    if base is last or seconds < SECONDS_MIN:
        return
    gain = last.elo - base.elo
    yield f.EfficiencyMeasured(
        **context.basis(fact.config),
        hours=hours,
        node_hours=seconds / 3600.0,
        cost=cost,
        elo_gained=gain,
        elo_per_hour=gain / hours,
        elo_per_node_hour=_lawful(gain * 3600.0 / seconds),
        elo_per_cost=_lawful(gain / cost) if cost > 1e-6 else None,
        spent=item.spent,
    )


def _lawful(value: float) -> float:
    return min(max(value, -f.VALUE_MAX), f.VALUE_MAX)
