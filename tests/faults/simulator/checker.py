"""Invariants of a complete history, independent of the faults. Used on the simulator and on
real servers. Every function returns the violations as texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import STEERING, Context, Decider
from ringrift.events import Draft, Fact, Recorded
from ringrift.events.facts import DeadLetterStored, GameCompleted, LeaseAcquired, SelfplayFinished
from ringrift.events.tickets import OUTCOMES, REQUESTS, tickets_of
from ringrift.log import read
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime import folds

History = Mapping[str, Sequence[Recorded]]
"""The events of each stream."""


class Acknowledged(NamedTuple):
    """An event whose append was acknowledged, and its sequence.

    `began` and `ended` number the beginnings and ends of the writer's calls. `again`: the event had
    been sent before, by an earlier life of the writer or by another one, so it may be stored at an
    earlier sequence."""

    draft: Draft
    seq: int
    began: int
    ended: int
    expect: Expect | None = None
    again: bool = False


class Sample(NamedTuple):
    """The state of a decider in a process that had folded everything up to `seq`."""

    decider: str
    seq: int
    fold_hash: str


async def history(log: Log) -> dict[str, list[Recorded]]:
    """The stored events of each stream; those that cannot be decoded are left out."""
    return {
        stream: [item async for item in read.facts(log, stream=stream)]
        for stream in (EVENTS, GAMES)
    }


def damaged(history: History, ledgers: Sequence[Sequence[Acknowledged]]) -> list[str]:
    """Acknowledged events that are lost, stored twice or out of order."""
    return [*lost(history, ledgers, at_seq=True), *doubled(history), *disordered(ledgers)]


def lost(history: History, ledgers: Iterable[Sequence[Acknowledged]], *, at_seq: bool) -> list[str]:
    """Acknowledged events that are not stored; with `at_seq`, not at the acknowledged sequence."""
    stored = {meta.id: meta.seq for events in history.values() for _, meta in events}
    found = []
    for item in (item for ledger in ledgers for item in ledger):
        at = stored.get(item.draft.id)
        if at is None or (at_seq and at != item.seq):
            found.append(f"lost: {item.draft.id}, acknowledged at {item.seq}, is at {at}")
    return found


def doubled(history: History) -> list[str]:
    """Events that are stored more than once."""
    ids = Counter(meta.id for events in history.values() for _, meta in events)
    return [f"doubled: {id} is stored {count} times" for id, count in ids.items() if count > 1]


def disordered(ledgers: Iterable[Sequence[Acknowledged]]) -> list[str]:
    """Events that are stored before another one of the same subject, although their writer sent
    them after the other had been acknowledged."""
    found = []
    for ledger in ledgers:
        first: dict[str, Acknowledged] = {}
        for item in ledger:
            # an event acknowledged again after a restart keeps its first place
            first.setdefault(item.draft.id, item)
        ended = sorted(first.values(), key=lambda item: item.ended)
        newest: dict[str, int] = defaultdict(int)
        at = 0
        for item in sorted(first.values(), key=lambda item: item.began):
            while ended[at].ended < item.began:
                subject = ended[at].draft.subject
                newest[subject] = max(newest[subject], ended[at].seq)
                at += 1
            if item.seq < newest[item.draft.subject] and not item.again:
                found.append(f"out of order: {item.draft.id} on {item.draft.subject} at {item.seq}")
    return found


def uncaused(history: History) -> list[str]:
    """Facts whose cause is not stored, or is stored later."""
    events = {meta.seq for _, meta in history["EVENTS"]}
    found = []
    for stream, recorded in history.items():
        for event, meta in recorded:
            where, _, number = (meta.cause or "").partition("/")
            if where != "EVENTS":
                continue
            if int(number) not in events:
                # the cause of a dead letter is a message that is no event
                if not isinstance(event, DeadLetterStored):
                    found.append(f"no cause: {meta.id} names {meta.cause}")
            elif stream == "EVENTS" and int(number) >= meta.seq:
                found.append(f"cause after effect: {meta.id} at {meta.seq} names {meta.cause}")
    return found


def overheld(events: Sequence[Recorded], roles: Mapping[str, Iterable[type[Fact]]]) -> list[str]:
    """Facts of a role that were not written by its holder at that time. `roles`: the facts that
    only the holder may write, by role."""
    role_of = {kind: role for role, kinds in roles.items() for kind in kinds}
    holders: dict[str, str] = {}
    found = []
    for event, meta in events:
        if isinstance(event, LeaseAcquired):
            holders[event.role] = event.holder
        elif (role := role_of.get(type(event))) is not None:
            node, holder = meta.source.partition("@")[2], holders.get(role, "")
            if not holder.startswith(f"{node}."):
                writer = f"{meta.id} by {meta.source}"
                found.append(f"two holders: {writer} while {holder or None} holds {role}")
    return found


def misdecided(
    events: Sequence[Recorded], decider: Decider[Any], samples: Iterable[Sample], *, until: int
) -> list[str]:
    """Decisions that do not follow from the log, and sampled states that differ from its fold.

    Decisions on events after `until` may still be missing."""
    own: dict[int, list[Recorded]] = defaultdict(list)
    for event, meta in events:
        if type(event) in decider.writes and meta.cause is not None:
            own[int(meta.cause.partition("/")[2])].append(Recorded(event, meta))
    hashes = defaultdict(set)
    for sample in samples:
        if sample.decider == decider.name:
            hashes[sample.seq].add(sample.fold_hash)
    read_kinds = frozenset((*decider.reads, *decider.writes, *STEERING))
    state, in_force, found = decider.initial(), InForce(), []
    for event, meta in events:
        is_own = type(event) in decider.writes and meta.cause is not None
        if type(event) in read_kinds and not is_own:
            in_force = in_force.after(event)
            context = Context.of(meta, in_force)
            state = decider.evolve(state, event, context)
            due = decider.decide(state, event, context)
            written = tuple(item.event for item in own[meta.seq])
            if written != due and (written or meta.seq <= until):
                both = f"wrote {_names(written)}, due is {_names(due)}"
                found.append(f"misdecided: {decider.name} on {meta.position} {both}")
            for decision, its_meta in own[meta.seq]:
                state = decider.evolve(state, decision, Context.of(its_meta, in_force, meta))
        sampled = hashes.get(meta.seq)
        if sampled and sampled != {folds.fold_hash(state)}:
            differs = f"was {sorted(sampled)}, differs from that of the log"
            found.append(f"other fold: {decider.name} at {meta.seq} {differs}")
    return found


def _names(facts: Sequence[Fact]) -> str:
    return ", ".join(type(fact).__name__ for fact in facts) or "nothing"


def undone(history: History, *, until: int | None = None) -> list[str]:
    """Tickets without exactly one outcome, and finished self-play without all its games.

    Outcomes of requests after `until` may still be missing, but none may have two."""
    outcomes: Counter[str] = Counter()
    games: Counter[str] = Counter()
    for event, _ in (*history["EVENTS"], *history.get("GAMES", ())):
        if isinstance(event, OUTCOMES):
            outcomes[event.ticket] += 1
        elif isinstance(event, GameCompleted):
            games[event.ticket] += 1
    found = []
    for event, meta in history["EVENTS"]:
        if isinstance(event, REQUESTS):
            allowed = {1} if until is None or meta.seq <= until else {0, 1}
            for ticket in tickets_of(event, meta.position):
                count = outcomes[ticket.ticket]
                if count not in allowed:
                    found.append(f"{count} outcomes: ticket {ticket.ticket}")
        elif isinstance(event, SelfplayFinished) and games[event.ticket] != event.games:
            found.append(f"{games[event.ticket]} games of {event.games}: ticket {event.ticket}")
    return found
