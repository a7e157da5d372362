"""A modelled node: one slot, which takes a ticket at a time of the kinds that the node was
assigned."""

from __future__ import annotations

from dataclasses import dataclass

from ringrift.cluster.fleet_file import FleetNode
from ringrift.events import Settings
from ringrift.events.facts import WorkKind
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
"""what a node with one slot looks for first: the fewer a ticket is, the more others wait for it"""


@dataclass(kw_only=True)
class SimulatedNode:
    """A node, what it does, and what its time came to, in seconds and in the currency of the
    fleet's costs."""

    info: FleetNode
    kinds: tuple[WorkKind, ...] = ()
    up: bool = True
    ticket: Ticket | None = None
    since: float = 0.0
    """when it took the ticket"""
    turn: int = 0
    """counts tickets and losses, so that what was scheduled for an earlier one does nothing"""
    settled_at: float = 0.0
    paid_seconds: float = 0.0
    busy_seconds: float = 0.0
    wasted_seconds: float = 0.0
    """of work that was lost or failed; busy too"""
    cost: float = 0.0

    @property
    def name(self) -> str:
        """Name in facts."""
        return self.info.fact.node

    @property
    def rented(self) -> bool:
        """Whether it costs: it is there and does not stand by."""
        return self.up and bool(self.kinds)

    def settle(self, now: float) -> None:
        """Book the time since the last call, before anything changes."""
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
        """How long the ticket usually takes here."""
        match ticket:
            case SelfplayTicket():
                budget = ticket.plan.simulations / settings.selfplay.simulations
                return (
                    ticket.games
                    * workload.game_seconds(ticket.plan.config)
                    * budget
                    / self.info.speed
                )
            case EvaluationTicket():
                games = ticket.request.starts * workload.seats_of(ticket.request.config)
                return (
                    games
                    * workload.game_seconds(ticket.request.config)
                    * workload.EVALUATION_FACTOR
                    / self.info.speed
                )
            case ReanalysisTicket():
                games = ticket.request.last_seq - ticket.request.first_seq + 1
                return games * workload.game_seconds(ticket.request.config) / self.info.speed
            case TrainingTicket():
                seconds = workload.training_seconds(
                    ticket.request.config, ticket.request.samples, settings.training.epochs
                )
                return seconds / self.info.training_speed
