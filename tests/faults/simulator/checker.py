"""What must hold of a whole history, however it came about. For the simulator and for real servers
alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ringrift.deciders.kit import STEERING, Context, Decider, InForce
from ringrift.events import Draft, Fact, Recorded
from ringrift.events.facts import DeadLetterStored, GameCompleted, LeaseAcquired, SelfplayFinished
from ringrift.events.tickets import OUTCOMES, REQUESTS, tickets_of
from ringrift.log.protocol import Expect
from ringrift.runtime import folds


class Acknowledged(NamedTuple):
    """What a writer was told is stored, and where; `began` and `ended` count what the writer did,
    one after the other. `again`: it had been sent before, by a life that was not told or by
    somebody else, and may lie where it lay."""

    draft: Draft
    seq: int
    began: int
    ended: int
    expect: Expect | None = None
    again: bool = False


class Sample(NamedTuple):
    """A decider's state as a process had it when it had folded everything up to `seq`."""

    decider: str
    seq: int
    fold_hash: str


def lost(
    history: Mapping[str, Sequence[Recorded]],
    ledgers: Iterable[Sequence[Acknowledged]],
    *,
    at_seq: bool,
) -> list[str]:
    """What was acknowledged and is not there; with `at_seq`, not where it was said to be."""
    at = {meta.id: meta.seq for events in history.values() for _, meta in events}
    return [
        f"lost: {item.draft.id}, acknowledged at {item.seq}, is at {at.get(item.draft.id)}"
        for ledger in ledgers
        for item in ledger
        if (at.get(item.draft.id) != item.seq if at_seq else item.draft.id not in at)
    ]


def doubled(history: Mapping[str, Sequence[Recorded]]) -> list[str]:
    """What is there more than once."""
    ids = Counter(meta.id for events in history.values() for _, meta in events)
    return [f"doubled: {name} is there {count} times" for name, count in ids.items() if count > 1]


def disordered(ledgers: Iterable[Sequence[Acknowledged]]) -> list[str]:
    """What lies before something on its subject that its writer had been acknowledged before it
    wrote this."""
    found = []
    for ledger in ledgers:
        first: dict[str, Acknowledged] = {}
        for item in ledger:
            first.setdefault(
                item.draft.id, item
            )  # told once more after a restart, it lies where it lay
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


def uncaused(history: Mapping[str, Sequence[Recorded]]) -> list[str]:
    """Facts whose cause is not there, or came later."""
    events = {meta.seq: meta for _, meta in history["EVENTS"]}
    found = []
    for stream, recorded in history.items():
        for _, meta in recorded:
            where, _, number = (meta.cause or "").partition("/")
            if where != "EVENTS":
                continue
            cause = events.get(int(number))
            if int(number) not in events and not _is_letter(meta.id):
                found.append(f"no cause: {meta.id} names {meta.cause}")
            elif cause is not None and stream == "EVENTS" and cause.seq >= meta.seq:
                found.append(f"cause after effect: {meta.id} at {meta.seq} names {meta.cause}")
    return found


def _is_letter(id: str) -> bool:
    return id.startswith(
        DeadLetterStored.__name__
    )  # its cause is no event: that is why it was written


def overheld(events: Sequence[Recorded], roles: Mapping[str, Iterable[type[Fact]]]) -> list[str]:
    """Facts of a role that its holder of that epoch did not write; `roles`: what only the holder
    writes, by role."""
    of = {kind: role for role, kinds in roles.items() for kind in kinds}
    holders: dict[str, str] = {}
    found = []
    for event, meta in events:
        if isinstance(event, LeaseAcquired):
            holders[event.role] = event.holder
        elif (role := of.get(type(event))) is not None:
            node = meta.source.partition("@")[2]
            if not holders.get(role, "").startswith(f"{node}."):
                found.append(
                    f"two holders: {meta.id} by {meta.source} while {holders.get(role)} holds {role}"
                )
    return found


def misdecided(
    events: Sequence[Recorded], decider: Decider[Any], samples: Iterable[Sample], *, until: int
) -> list[str]:
    """Decisions that do not follow from the log, once each, and states that its fold does not give.

    What is due on events after `until` may still be to come."""
    own: dict[int, list[Recorded]] = defaultdict(list)
    for event, meta in events:
        if type(event) in decider.writes and meta.cause is not None:
            own[int(meta.cause.partition("/")[2])].append(Recorded(event, meta))
    hashes = defaultdict(set)
    for sample in samples:
        if sample.decider == decider.name:
            hashes[sample.seq].add(sample.fold_hash)
    state, found = decider.initial(), []
    read = frozenset((*decider.reads, *decider.writes, *STEERING))
    in_force = InForce()
    for event, meta in events:
        if type(event) in read and not (type(event) in decider.writes and meta.cause is not None):
            in_force = in_force.after(event)
            context = Context.of(meta, in_force)
            state = decider.evolve(state, event, context)
            wanted = decider.decide(state, event, context)
            there = tuple(item.event for item in own.get(meta.seq, ()))
            if there != wanted and (there or meta.seq <= until):
                found.append(
                    f"misdecided: {decider.name} on {meta.position} wrote {_names(there)}, due is {_names(wanted)}"
                )
            for decision, its_meta in own.get(meta.seq, ()):
                state = decider.evolve(state, decision, Context.of(its_meta, in_force))
        if meta.seq in hashes and hashes[meta.seq] != {folds.fold_hash(state)}:
            found.append(
                f"other fold: {decider.name} at {meta.seq} was {sorted(hashes[meta.seq])}, the log gives another"
            )
    return found


def _names(facts: Sequence[Fact]) -> str:
    return ", ".join(type(fact).__name__ for fact in facts) or "nothing"


def undone(history: Mapping[str, Sequence[Recorded]], *, until: int | None = None) -> list[str]:
    """Tickets without exactly one outcome, and finished self-play without all its games.

    What was asked for after `until` may still be to come, but has no two outcomes either."""
    outcomes: Counter[str] = Counter(
        event.ticket for event, _ in history["EVENTS"] if isinstance(event, OUTCOMES)
    )
    games: Counter[str] = Counter(
        event.ticket for event, _ in history.get("GAMES", ()) if isinstance(event, GameCompleted)
    )
    found = []
    for event, meta in history["EVENTS"]:
        if isinstance(event, REQUESTS):
            found += [
                f"{outcomes[ticket.ticket]} outcomes: ticket {ticket.ticket}"
                for ticket in tickets_of(event, meta.position)
                if outcomes[ticket.ticket] != 1
                and (outcomes[ticket.ticket] or until is None or meta.seq <= until)
            ]
        elif isinstance(event, SelfplayFinished) and games[event.ticket] != event.games:
            found.append(f"{games[event.ticket]} games of {event.games}: ticket {event.ticket}")
    return found
