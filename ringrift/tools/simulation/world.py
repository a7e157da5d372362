"""The virtual clock, and what happens on it: ticks, work done or failed, nodes that vanish and come
back, faults.

1. Facts go to the log; the deciders fold them and decide (`Coordinator`).
2. The queue takes the requests, nodes their assignments.
3. Free nodes take tickets; each ends at a time on the clock, as a fact or as a failure that is
   tried again."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from ringrift.cluster.fleet_file import FleetNode
from ringrift.consumers.clock import TICK_SECONDS
from ringrift.deciders.loop.evaluation import network_seat
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    EvaluationFailed,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    NodeAssigned,
    NodePresenceChanged,
    SelfplayFinished,
    SettingsChanged,
    TickRecorded,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingStarted,
)
from ringrift.events.tickets import (
    EvaluationTicket,
    SelfplayTicket,
    Ticket,
    TrainingTicket,
    config_of,
    kind_of,
)
from ringrift.log.topology import NODE_SECONDS, WORK_ACK_SECONDS
from ringrift.runtime.work import RETRY_DELAYS_SECONDS
from ringrift.tools.simulation import workload
from ringrift.tools.simulation.coordinator import START, Coordinator, SimulatedLog
from ringrift.tools.simulation.fault_plan import Fault, What
from ringrift.tools.simulation.nodes import SimulatedNode
from ringrift.tools.simulation.work_queue import WorkQueue

SAMPLE_SECONDS = 600.0
SIGN_OF_LIFE_SECONDS = 600.0
FAILURES = {"selfplay": 0.003, "training": 0.02, "evaluation": 0.01}
"""share of tickets that fail for no reason of ours: a driver, a full disk"""
SLOWED = 2.0
POOR_LOSS = 3.0


@dataclass(kw_only=True)
class Sample:
    """The system at one moment, for tables and plots; sums since the beginning but where it says
    now."""

    hours: float
    games: dict[str, int]
    elo: dict[str, float]
    """of the current network, as it really is, now"""
    waiting: dict[str, int]
    """tickets by kind, now"""
    stored: int
    """tickets on the queue, those in hand included, now"""
    busy: int
    rented: int
    busy_seconds: float
    paid_seconds: float
    cost: float
    reference_seconds: float


@dataclass(kw_only=True)
class Books:
    """What really is, which the deciders only learn in part: games played and strengths of
    networks."""

    games: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """self-play games by config"""
    learnt: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """games that teach, by config: poor ones teach nothing"""
    strength: dict[str, float] = field(default_factory=dict)
    narrow: dict[str, str] = field(default_factory=dict)
    """by network, the only one that it beats"""
    current: dict[str, str] = field(default_factory=dict)
    unexported: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    shards: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reference_seconds: float = 0.0
    """what all games played, matches included, would have taken at speed 1: games of all configs in
    one number"""
    sequence: int = 0
    """last sequence in `GAMES`"""


class World:
    """A fleet, its log and its clock. `run` once."""

    def __init__(
        self,
        fleet: tuple[FleetNode, ...],
        settings: Settings,
        *,
        seed: int,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        self.settings, self.faults = settings, faults
        self.log, self.queue, self.books = SimulatedLog(), WorkQueue(), Books()
        self.coordinator = Coordinator(self.log)
        self.nodes = {node.fact.node: SimulatedNode(info=node) for node in fleet}
        self.samples: list[Sample] = []
        self.now = 0.0
        self._chance = {
            name: random.Random(f"{seed}/{name}")
            for name in ("nodes", "work", "networks", "matches", "shards")
        }
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        self._seen = 0

    @property
    def time(self) -> datetime:
        """The virtual moment."""
        return START + timedelta(seconds=self.now)

    def run(self, hours: float) -> None:
        """Live so many hours of virtual time."""
        self._begin()
        end = hours * 3600.0
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, act, arguments = heapq.heappop(self._agenda)
            act(*arguments)
            self._settle()
        self.now = end
        for node in self.nodes.values():
            node.settle(end)
        self._sample()

    def _begin(self) -> None:
        for node in self.nodes.values():
            self._write(node.info.fact, key=node.name)
            self._present(node, 0)
            self._at(
                self._gap(node.info.lost_every_hours * 3600.0),
                self._lose,
                node,
                self._gap(node.info.lost_minutes * 60.0),
            )
        self._settle()  # who is there is known before anything is to be played
        self._write(SettingsChanged(version=1, settings=self.settings, why="simulation"), key=1)
        self._tick()
        self._sample_on()
        for fault in self.faults:
            self._at(fault.at_hours * 3600.0, self._fault_begins, fault)
        self._settle()

    # -- the log

    def _write(
        self, fact: Fact, *, cause: str | None = None, key: str | int = 0, source: str = "simulator"
    ) -> bool:
        return self.log.append(fact, self.time, source=source, cause=cause, key=key) is not None

    def _settle(self) -> None:
        """Let everybody react until nothing is new, then let free nodes look for work."""
        while True:
            self.coordinator.catch_up(self.time)
            if self._seen == len(self.log.events):
                break
            for event, meta in self.log.events[self._seen :]:
                self._seen += 1
                self.queue.take_in(event, meta.position)
                self._take_in(event)
        self._hand_out()

    def _take_in(self, event: Fact) -> None:
        match event:
            case NodeAssigned():
                node = self.nodes[event.node]
                node.settle(self.now)
                node.kinds = event.kinds
                if event.preempts and isinstance(node.ticket, SelfplayTicket):
                    self.queue.give_back(self._stop(node))
            case ModelPromoted():
                self.books.current[event.config] = event.model
            case ModelRolledBack():
                self.books.current[event.config] = event.current

    # -- the clock

    def _at(self, after: float, act: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._agenda, (self.now + after, next(self._order), act, arguments))

    def _gap(self, mean: float) -> float:
        return self._chance["nodes"].expovariate(1.0 / mean)

    def _tick(self) -> None:
        if self.coordinator.up:
            minute = int(self.time.timestamp()) // TICK_SECONDS
            self._write(TickRecorded(minute=minute), key=minute, source="clock")
        self._at(TICK_SECONDS, self._tick)

    def _sample_on(self) -> None:
        self._sample()
        self._at(SAMPLE_SECONDS, self._sample_on)

    def _sample(self) -> None:
        nodes = self.nodes.values()
        for node in nodes:
            node.settle(self.now)
        self.samples.append(
            Sample(
                hours=self.now / 3600.0,
                games=dict(self.books.games),
                elo={
                    config: self.books.strength[model]
                    for config, model in self.books.current.items()
                },
                waiting={kind: self.queue.waiting(kind) for kind in FAILURES},
                stored=len(self.queue.stored),
                busy=sum(node.ticket is not None for node in nodes),
                rented=sum(node.rented for node in nodes),
                busy_seconds=sum(node.busy_seconds for node in nodes),
                paid_seconds=sum(node.paid_seconds for node in nodes),
                cost=sum(node.cost for node in nodes),
                reference_seconds=self.books.reference_seconds,
            )
        )

    # -- work

    def _hand_out(self) -> None:
        free = [node for node in self.nodes.values() if node.ticket is None and node.rented]
        self._chance["nodes"].shuffle(free)  # who pulls first is chance
        for node in free:
            if (ticket := node.look(self.queue)) is not None:
                self._start(node, ticket)

    def _start(self, node: SimulatedNode, ticket: Ticket) -> None:
        node.settle(self.now)
        node.ticket, node.since, node.turn = ticket, self.now, node.turn + 1
        seconds = workload.varied(node.seconds_for(ticket, self.settings), self._chance["work"])
        seconds *= SLOWED if self._fault("slow") else 1.0
        self._at(seconds, self._done, node, node.turn)
        if isinstance(ticket, TrainingTicket):
            started = TrainingStarted(
                config=ticket.request.config,
                generation=ticket.request.generation,
                ticket=ticket.ticket,
                node=node.name,
                device="cuda",
                resumed_step=0,
            )
            self._write(
                started,
                cause=ticket.cause,
                key=self.queue.deliveries[ticket.ticket],
                source="trainer",
            )
            self._at(SIGN_OF_LIFE_SECONDS, self._sign_of_life, node, node.turn, 1)
            self._at(0.0, lambda: None)  # the fact is folded at once

    def _stop(self, node: SimulatedNode) -> Ticket:
        """Take the ticket from a node whose work on it is lost."""
        assert node.ticket is not None
        node.settle(self.now)
        node.wasted_seconds += self.now - node.since
        ticket, node.ticket, node.turn = node.ticket, None, node.turn + 1
        return ticket

    def _sign_of_life(self, node: SimulatedNode, turn: int, number: int) -> None:
        if node.turn == turn and isinstance(node.ticket, TrainingTicket):
            fact = TrainingCheckpointed(
                config=node.ticket.request.config,
                generation=node.ticket.request.generation,
                ticket=node.ticket.ticket,
                step=number,
                steps=number + 1,
                loss=1.0,
                node=node.name,
            )
            self._write(fact, cause=node.ticket.cause, key=f"{turn}.{number}", source="trainer")
            self._at(SIGN_OF_LIFE_SECONDS, self._sign_of_life, node, turn, number + 1)

    def _done(self, node: SimulatedNode, turn: int) -> None:
        if node.turn != turn or node.ticket is None:
            return
        ticket, seconds = node.ticket, self.now - node.since
        if self._fails(ticket):
            self._failed(node, self._stop(node))
            return
        node.settle(self.now)
        node.ticket, node.turn = None, node.turn + 1
        match ticket:
            case SelfplayTicket():
                self._played(node, ticket, seconds)
            case TrainingTicket():
                self._trained(node, ticket, seconds)
            case EvaluationTicket():
                self._measured(node, ticket, seconds)

    def _fails(self, ticket: Ticket) -> bool:
        if isinstance(ticket, TrainingTicket) and self._fault("training", config_of(ticket)):
            return True
        return self._chance["work"].random() < FAILURES[kind_of(ticket)]

    def _failed(self, node: SimulatedNode, ticket: Ticket) -> None:
        """Tried again after a while, then given up, as `ringrift.runtime.work` does."""
        tries = self.queue.deliveries[ticket.ticket]
        if tries <= len(RETRY_DELAYS_SECONDS):
            self._at(RETRY_DELAYS_SECONDS[tries - 1], self.queue.give_back, ticket)
            return
        shared = {"config": config_of(ticket), "ticket": ticket.ticket, "node": node.name}
        fact: Fact
        match ticket:
            case SelfplayTicket():
                fact = SelfplayFinished(
                    **shared,
                    generation=ticket.plan.generation,
                    games=0,
                    lost=ticket.games,
                    plies=0,
                    play_seconds=0.0,
                    spare=ticket.plan.spare,
                )
            case TrainingTicket():
                fact = TrainingFailed(
                    **shared, generation=ticket.request.generation, reason="simulated"
                )
            case EvaluationTicket():
                fact = EvaluationFailed(
                    **shared,
                    generation=ticket.request.generation,
                    candidate_model=ticket.request.candidate.model,
                    purpose=ticket.request.purpose,
                    reason="simulated",
                )
        self._write(fact, cause=ticket.cause, key=ticket.ticket)

    def _played(self, node: SimulatedNode, ticket: SelfplayTicket, seconds: float) -> None:
        plan, config = ticket.plan, ticket.plan.config
        fact = SelfplayFinished(
            config=config,
            generation=plan.generation,
            ticket=ticket.ticket,
            games=ticket.games,
            plies=ticket.games * workload.plies_of(config),
            play_seconds=seconds,
            node=node.name,
            spare=plan.spare,
        )
        if not self._write(fact, cause=ticket.cause, key=ticket.ticket, source="selfplay"):
            return  # a ticket that was done twice: its games are known by their ids too
        self.books.games[config] += ticket.games
        self.books.reference_seconds += node.seconds_for(ticket, self.settings) * node.info.speed
        participant = (
            network_seat(plan.model, plan.simulations).participant
            if plan.model
            else "baseline:gumbel:s32"
        )
        self._export(config, ticket.games, participant)

    def _export(self, config: str, games: int, participant: str) -> None:
        """Whole shards of what is there; their facts follow that of the ticket."""
        books, size = self.books, self.settings.shard.games
        books.sequence += games
        books.unexported[config] += games
        while books.unexported[config] >= size:
            books.unexported[config] -= size
            poor = self._fault("data", config)
            books.learnt[config] += 0 if poor else size
            index, books.shards[config] = books.shards[config], books.shards[config] + 1
            draw = self._chance["shards"]
            shard = workload.shard(
                config, index, size, participant, last_seq=books.sequence, poor=poor, draw=draw
            )
            self._write(
                shard, cause=f"GAMES/{books.sequence}", key=f"{config}.{index}", source="exporter"
            )

    def _trained(self, node: SimulatedNode, ticket: TrainingTicket, seconds: float) -> None:
        request, draw = ticket.request, self._chance["networks"]
        games, model = self.books.learnt[request.config], workload.digest("model", ticket.ticket)
        loss = workload.training_loss(request.config, games, draw) * (
            POOR_LOSS if self._fault("loss", request.config) else 1.0
        )
        finished = TrainingFinished(
            config=request.config,
            generation=request.generation,
            ticket=ticket.ticket,
            model=model,
            steps=1000,
            samples=request.samples,
            loss=loss,
            policy_loss=loss * 0.7,
            value_loss=loss * 0.3,
            validation_loss=None,
            train_seconds=seconds,
            node=node.name,
        )
        if not self._write(finished, cause=ticket.cause, source="trainer"):
            return
        self.books.strength[model] = workload.strength(request.config, games, draw)
        current = self.books.current.get(request.config)
        if current is not None and self._fault("regression", request.config):
            self.books.strength[model] = workload.NARROW_ELO
            self.books.narrow[model] = current
        registered = ModelRegistered(
            config=request.config,
            model=model,
            generation=request.generation,
            architecture=request.architecture,
            encoder=workload.ENCODER,
            parameters=1_000_000,
            parents=() if request.parent is None else (request.parent,),
            ticket=ticket.ticket,
        )
        self._write(registered, cause=ticket.cause, source="trainer")

    def _measured(self, node: SimulatedNode, ticket: EvaluationTicket, seconds: float) -> None:
        candidate, opponent = ticket.request.candidate, ticket.request.opponent
        elo, rival = (self._strength(seat.model, seat.harness) for seat in (candidate, opponent))
        if (
            candidate.model
            and opponent.model
            and self.books.narrow.get(candidate.model) == opponent.model
        ):
            elo = rival + workload.NARROW_EDGE_ELO
        score = workload.match(
            ticket.request,
            elo,
            rival,
            ticket=ticket.ticket,
            node=node.name,
            seconds=seconds,
            draw=self._chance["matches"],
        )
        self.books.reference_seconds += (
            score.games * workload.game_seconds(ticket.request.config) * workload.EVALUATION_FACTOR
        )
        if self._write(score, cause=ticket.cause, source="evaluator"):
            self._export(ticket.request.config, score.games, ticket.request.candidate.participant)

    def _strength(self, model: str | None, harness: str) -> float:
        return self.books.strength[model] if model else workload.BASELINE_ELO.get(harness, 0.0)

    # -- what goes wrong

    def _fault(self, what: What, config: str | None = None) -> bool:
        return any(
            fault.what == what and fault.on(self.now) and fault.config in (None, config)
            for fault in self.faults
        )

    def _present(self, node: SimulatedNode, silent_seconds: float) -> None:
        fact = NodePresenceChanged(
            node=node.name, present=node.up, left=False, silent_seconds=silent_seconds, processes=3
        )
        self._write(fact, key=f"{node.name}.{self.now:.3f}", source="monitor")

    def _lose(self, node: SimulatedNode, seconds: float) -> None:
        """The node is gone for so long; its ticket goes to another when it has been silent for long
        enough."""
        if node.up:
            node.settle(self.now)
            if node.ticket is not None:
                self._at(WORK_ACK_SECONDS, self.queue.give_back, self._stop(node))
            node.up = False
            self._at(min(NODE_SECONDS, seconds), self._missed, node)
            self._at(seconds, self._returns, node)
        again = seconds + self._gap(node.info.lost_every_hours * 3600.0)
        self._at(again, self._lose, node, self._gap(node.info.lost_minutes * 60.0))

    def _missed(self, node: SimulatedNode) -> None:
        if not node.up:
            self._present(node, NODE_SECONDS)

    def _returns(self, node: SimulatedNode) -> None:
        node.settle(self.now)
        node.up = True
        self._present(node, 0)

    def _fault_begins(self, fault: Fault) -> None:
        seconds = fault.hours * 3600.0
        if fault.what == "nodes":
            for node in self.nodes.values():
                if node.name.startswith(fault.name):
                    self._lose(node, seconds)
        elif fault.what == "coordinator":
            self.coordinator.up = False
            self._at(seconds, self.coordinator.restart)
        elif fault.what == "queue":
            held = {node.ticket.ticket for node in self.nodes.values() if node.ticket is not None}
            self.queue.lose(held)
            self._at(seconds, self.queue.bring_back)
