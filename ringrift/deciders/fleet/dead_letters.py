"""When is a dead letter retried, and when does a person have to look at it?

Undecodable events are retried after `dead_letter_retry_seconds`, then four times as long after each
retry, since a newer build may know the event. After `dead_letter_retries` retries they are
escalated. A ticket whose failure is recorded as a fact is escalated at once: the loop continued
without it, and a retry would repeat its work."""

from collections.abc import Iterator
from itertools import islice
from typing import TypedDict

from ringrift.deciders.kit import Context, Decider, Struct, changed, replace, successor
from ringrift.events import facts as f
from ringrift.events.settings import OperationSettings

RETRY_GROWTH = 4.0
GROWN_MAX = 50
"""attempts after which the wait grows no more: with more, it exceeds a float"""
UNRESOLVED_KEPT_MAX = 10_000
"""dead letters in the state; any more are left to a person"""
DUE_MAX = 100
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


DECIDER = Decider("dead-letters", DeadLetters)


@DECIDER.evolves
def stored(state: DeadLetters, fact: f.DeadLetterStored, context: Context) -> DeadLetters:
    if key_of(fact) in state.unresolved or len(state.unresolved) >= UNRESOLVED_KEPT_MAX:
        return state
    since, answered = context.time.timestamp(), fact.failure_recorded
    new = DeadLetter(**identity(fact), reason=fact.reason, since=since, answered=answered)
    return replace(state, unresolved={**state.unresolved, key_of(fact): new})


@DECIDER.evolves
def retried(state: DeadLetters, fact: f.DeadLetterRetryRequested, context: Context) -> DeadLetters:
    now = context.time.timestamp()
    return _with(state, fact, attempts=fact.attempt, waiting=True, since=now)


@DECIDER.evolves
def failed(state: DeadLetters, fact: f.DeadLetterRetryFailed, context: Context) -> DeadLetters:
    now = context.time.timestamp()
    return _with(state, fact, waiting=False, reason=fact.reason, since=now)


@DECIDER.evolves
def escalated(state: DeadLetters, fact: f.DeadLetterEscalated) -> DeadLetters:
    return _with(state, fact, escalated=True)


@DECIDER.evolves
def resolved(state: DeadLetters, fact: f.DeadLetterResolved) -> DeadLetters:
    left = {key: letter for key, letter in state.unresolved.items() if key != key_of(fact)}
    count = state.resolved + len(state.unresolved) - len(left)
    return replace(state, unresolved=left, resolved=count)


@DECIDER.decides
def retry(state: DeadLetters, fact: f.Fact, context: Context) -> Due:
    """Retries and escalations that are due at the time of the event."""
    settings, now = context.settings.operation, context.time.timestamp()
    due = (one for letter in state.unresolved.values() for one in _due(letter, settings, now))
    return islice(due, DUE_MAX)


def _due(letter: DeadLetter, settings: OperationSettings, now: float) -> Due:
    if letter.escalated:
        return
    exhausted = letter.attempts >= settings.dead_letter_retries and not letter.waiting
    wait = settings.dead_letter_retry_seconds * RETRY_GROWTH ** min(letter.attempts, GROWN_MAX)
    if letter.answered or exhausted:
        attempts, reason = letter.attempts, letter.reason
        yield f.DeadLetterEscalated(**identity(letter), attempts=attempts, reason=reason)
    elif not letter.waiting and now - letter.since >= wait:
        yield f.DeadLetterRetryRequested(**identity(letter), attempt=successor(letter.attempts))


def identity(letter: DeadLetter | f.DeadLetterFact) -> Identity:
    """The message that could not be used, its consumer, and its place in `DEAD`."""
    consumer, stream = letter.consumer, letter.stream
    return Identity(consumer=consumer, stream=stream, seq=letter.seq, dead_seq=letter.dead_seq)


def key_of(fact: f.DeadLetterFact) -> str:
    """The name of a dead letter: its consumer and message."""
    return f"{fact.consumer}/{fact.stream}/{fact.seq}"


def _with(state: DeadLetters, fact: f.DeadLetterFact, **changes: object) -> DeadLetters:
    return replace(state, unresolved=changed(state.unresolved, key_of(fact), **changes))
