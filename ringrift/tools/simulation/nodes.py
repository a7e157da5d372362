"""A modelled node: it works on one ticket at a time, of the kinds that it was assigned."""

from dataclasses import dataclass

from ringrift.cluster.fleet_file import FleetNode
from ringrift.events import Settings
from ringrift.events.facts import WorkKind, seats_of
from ringrift.events.tickets import (
    EvaluationTicket,
    ReanalysisTicket,
    SelfplayTicket,
    Ticket,
    TrainingTicket,
)
from ringrift.tools.simulation import workload
from ringrift.tools.simulation.work_queue import WorkQueue

ORDER: tuple[WorkKind, ...] = ("training", "evaluation", "selfplay")
"""Kinds of work in the order in which a node looks for them: the rarer a ticket, the more others
wait for it."""


@dataclass(kw_only=True)
class SimulatedNode:
    """A node, its work, and the sums of its time in seconds and of its cost in the currency of the
    fleet file."""

    info: FleetNode
    kinds: tuple[WorkKind, ...] = ()
    up: bool = True
    ticket: Ticket | None = None
    since: float = 0.0
    """When it took the ticket."""
    turn: int = 0
    """Counts tickets and losses, so that callbacks scheduled for an earlier one do nothing."""
    settled_at: float = 0.0
    paid_seconds: float = 0.0
    busy_seconds: float = 0.0
    wasted_seconds: float = 0.0
    """Part of the busy time whose work was lost or failed."""
    cost: float = 0.0

    @property
    def name(self) -> str:
        """Name in facts."""
        return self.info.fact.node

    @property
    def rented(self) -> bool:
        """Whether it costs: it is present and not on standby."""
        return self.up and bool(self.kinds)

    def settle(self, now: float) -> None:
        """Account for the time since the last call; call it before anything changes."""
        passed, self.settled_at = now - self.settled_at, now
        if self.rented or self.ticket is not None:
            self.paid_seconds += passed
            self.cost += passed / 3600.0 * self.info.fact.cost_per_hour
        if self.ticket is not None:
            self.busy_seconds += passed

    def look(self, queue: WorkQueue) -> Ticket | None:
        """A ticket of its kinds, if it is free and there is one."""
        if not self.rented or self.ticket is not None:
            return None
        for kind in ORDER:
            if kind in self.kinds and (ticket := queue.take(kind)) is not None:
                return ticket
        return None

    def seconds_for(self, ticket: Ticket, settings: Settings) -> float:
        """Seconds that the ticket takes on average here."""
        match ticket:
            case SelfplayTicket():
                plan = ticket.plan
                budget = plan.simulations / settings.selfplay.simulations
                work = ticket.games * workload.game_seconds(plan.config) * budget
            case EvaluationTicket():
                config = ticket.request.config
                games = ticket.request.starts * seats_of(config)
                work = games * workload.game_seconds(config) * workload.EVALUATION_FACTOR
            case ReanalysisTicket():
                games = ticket.request.last_seq - ticket.request.first_seq + 1
                work = games * workload.game_seconds(ticket.request.config)
            case TrainingTicket():
                request, epochs = ticket.request, settings.training.epochs
                seconds = workload.training_seconds(request.config, request.samples, epochs)
                return seconds / self.info.training_speed
        return work / self.info.speed
