"""`WORK` and its dispatcher: tickets by priority, refused above the cap, delivered again when a
worker is silent."""

import heapq
from collections import defaultdict
from itertools import count

from ringrift.events import Fact
from ringrift.events.facts import WorkEscalated
from ringrift.events.tickets import (
    OUTCOMES,
    REQUESTS,
    URGENT,
    Ticket,
    kind_of,
    priority_of,
    tickets_of,
)
from ringrift.log.topology import WORK_TICKETS_MAX


class WorkQueue:
    """Tickets that wait or are in work, together at most `WORK_TICKETS_MAX`; the dispatcher keeps
    those that do not fit."""

    def __init__(self) -> None:
        self.outstanding: dict[str, Ticket] = {}
        """Tickets that the facts request and that are not done."""
        self.stored: set[str] = set()
        """Tickets on the queue, those in work included."""
        self.sequences: dict[str, int] = {}
        """Sequence in `WORK` of each ticket."""
        self.refused = 0
        self.deepest = 0
        self.deliveries: dict[str, int] = {}
        self._kept: list[Ticket] = []
        self._heaps: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._order = count()

    def take_in(self, event: Fact, position: str) -> None:
        """Take a fact, as the dispatcher does."""
        if isinstance(event, REQUESTS):
            for ticket in tickets_of(event, position):
                self.outstanding[ticket.ticket] = ticket
                self._put(ticket)
        elif isinstance(event, WorkEscalated):
            for ticket in self.outstanding.values():
                if ticket.cause == event.request and ticket.ticket in self.stored:
                    self._push(ticket, URGENT)
        elif isinstance(event, OUTCOMES):
            self.outstanding.pop(event.ticket, None)
            self.stored.discard(event.ticket)
            self._refill()

    def take(self, kind: str) -> Ticket | None:
        """The next ticket of a kind that waits and is not done."""
        heap = self._heaps[kind]
        while heap:
            name = heapq.heappop(heap)[2]
            if name in self.outstanding and name in self.stored:
                self.deliveries[name] = self.deliveries.get(name, 0) + 1
                return self.outstanding[name]
        return None

    def give_back(self, ticket: Ticket) -> None:
        """Deliver it again."""
        if ticket.ticket in self.outstanding:
            self._push(ticket, priority_of(ticket))

    def lose(self, held: set[str]) -> None:
        """Lose all tickets but those that workers hold."""
        self.stored &= held
        self._heaps.clear()

    def restore(self) -> None:
        """Put the tickets on the queue that the facts request and the queue does not have."""
        self._kept = []
        for name, ticket in self.outstanding.items():
            if name not in self.stored:
                self._put(ticket)

    def waiting(self, kind: str) -> int:
        """About the number of tickets of a kind that wait: one that was done or moved to the front
        is counted until it is reached."""
        return len(self._heaps[kind])

    def _put(self, ticket: Ticket) -> None:
        if len(self.stored) >= WORK_TICKETS_MAX:
            self.refused += 1
            self._kept.append(ticket)
            return
        self.stored.add(ticket.ticket)
        self.sequences.setdefault(ticket.ticket, len(self.sequences) + 1)
        self.deepest = max(self.deepest, len(self.stored))
        self._push(ticket, priority_of(ticket))

    def _refill(self) -> None:
        while self._kept and len(self.stored) < WORK_TICKETS_MAX:
            ticket = self._kept.pop(0)
            if ticket.ticket in self.outstanding:
                self._put(ticket)

    def _push(self, ticket: Ticket, priority: int) -> None:
        heapq.heappush(self._heaps[kind_of(ticket)], (priority, next(self._order), ticket.ticket))
