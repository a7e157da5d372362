"""Requests whose work is not done yet."""

from __future__ import annotations

from collections import Counter

from ringrift.deciders.pauses import Pauses
from ringrift.events import EventMeta, Fact
from ringrift.events.facts import PipelinePaused, PipelineResumed
from ringrift.events.tickets import OUTCOMES, REQUESTS, Ticket, config_of, kind_of, tickets_of

PAUSES = (PipelinePaused, PipelineResumed)


class Outstanding:
    """The tickets without an outcome and the pauses in force, both folded up to `seq`, and how
    often each ticket vanished from the queue."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.pauses = Pauses()
        self.vanished: Counter[str] = Counter()
        self.seq = 0

    def take(self, event: Fact, meta: EventMeta) -> None:
        """Fold one fact."""
        self.seq = meta.seq
        if isinstance(event, REQUESTS):
            for ticket in tickets_of(event, meta.position):
                self.tickets[ticket.ticket] = ticket
        elif isinstance(event, OUTCOMES):
            self.tickets.pop(event.ticket, None)
        elif isinstance(event, PAUSES):
            self.pauses = self.pauses.after(event)

    def is_paused(self, ticket: Ticket) -> bool:
        """Whether a pause in force stops the ticket."""
        return self.pauses.stops(config_of(ticket), kind_of(ticket))
