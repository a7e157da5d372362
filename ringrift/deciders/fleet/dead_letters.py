"""When is a dead letter retried, and when does a person have to look at it?

Undecodable events are retried after `dead_letter_retry_seconds`, then four times as long after each
retry, since a newer build may know the event. After `dead_letter_retries` retries they are
escalated. A ticket whose failure is recorded as a fact is escalated at once: the loop continued
without it, and a retry would repeat its work."""

from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import TypedDict

from ringrift.deciders.kit import Context, Decider, Struct, replace, successor
from ringrift.events import facts as f
from ringrift.events.settings import OperationSettings

RETRY_GROWTH = 4.0
GROWN_MAX = 50
"""attempts after which the wait grows no more: with more, it exceeds a float"""
UNRESOLVED_KEPT_MAX = 10_000
"""dead letters in the state; any more are left to a person"""
DUE_MAX = 20
"""decisions on one event; the others follow at the next event"""
Due = Iterator[f.DeadLetterRetryRequested | f.DeadLetterEscalated]


class Identity(TypedDict):
    """Fields of every fact about a dead letter."""

    consumer: str
    stream: str
    seq: int
    dead_seq: int


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An unresolved dead letter; `since` is when it was stored or last retried, in seconds since
    1970."""

    consumer: str
    stream: str
    seq: int
    dead_seq: int
    reason: str
    since: float
    answered: bool = False
    """its failure is recorded as a fact"""
    attempts: int = 0
    waiting: bool = False
    """a retry was requested and has no result yet"""
    escalated: bool = False


class DeadLetters(Struct, frozen=True, kw_only=True):
    """Unresolved dead letters by `<consumer>/<stream>/<seq>`, oldest first, and the number of
    resolved ones."""

    unresolved: dict[str, DeadLetter] = {}
    resolved: int = 0
    due: dict[str, float] = {}
    """when something is to be decided about a letter, in seconds since 1970, for those that are
    neither retried now nor left to a person"""
    next_due: float | None = None
    """the earliest of these: events before it look at no letter"""


DECIDER = Decider("dead-letters", DeadLetters)


@DECIDER.evolves
def stored(state: DeadLetters, fact: f.DeadLetterStored, context: Context) -> DeadLetters:
    if key_of(fact) in state.unresolved or len(state.unresolved) >= UNRESOLVED_KEPT_MAX:
        return state
    since, answered = context.time.timestamp(), fact.failure_recorded
    new = DeadLetter(**identity(fact), reason=fact.reason, since=since, answered=answered)
    return _with(state, key_of(fact), new, context)


@DECIDER.evolves
def retried(state: DeadLetters, fact: f.DeadLetterRetryRequested, context: Context) -> DeadLetters:
    return _changed(state, fact, context, attempts=fact.attempt, waiting=True)


@DECIDER.evolves
def failed(state: DeadLetters, fact: f.DeadLetterRetryFailed, context: Context) -> DeadLetters:
    return _changed(state, fact, context, waiting=False, reason=fact.reason)


@DECIDER.evolves
def escalated(state: DeadLetters, fact: f.DeadLetterEscalated, context: Context) -> DeadLetters:
    return _changed(state, fact, context, escalated=True)


@DECIDER.evolves
def resolved(state: DeadLetters, fact: f.DeadLetterResolved) -> DeadLetters:
    left, due = dict(state.unresolved), dict(state.due)
    known = left.pop(key_of(fact), None) is not None
    due.pop(key_of(fact), None)
    first, count = min(due.values(), default=None), state.resolved + known
    return DeadLetters(unresolved=left, resolved=count, due=due, next_due=first)


@DECIDER.decides
def retry(state: DeadLetters, fact: f.Fact, context: Context) -> Due:
    """Retries and escalations that are due at the time of the event."""
    now = context.time.timestamp()
    if state.next_due is None or now < state.next_due:
        return
    due = (key for key, at in state.due.items() if at <= now)
    for letter in (state.unresolved[key] for key in islice(due, DUE_MAX)):
        if _left_to_a_person(letter, context.settings.operation):
            attempts, reason = letter.attempts, letter.reason
            yield f.DeadLetterEscalated(**identity(letter), attempts=attempts, reason=reason)
        else:
            yield f.DeadLetterRetryRequested(**identity(letter), attempt=successor(letter.attempts))


def _left_to_a_person(letter: DeadLetter, settings: OperationSettings) -> bool:
    return letter.answered or letter.attempts >= settings.dead_letter_retries


def _due(letter: DeadLetter, settings: OperationSettings) -> float:
    """When something is to be decided about a letter, in seconds since 1970."""
    if letter.escalated or (letter.waiting and not letter.answered):
        return inf
    if _left_to_a_person(letter, settings):
        return letter.since
    wait = settings.dead_letter_retry_seconds * RETRY_GROWTH ** min(letter.attempts, GROWN_MAX)
    return letter.since + wait


def identity(letter: DeadLetter | f.DeadLetterFact) -> Identity:
    """The message that could not be used, its consumer, and its place in `DEAD`."""
    consumer, stream = letter.consumer, letter.stream
    return Identity(consumer=consumer, stream=stream, seq=letter.seq, dead_seq=letter.dead_seq)


def key_of(fact: f.DeadLetterFact) -> str:
    """The name of a dead letter: its consumer and message."""
    return f"{fact.consumer}/{fact.stream}/{fact.seq}"


def _changed(
    state: DeadLetters, fact: f.DeadLetterFact, context: Context, **changes: object
) -> DeadLetters:
    known = state.unresolved.get(key_of(fact))
    if known is None:
        return state
    letter: DeadLetter = replace(known, since=context.time.timestamp(), **changes)
    return _with(state, key_of(fact), letter, context)


def _with(state: DeadLetters, key: str, letter: DeadLetter, context: Context) -> DeadLetters:
    due, at = dict(state.due), _due(letter, context.settings.operation)
    before = due.pop(key, inf)
    if at < inf:
        due[key] = at
    first = state.next_due
    if first is not None and first < before:
        first = min(first, at)
    else:
        first = min(due.values(), default=None)
    return replace(state, unresolved={**state.unresolved, key: letter}, due=due, next_due=first)
