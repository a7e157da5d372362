"""Did a ticket wait while a node that was fit for it was idle? What the facts of a run say.

A ticket waits from its request to the start of the work that finished it. A node is fit for a kind
of work while a process of it takes such tickets and it is assigned to them, and idle while it is
fit and the heartbeats of the process say that it does not work. A ticket in the hands of a node
that is lost is delivered again a while later, so each loss explains the wait of one ticket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ringrift.deciders.fleet.order import KIND_OF
from ringrift.events import Fact, Recorded, facts as f
from ringrift.events.tickets import OUTCOMES, REQUESTS, kind_of, tickets_of

TICK_SECONDS = 60.0
"""in which the fleet is assigned again after every change"""
TICKS_MIN = 3
"""after the start of a node, when it must have been assigned work"""
IDLE_SHARE_MAX = 0.1
"""of the time of players, in which one may be idle while games wait: it reports a ticket and takes
the next one. A dispatcher that counted no node again once it had been away left six players idle
for 16 % of it, in turns of 15 to 26 s"""
STARTED_SECONDS = 10.0
"""from the start of a worker until it takes tickets: compiled code is loaded"""

Span = tuple[float, float]
"""two moments in seconds since 1970"""
Place = tuple[str, str]
"""a node, and a kind of work that it does"""
NONE = 0.0, "no node"


class Stay(NamedTuple):
    """A time in which a node took tickets, and when at the latest a ticket that it held at the end
    of it could be delivered to another one."""

    since: float
    until: float
    again: float


class Look(NamedTuple):
    """A look at the heartbeats: whether the processes of each place worked."""

    at: float
    busy: dict[Place, bool]


class Wait(NamedTuple):
    """A ticket that waited."""

    ticket: str
    kind: str
    since: float
    until: float


class Idle(NamedTuple):
    """A time in which a node was fit for a kind of work and did none."""

    node: str
    kind: str
    since: float
    until: float


def meet(these: Iterable[Span], those: Iterable[Span]) -> list[Span]:
    """What is in one of the spans of each side."""
    pairs = [(max(a, c), min(b, d)) for a, b in these for c, d in those]
    return sorted(pair for pair in pairs if pair[0] < pair[1])


def waits_of(found: list[Recorded], end: float) -> list[Wait]:
    """The wait of each ticket, up to `end` if it was not finished."""
    waiting, waits = dict[str, Wait](), list[Wait]()
    for event, meta in found:
        at = meta.time.timestamp()
        if isinstance(event, REQUESTS):
            for ticket in tickets_of(event, meta.position):
                waiting[ticket.ticket] = Wait(ticket.ticket, kind_of(ticket), at, end)
        elif isinstance(event, OUTCOMES) and (wait := waiting.pop(event.ticket, None)):
            waits.append(wait._replace(until=max(wait.since, at - work_of(event))))
    return waits + list(waiting.values())


def work_of(fact: Fact) -> float:
    """The seconds of work behind an outcome."""
    names = ("play_seconds", "train_seconds", "search_seconds")
    return max(float(getattr(fact, name, 0.0)) for name in names)


def idles_of(
    found: list[Recorded], stays: Mapping[str, list[Stay]], seen: Iterable[Look], end: float
) -> list[Idle]:
    """When each node was idle, by what its own processes said in their heartbeats."""
    started, assigned = dict[Place, list[float]](), dict[Place, list[Span]]()
    for event, meta in found:
        at = meta.time.timestamp()
        if isinstance(event, f.ConsumerStarted) and event.consumer in KIND_OF:
            started.setdefault((event.node, KIND_OF[event.consumer]), []).append(at)
        elif isinstance(event, f.NodeAssigned):
            for kind in KIND_OF.values():
                spans = assigned.setdefault((event.node, kind), [])
                if spans and spans[-1][1] == end:
                    spans[-1] = spans[-1][0], at
                if kind in event.kinds:
                    spans.append((at, end))
    found_idle = list[Idle]()
    said = idle_by_heartbeats(seen)
    for (node, kind), starts in started.items():
        runs = [
            (first + STARTED_SECONDS, stay.until)
            for stay in stays.get(node, ())
            if (first := next((at for at in starts if stay.since <= at < stay.until), None))
        ]
        fit = meet(runs, assigned.get((node, kind), ()))
        spans = meet(fit, said.get((node, kind), ()))
        found_idle += [Idle(node, kind, *span) for span in spans]
    return found_idle


def idle_by_heartbeats(seen: Iterable[Look]) -> dict[Place, list[Span]]:
    """The times in which every look at the heartbeats found a process of a kind without work."""
    spans = dict[Place, list[Span]]()
    open_spans = dict[Place, Span]()
    for look in seen:
        idle = {place for place, busy in look.busy.items() if not busy}
        for place in open_spans.keys() - idle:
            spans.setdefault(place, []).append(open_spans.pop(place))
        for place in idle:
            since, _ = open_spans.get(place, (look.at, look.at))
            open_spans[place] = since, look.at
    for place, span in open_spans.items():
        spans.setdefault(place, []).append(span)
    return spans


def explained(
    waits: list[Wait], stays: Mapping[str, list[Stay]], idles: list[Idle], does: set[Place]
) -> list[Wait]:
    """The waits, without the time in which a lost node may have held the ticket: of each loss, for
    the ticket that waited longest beside idle nodes. `does` has the kinds of work of the nodes."""
    losses = {(kind, stay.until): stay.again for node, kind in does for stay in stays.get(node, ())}
    found = list[Wait]()
    for wait in sorted(
        waits, key=lambda wait: max(beside(wait, idles), default=NONE), reverse=True
    ):
        lost = [at for kind, at in losses if kind == wait.kind and wait.since <= at < wait.until]
        left = wait
        for at in sorted(lost):
            if max(beside(left, idles), default=NONE)[0] > TICK_SECONDS:
                again = losses.pop((wait.kind, at))
                left = left._replace(since=min(max(left.since, again), left.until))
        found.append(left)
    return found


def beside(wait: Wait, idles: Iterable[Idle]) -> list[tuple[float, str]]:
    """The seconds that a ticket waited beside each node that was idle meanwhile."""
    own = (idle for idle in idles if idle.kind == wait.kind)
    found = ((min(wait.until, one.until) - max(wait.since, one.since), one.node) for one in own)
    return [pair for pair in found if pair[0] > 0.0]


def waited(
    found: list[Recorded], stays: Mapping[str, list[Stay]], idles: list[Idle], end: float
) -> list[tuple[float, str]]:
    """For how many seconds tickets waited beside one idle node that was fit for them, and what they
    were, the longest first. More than `TICK_SECONDS` are too many."""
    does = {
        (event.node, KIND_OF[event.consumer])
        for event, _ in found
        if isinstance(event, f.ConsumerStarted) and event.consumer in KIND_OF
    }
    lines = list[tuple[float, str]]()
    for wait in explained(waits_of(found, end), stays, idles, does):
        seconds, node = max(beside(wait, idles), default=NONE)
        lines.append((seconds, f"{wait.ticket} waited for {seconds:.0f} s while {node} was idle"))
    return sorted(lines, reverse=True)


def idle_shares(
    found: list[Recorded], idles: list[Idle], end: float
) -> dict[str, tuple[float, float]]:
    """By kind, the seconds of nodes that were idle while as many tickets waited, and the seconds of
    work that was done."""
    waits = waits_of(found, end)
    shares = dict[str, tuple[float, float]]()
    for kind in dict.fromkeys(KIND_OF.values()):
        steps = list[tuple[float, int, int]]()
        spans = [(0, one.since, one.until) for one in idles if one.kind == kind]
        spans += [(1, one.since, one.until) for one in waits if one.kind == kind]
        for which, since, until in spans:
            steps += [(since, which, 1), (until, which, -1)]
        counts, lost, before = [0, 0], 0.0, 0.0
        for at, which, by in sorted(steps):
            lost += min(counts) * (at - before)
            counts[which] += by
            before = at
        names = {wait.ticket for wait in waits if wait.kind == kind}
        done = (event for event, _ in found if isinstance(event, OUTCOMES))
        shares[kind] = lost, sum(work_of(event) for event in done if event.ticket in names)
    return shares


def idled(found: list[Recorded], idles: list[Idle], end: float) -> Iterator[str]:
    """Whether players were idle for too long while games waited. Few tickets of other kinds wait,
    and for the first of them a process loads its libraries."""
    idle, worked = idle_shares(found, idles, end)["selfplay"]
    if idle > IDLE_SHARE_MAX * (idle + worked):
        yield f"players were idle for {idle:.0f} s while games waited; they worked {worked:.0f} s"


def left_unassigned(found: list[Recorded], stays: Mapping[str, list[Stay]]) -> Iterator[str]:
    """From the third tick after its start, each node that is assigned nothing, and each kind of
    work to which no node is assigned."""
    assigned, ticks = dict[str, f.WorkKinds](), dict[str, int]()
    started, runs = dict[str, float](), dict[str, set[str]]()
    for event, meta in found:
        at = meta.time.timestamp()
        if isinstance(event, f.NodeAssigned):
            assigned[event.node] = event.kinds
        elif isinstance(event, f.ConsumerStarted) and event.consumer in KIND_OF:
            started[event.node], ticks[event.node] = at, 0
            runs.setdefault(event.node, set()).add(KIND_OF[event.consumer])
        elif isinstance(event, f.TickRecorded):
            for node, since in started.items():
                there = any(stay.since <= since and at < stay.until for stay in stays[node])
                ticks[node] = ticks[node] + 1 if there else 0
            settled = [node for node, count in ticks.items() if count >= TICKS_MIN]
            for node in settled:
                if not assigned.get(node):
                    yield f"{node} is assigned nothing at {meta.position}"
            able = set[str]().union(*(runs[node] for node in settled))
            done = set[str]().union(*(assigned.get(node, ()) for node in assigned))
            yield from (f"nobody does {kind} at {meta.position}" for kind in sorted(able - done))
