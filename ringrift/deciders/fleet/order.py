"""Which tickets are on the queue? Of each kind and priority a few more than there are workers, so
that the turns of the others (`ringrift.deciders.fleet.turns`) are decided late.

A function of the facts in their order, like a decider: all dispatchers offer the same tickets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from msgspec import Struct

from ringrift.deciders.context import Pauses
from ringrift.deciders.fleet.durations import Spread
from ringrift.deciders.fleet.turns import Turns
from ringrift.events import Fact, facts as f, tickets
from ringrift.events.tickets import OUTCOMES, REQUESTS, Outcome, Ticket, config_of, kind_of

KIND_OF = {"selfplay": "selfplay", "trainer": "training", "evaluator": "evaluation"}
"""the tickets that each process takes"""
PAUSES = (f.PipelinePaused, f.PipelineResumed)
WORKERS = (
    *(f.ConsumerStarted, f.ConsumerStopped, f.NodePresenceChanged),
    *(f.NodeAssigned, f.UtilisationSampled),
)
READS = (
    *(*REQUESTS, *OUTCOMES, *PAUSES, *WORKERS),
    *(f.WorkEscalated, f.AllocationDecided, f.TickRecorded),
)
_READS = frozenset(READS)
WORKERS_UNKNOWN = 2
"""of a kind, until one has started"""
WAITING_SHARE = 4
"""workers per ticket that waits for the next of them to be free; at least one waits"""
GAME_SECONDS = {"square8": 0.15, "hex8": 0.15, "square19": 3.0, "hexagonal": 4.0}
"""of a core, until games of the config were timed"""
SAMPLE_SECONDS = {"square8": 1 / 3000, "hex8": 1 / 3000, "square19": 1 / 150, "hexagonal": 1 / 115}
"""of two cores, for one pass, until a training of the config was timed"""
TICKET_SECONDS_MAX = 6 * 3600.0
"""of a finished ticket: a worker that claims more must not keep its config from work"""
ANY_NODE = ""
OVERDUE_SECONDS, OVERDUE_FACTOR = 120.0, 4.0
"""after this time and this many times the longest prediction, the mean and a standard deviation, an
offered ticket is counted no more: it failed and waits to be tried again, or its workers are gone.
The slowest nodes take several times as long as the mean one"""

Line = tuple[str, int]
"""kind and priority"""


class Offered(Struct, frozen=True):
    """A ticket on the queue or in work: the seconds that most tickets like it stay below, and when
    it was offered, in seconds since 1970."""

    line: Line
    seconds: float
    at: float


class Order:
    """The tickets without an outcome, and which of them are on the queue."""

    def __init__(self) -> None:
        self.outstanding: dict[str, Ticket] = {}
        self.offered: dict[str, Offered] = {}
        self.pauses = Pauses()
        self._lines = defaultdict[Line, Turns](Turns)
        self._counted = defaultdict[Line, set[str]](set)
        self._seconds: dict[tuple[str, str], Spread] = {}
        self._slowness: dict[tuple[str, str], Spread] = {}
        """seconds of a node, and of any, for a kind of ticket, relative to those predicted"""
        self._shares: dict[str, float] = {}
        self._processes: dict[str, dict[str, int]] = {}
        self._assigned: dict[str, f.WorkKinds] = {}
        self._absent: set[str] = set()
        self._workers: dict[str, int] = {}

    def take(self, fact: Fact, position: str, time: datetime) -> list[Ticket]:
        """Fold one fact; the tickets to put on the queue after it."""
        if type(fact) not in _READS:
            return []
        now = time.timestamp()
        if isinstance(fact, REQUESTS):
            for ticket in tickets.tickets_of(fact, position):
                self.outstanding[ticket.ticket] = ticket
                self._lines[_line(ticket)].join(config_of(ticket), ticket.ticket)
        elif isinstance(fact, OUTCOMES):
            self._done(fact)
        elif isinstance(fact, PAUSES):
            self.pauses = self.pauses.after(fact)
            self._recount()
        elif isinstance(fact, WORKERS):
            self._count_workers(fact)
            self._workers.clear()
        elif isinstance(fact, f.AllocationDecided):
            self._shares = {name: part * len(fact.shares) for name, part in fact.shares.items()}
        elif isinstance(fact, f.WorkEscalated):
            for ticket in self.tickets_of(fact):
                self.offer(ticket, now)
        elif isinstance(fact, f.TickRecorded):
            self._forget_overdue(now)
        return list(self._due(now))

    def tickets_of(self, fact: f.WorkEscalated) -> list[Ticket]:
        """The tickets of an escalated request that have no outcome and are not paused."""
        found = [ticket for ticket in self.outstanding.values() if ticket.cause == fact.request]
        return [ticket for ticket in found if not self.is_paused(ticket)]

    def is_paused(self, ticket: Ticket) -> bool:
        """Whether a pause in force stops the ticket."""
        return self.pauses.stops(config_of(ticket), kind_of(ticket))

    def offer(self, ticket: Ticket, now: float) -> None:
        """Note that a ticket is on the queue, even if it is not its turn."""
        line = _line(ticket)
        self._lines[line].leave(config_of(ticket), ticket.ticket)
        known = self._seconds.get((kind_of(ticket), config_of(ticket)))
        seconds = _units(ticket) * known.careful if known else self._predicted(ticket)
        self.offered.setdefault(ticket.ticket, Offered(line, seconds, now))
        self._counted[line].add(ticket.ticket)

    def workers(self, kind: str) -> int:
        """Processes that take tickets of a kind."""
        if kind in self._workers:
            return self._workers[kind]
        found = 0
        for node in (self._processes.keys() | self._assigned.keys()) - self._absent:
            count, assigned = self._processes.get(node, {}).get(kind, 0), self._assigned.get(node)
            if assigned is not None:
                count = max(count, 1) if kind in assigned else 0
            found += count
        self._workers[kind] = found
        return found

    def _due(self, now: float) -> Iterator[Ticket]:
        for (kind, priority), turns in self._lines.items():
            counted = self._counted[kind, priority]
            if not len(turns):
                continue
            workers = self.workers(kind) or WORKERS_UNKNOWN
            most = workers + max(workers // WAITING_SHARE, 1)
            may = partial(self._may, kind)
            take = partial(turns.take, self._predicted_of, self._share, may)
            while len(counted) < most and (name := take()) is not None:
                ticket = self.outstanding[name]
                self.offer(ticket, now)
                yield ticket

    def _may(self, kind: str, config: str) -> bool:
        return not self.pauses.stops(config, kind)

    def _share(self, config: str) -> float:
        return self._shares.get(config, 1.0)

    def _predicted_of(self, name: str) -> float:
        return self._predicted(self.outstanding[name])

    def _predicted(self, ticket: Ticket) -> float:
        config, training = config_of(ticket), isinstance(ticket, tickets.TrainingTicket)
        prior = (SAMPLE_SECONDS if training else GAME_SECONDS)[config.partition("_")[0]]
        known = self._seconds.get((kind_of(ticket), config))
        return _units(ticket) * (known.mean if known else prior)

    def _done(self, fact: Outcome) -> None:
        ticket = self.outstanding.pop(fact.ticket, None)
        if ticket is None:
            return
        line, config = _line(ticket), config_of(ticket)
        node = "" if isinstance(fact, f.TrainingTimedOut) else fact.node
        seconds = self._usual(ticket, node, min(_seconds_of(fact), TICKET_SECONDS_MAX))
        turns = self._lines[line]
        turns.leave(config, fact.ticket)
        self._counted[line].discard(fact.ticket)
        turns.settle(fact.ticket, seconds)
        self.offered.pop(fact.ticket, None)
        units = _units(ticket)
        if isinstance(ticket, tickets.TrainingTicket) and ticket.request.others:
            units = 0.0  # the seconds are a part of the time
        if seconds > 0.0 and units > 0.0:
            key = kind_of(ticket), config
            self._seconds[key] = self._seconds.get(key, Spread()).after(seconds / units)

    def _usual(self, ticket: Ticket, node: str, seconds: float) -> float:
        """The seconds of a ticket, had a usual node done it: one that a slow node happened to take
        must not keep its config from work for hours."""
        predicted, kind = self._predicted(ticket), kind_of(ticket)
        if seconds <= 0.0 or predicted <= 0.0:
            return seconds
        of_node, of_all = (
            self._slowness.get((name, kind), Spread()).after(seconds / predicted)
            for name in (node, ANY_NODE)
        )
        self._slowness |= {(node, kind): of_node, (ANY_NODE, kind): of_all}
        return seconds * of_all.mean / of_node.mean

    def _recount(self) -> None:
        """Count the offered tickets that no pause stops."""
        self._counted.clear()
        for name, offered in self.offered.items():
            if not self.is_paused(self.outstanding[name]):
                self._counted[offered.line].add(name)

    def _forget_overdue(self, now: float) -> None:
        for names in self._counted.values():
            longest = max((self.offered[name].seconds for name in names), default=0.0)
            oldest = now - OVERDUE_SECONDS - OVERDUE_FACTOR * longest
            names -= {name for name in names if self.offered[name].at < oldest}

    def _count_workers(self, fact: Fact) -> None:
        match fact:
            case f.ConsumerStarted() if fact.consumer in KIND_OF:
                self._add(fact.node, KIND_OF[fact.consumer], 1)
            case f.ConsumerStopped() if fact.consumer in KIND_OF:
                self._add(fact.node, KIND_OF[fact.consumer], -1)
            case f.NodePresenceChanged():
                (self._absent.discard if fact.present else self._absent.add)(fact.node)
            case f.NodeAssigned():
                self._assigned[fact.node] = fact.kinds
            case f.UtilisationSampled():
                # killed processes did not say so, and no kind has more than one process per core
                for node, use in fact.nodes.items():
                    known = self._processes.get(node, {})
                    counts = {kind: min(count, use.cores) for kind, count in known.items()}
                    self._processes[node] = counts | {"selfplay": use.players}

    def _add(self, node: str, kind: str, count: int) -> None:
        counts = self._processes.setdefault(node, {})
        counts[kind] = max(0, counts.get(kind, 0) + count)


def _line(ticket: Ticket) -> Line:
    return kind_of(ticket), tickets.priority_of(ticket)


def _units(ticket: Ticket) -> float:
    """What the time of a ticket is proportional to: games, or samples that a training passes."""
    match ticket:
        case tickets.SelfplayTicket():
            return float(ticket.games)
        case tickets.EvaluationTicket():
            return float(ticket.request.starts * f.seats_of(ticket.request.config))
        case tickets.TrainingTicket():
            return sum(one.samples * one.intensity for one in ticket.request.windows)
    return float(ticket.request.games)


def _seconds_of(fact: Outcome) -> float:
    """The seconds of the work behind an outcome; 0 if it failed."""
    match fact:
        case f.SelfplayFinished() | f.EvaluationScored():
            return fact.play_seconds
        case f.TrainingFinished():
            return fact.train_seconds
        case f.ReanalysisFinished():
            return fact.search_seconds
    return 0.0
