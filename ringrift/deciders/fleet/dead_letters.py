"""When is a dead letter tried again, and when does a person have to look?

Letters that nobody could read are tried again after `dead_letter_retry_seconds`, then four times as
long after each try: a newer build may know the event. After `dead_letter_retries` tries they are
escalated. A ticket whose failure is a fact (`answered`) is escalated at once: the loop has gone on
without it, and doing it again by itself would do twice what was decided once."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context, changed
from ringrift.events import REGISTRY, Fact
from ringrift.events.facts import (
    DeadLetterEscalated,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    DeadLetterStored,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings

RETRY_GROWTH = 4.0
UNRESOLVED_KEPT_MAX = 10_000
"""letters in the state; the oldest are left to a person beyond it"""
DUE_MAX = 100
"""decisions at once; the others are due at the next event"""
WRITES = (DeadLetterRetryRequested, DeadLetterEscalated)
AnyLetter = (
    DeadLetterStored
    | DeadLetterRetryRequested
    | DeadLetterRetryFailed
    | DeadLetterResolved
    | DeadLetterEscalated
)


class Letter(Struct, frozen=True, kw_only=True):
    """One dead letter that is not resolved; `since` is when it was buried or tried last, seconds
    since 1970."""

    consumer: str
    stream: str
    seq: int
    dead_seq: int
    reason: str
    since: float
    answered: bool = False
    attempts: int = 0
    waiting: bool = False
    """a try has been asked for and has not been answered"""
    escalated: bool = False


class LettersState(Struct, frozen=True, kw_only=True):
    """Unresolved letters by `<consumer>/<stream>/<seq>`, oldest first, and how many were
    resolved."""

    settings: OperationSettings = OperationSettings()
    letters: dict[str, Letter] = {}
    resolved: int = 0


def evolve(state: LettersState, event: Fact, meta: Context) -> LettersState:
    """Take in one fact."""
    now = meta.time.timestamp()
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings.operation)
        case DeadLetterStored():
            if key_of(event) in state.letters or len(state.letters) >= UNRESOLVED_KEPT_MAX:
                return state
            letter = Letter(
                consumer=event.consumer,
                stream=event.stream,
                seq=event.seq,
                dead_seq=event.dead_seq,
                reason=event.reason,
                since=now,
                answered=event.failure_recorded,
            )
            return replace(state, letters={**state.letters, key_of(event): letter})
        case DeadLetterRetryRequested():
            return _with(state, event, attempts=event.attempt, waiting=True, since=now)
        case DeadLetterRetryFailed():
            return _with(state, event, waiting=False, reason=event.reason, since=now)
        case DeadLetterEscalated():
            return _with(state, event, escalated=True)
        case DeadLetterResolved():
            left = {key: letter for key, letter in state.letters.items() if key != key_of(event)}
            return replace(
                state, letters=left, resolved=state.resolved + len(state.letters) - len(left)
            )
    return state


def decide(state: LettersState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Tries and escalations that are due at the time of the event."""
    now = meta.time.timestamp()
    due = [
        fact
        for letter in state.letters.values()
        if (fact := _due(letter, state.settings, now)) is not None
    ]
    return tuple(due[:DUE_MAX])


def _due(letter: Letter, settings: OperationSettings, now: float) -> Fact | None:
    if letter.escalated:
        return None
    wait = settings.dead_letter_retry_seconds * RETRY_GROWTH**letter.attempts
    if letter.answered or (letter.attempts >= settings.dead_letter_retries and not letter.waiting):
        return DeadLetterEscalated(
            consumer=letter.consumer,
            stream=letter.stream,
            seq=letter.seq,
            dead_seq=letter.dead_seq,
            attempts=letter.attempts,
            reason=letter.reason,
        )
    if letter.waiting or now - letter.since < wait:
        return None
    return DeadLetterRetryRequested(
        consumer=letter.consumer,
        stream=letter.stream,
        seq=letter.seq,
        dead_seq=letter.dead_seq,
        attempt=letter.attempts + 1,
    )


def key_of(event: AnyLetter) -> str:
    """The name of a letter: whose it is and which message."""
    return f"{event.consumer}/{event.stream}/{event.seq}"


def _with(state: LettersState, event: AnyLetter, **changes: object) -> LettersState:
    return replace(state, letters=changed(state.letters, key_of(event), **changes))


DECIDER = Classic(
    name="letters",
    state=LettersState,
    reads=tuple(
        kind.fact_type
        for kind in REGISTRY.values()
        if kind.stream == "EVENTS" and kind.fact_type not in WRITES
    ),
    writes=WRITES,
    initial=LettersState,
    evolve=evolve,
    decide=decide,
)
