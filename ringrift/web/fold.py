"""Projections of `EVENTS` that the pages show, as they are after one event; cheap to copy, so that
earlier ones can be kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.context import InForce
from ringrift.deciders.fleet import audits, dead_letters, nodes
from ringrift.deciders.kit import Context, Decider
from ringrift.events import EventMeta, Fact, Recorded, facts as f
from ringrift.insight.generations import LoopView
from ringrift.insight.running import Running
from ringrift.web.drawing import chosen
from ringrift.web.shelf import Shelf, copied

DECISIONS_KEPT_MAX = 12
"""decisions of a config"""
DIGITS = 12
"""of a digest in the name of a participant"""
TICKETS_KEPT_MAX = 100
"""finished tickets of a config by which its speed is known"""
DECIDERS: tuple[tuple[Decider[Any], type[Fact]], ...] = (
    (nodes.DECIDER, f.NodeFact),
    (audits.DECIDER, f.NodeFact),
    (dead_letters.DECIDER, f.DeadLetterFact),
)
"""deciders whose states pages show, with the facts that change them"""
ROUTINE = (
    f.SelfplayPlanned,
    f.EvaluationRequested,
    f.ReanalysisRequested,
    f.VelocityChanged,
    f.QualityAssessed,
    f.ShardRetired,
    f.WorkEscalated,
    f.ArchitectureSharesDecided,
    f.EfficiencyMeasured,
)
"""decisions that a person does not ask about"""


class Network(Struct, frozen=True, kw_only=True):
    """A network: the fact that it exists, and the sequences of what happened to it, 0 if nothing
    did."""

    model: str
    config: str
    generation: int | None
    architecture: str
    parameters: int
    parents: tuple[str, ...]
    seq: int
    since: datetime
    requested: int = 0
    finished: int = 0
    judged: int = 0
    promoted: bool | None = None
    """None before its verdict"""
    attested: tuple[str, ...] = ()
    """nodes with coordinators that derived its promotion again and signed it"""


@dataclass
class Pace:
    """What one config is doing, how fast, and what it has cost.

    generation, planned, finished    generation that is played, its games planned and in finished
                                     tickets
    tickets                          (time, games) of finished tickets of self-play, newest last
    hours                            of work by kind
    cost, priced                     sum over work on nodes with a price, and whether there was any
    lowest_loss                      of its trainings
    """

    since: datetime
    generation: int = 0
    planned: int = 0
    finished: int = 0
    tickets: deque[tuple[datetime, int]] = field(
        default_factory=lambda: deque(maxlen=TICKETS_KEPT_MAX)
    )
    decisions: deque[Recorded] = field(default_factory=lambda: deque(maxlen=DECISIONS_KEPT_MAX))
    hours: dict[str, float] = field(default_factory=dict)
    cost: float = 0.0
    priced: bool = False
    lowest_loss: float | None = None

    def take(self, event: Fact, meta: EventMeta, prices: dict[str, float]) -> None:
        """Fold a fact of the config; `prices` are those of an hour on each node."""
        match event:
            case f.SelfplayPlanned() if not event.spare:
                if event.generation != self.generation or not self.planned:
                    self.planned = self.finished = 0
                    self.generation, self.since = event.generation, meta.time
                self.planned += event.games
            case f.SelfplayFinished():
                if event.generation == self.generation and not event.spare:
                    self.finished += event.games
                    self.planned -= event.lost  # they are planned again
                self.tickets.append((meta.time, event.games))
                self._worked("selfplay", event.node, event.play_seconds, prices)
            case f.TrainingFinished():
                self.lowest_loss = min(event.loss, self.lowest_loss or event.loss)
                self._worked("training", event.node, event.train_seconds, prices)
            case f.EvaluationScored():
                self._worked("evaluation", event.node, event.play_seconds, prices)
        if isinstance(event, f.ConfigDecision) and not isinstance(event, ROUTINE):
            self.decisions.append(Recorded(event, meta))

    def _worked(self, kind: str, node: str, seconds: float, prices: dict[str, float]) -> None:
        self.hours[kind] = self.hours.get(kind, 0.0) + seconds / 3600
        if node in prices:
            self.priced, self.cost = True, self.cost + seconds / 3600 * prices[node]

    def games_per_hour(self, now: datetime) -> float | None:
        """Games of self-play an hour in the tickets of the last hour, None without any."""
        recent = [item for item in self.tickets if (now - item[0]).total_seconds() < 3600]
        if not recent:
            return None
        first = self.since
        if len(recent) < len(self.tickets):
            first = self.tickets[-len(recent) - 1][0]
        elif len(recent) == TICKETS_KEPT_MAX:  # there were more
            first = recent.pop(0)[0]
        seconds = min(3600.0, (now - first).total_seconds())
        return sum(games for _, games in recent) / seconds * 3600 if seconds > 0 else None


class Fold:
    """Projections of `EVENTS` up to `seq`, which was stored at `time`.

    loop        generations, scores, ratings, pauses and troubles by config
    running     matches, with those that are being played
    paces       what each config is doing, how fast, at what cost
    networks    by digest, the oldest first
    models      digests of the networks of each config, numbered from 0, the oldest first
    in_force    settings and pauses
    states      of the deciders in `DECIDERS`, by name
    """

    def __init__(self) -> None:
        self.seq = 0
        self.time = datetime.fromtimestamp(0, UTC)
        self.loop, self.running = LoopView(table=Shelf), Running(Shelf)
        self.in_force = InForce()
        self.paces: dict[str, Pace] = {}
        self.networks: Shelf[str, Network] = Shelf()
        self.models: dict[str, Shelf[int, str]] = {}
        self._short: Shelf[str, str] = Shelf()
        """digests by their first digits, by which participants are named"""
        self.states: dict[str, Any] = {one.name: one.initial() for one, _ in DECIDERS}
        self._prices: dict[str, float] = {}
        self._trained: dict[str, int] = {}
        """sequence of the end of the training of a network that is not registered yet"""

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        self.seq, self.time = meta.seq, meta.time
        self.loop.take(recorded)
        self.running.take(recorded)
        self.in_force = self.in_force.after(event)
        for decider, kind in DECIDERS:
            if isinstance(event, kind):
                context = Context.of(meta, self.in_force)
                state = decider.evolve(self.states[decider.name], event, context)
                self.states[decider.name] = state
        if isinstance(event, f.NodeRegistered):
            self._prices[event.node] = event.cost_per_hour
        elif isinstance(event, f.ConfigFact):
            self._networks(event, meta)
            if event.config in self.loop.configs:
                self.pace(event.config, meta.time).take(event, meta, self._prices)

    def pace(self, config: str, time: datetime | None = None) -> Pace:
        """Return what a config is doing, created if missing."""
        if config not in self.paces:
            self.paces[config] = Pace(time or self.time)
        return self.paces[config]

    def networks_of(self, config: str, most: int = 0) -> list[Network]:
        """Return the networks of a config, the oldest first; of more than `most`, if it is given,
        evenly chosen ones."""
        models = self.models.get(config, Shelf())
        every = range(len(models))
        return [
            self.networks[models[number]] for number in (chosen(every, most) if most else every)
        ]

    def newest_of(self, config: str) -> Iterator[Network]:
        """Yield the networks of a config, the newest first."""
        return (self.networks[model] for model in self.models.get(config, Shelf()).newest())

    def network(self, name: str) -> Network | None:
        """Return the network with a digest, or with its first `DIGITS`; None if there is none."""
        return self.networks.get(self._short.get(name, name))

    def _networks(self, event: Fact, meta: EventMeta) -> None:
        match event:
            case f.ModelRegistered() | f.ModelDerived():
                stream, _, seq = (meta.cause or "").partition("/")
                if event.model not in self.networks:
                    models = self.models.setdefault(event.config, Shelf())
                    models[len(models)] = event.model
                self._short[event.model[:DIGITS]] = event.model
                self.networks[event.model] = Network(
                    model=event.model,
                    config=event.config,
                    generation=getattr(event, "generation", None),
                    architecture=event.architecture,
                    parameters=event.parameters,
                    parents=event.parents,
                    seq=meta.seq,
                    since=meta.time,
                    requested=int(seq) if stream == "EVENTS" else 0,
                    finished=self._trained.pop(event.model, 0),
                )
            case f.ModelAdopted():
                models = self.models.setdefault(event.config, Shelf())
                models[len(models)] = event.model
            case f.TrainingFinished():
                if event.model in self.networks:
                    self._happened(event.model, finished=meta.seq)
                else:
                    self._trained.setdefault(event.model, meta.seq)
            case f.ModelPromoted() | f.PromotionRejected():
                promoted, known = isinstance(event, f.ModelPromoted), self.networks.get(event.model)
                if known and known.config == event.config:  # else it was adopted there
                    self._happened(event.model, judged=meta.seq, promoted=promoted)
            case f.PromotionAttested() if known := self.networks.get(event.model):
                nodes = dict.fromkeys((*known.attested, event.node))
                self._happened(event.model, attested=tuple(nodes))

    def _happened(self, model: str, **changes: object) -> None:
        if known := self.networks.get(model):
            self.networks[model] = replace(known, **changes)

    def copy(self) -> Fold:
        """Return a fold that changes independently of this one."""
        twin: Fold = copied(self)
        return twin
