"""`WORK` and its dispatcher: tickets by priority, refused above the cap, delivered again when a
worker is silent."""

import heapq
from collections import defaultdict
from datetime import datetime
from itertools import count

from ringrift.deciders.fleet.order import Order
from ringrift.events import Fact
from ringrift.events.facts import WorkEscalated
from ringrift.events.tickets import OUTCOMES, URGENT, Ticket, kind_of, priority_of
from ringrift.log.topology import WORK_TICKETS_MAX


class WorkQueue:
    """Tickets that wait or are in work, together at most `WORK_TICKETS_MAX`; the dispatcher keeps
    those that do not fit, and those whose turn has not come."""

    def __init__(self) -> None:
        self.order = Order()
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

    @property
    def outstanding(self) -> dict[str, Ticket]:
        """Tickets that the facts request and that are not done."""
        return self.order.outstanding

    def take_in(self, event: Fact, position: str, time: datetime) -> None:
        """Take a fact, as the dispatcher does."""
        if isinstance(event, WorkEscalated):
            for ticket in self.order.tickets_of(event):
                if ticket.ticket in self.stored:
                    self._push(ticket, URGENT)
                else:
                    self._put(ticket, URGENT)
        if isinstance(event, OUTCOMES):
            self.stored.discard(event.ticket)
        for ticket in self.order.take(event, position, time):
            self._put(ticket)
        if isinstance(event, OUTCOMES):
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
        """Put the tickets on the queue whose turn has come and that the queue does not have."""
        self._kept = []
        for name in self.order.offered:
            if name not in self.stored:
                self._put(self.outstanding[name])

    def waiting(self, kind: str) -> int:
        """About the number of tickets of a kind that wait: one that was done or moved to the front
        is counted until it is reached."""
        return len(self._heaps[kind])

    def _put(self, ticket: Ticket, priority: int | None = None) -> None:
        if len(self.stored) >= WORK_TICKETS_MAX:
            self.refused += 1
            self._kept.append(ticket)
            return
        self.stored.add(ticket.ticket)
        self.sequences.setdefault(ticket.ticket, len(self.sequences) + 1)
        self.deepest = max(self.deepest, len(self.stored))
        self._push(ticket, priority_of(ticket) if priority is None else priority)

    def _refill(self) -> None:
        while self._kept and len(self.stored) < WORK_TICKETS_MAX:
            ticket = self._kept.pop(0)
            if ticket.ticket in self.outstanding:
                self._put(ticket)

    def _push(self, ticket: Ticket, priority: int) -> None:
        heapq.heappush(self._heaps[kind_of(ticket)], (priority, next(self._order), ticket.ticket))
