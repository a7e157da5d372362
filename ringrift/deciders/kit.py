"""What a decision is: a pure function of the facts so far.

    initial() -> State
    evolve(State, Fact, EventMeta) -> State              total, never raises on a valid event
    decide(State, Fact, EventMeta) -> tuple[Fact, ...]   after evolve; may be empty

A decider folds `EVENTS` in the order of the log, with one exception that makes it exact: its own
decisions are folded right after the event that caused them, wherever they landed in the log. So the
state in which a decision was taken is a function of the log and every decision can be derived again
from its cause (`ringrift.consumers.runner` lives by this order).

States are msgspec Structs, so that they can be saved and compared by digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import EventMeta, Fact

State = TypeVar("State")
Key = TypeVar("Key")
Item = TypeVar("Item", bound=Struct)


@dataclass(frozen=True, kw_only=True)
class Decider(Generic[State]):
    """One subject's three functions, with the event types it folds (`reads`) and decides
    (`writes`)."""

    name: str
    state: type[State]
    reads: tuple[type[Fact], ...]
    writes: tuple[type[Fact], ...]
    initial: Callable[[], State]
    evolve: Callable[[State, Fact, EventMeta], State]
    decide: Callable[[State, Fact, EventMeta], tuple[Fact, ...]]


def fold(
    decider: Decider[State], history: list[tuple[Fact, EventMeta]], state: State | None = None
) -> State:
    """State after `history`, which holds the decider's own decisions at their causes."""
    state = decider.initial() if state is None else state
    for event, meta in history:
        state = decider.evolve(state, event, meta)
    return state


def changed(items: dict[Key, Item], key: Key, **changes: object) -> dict[Key, Item]:
    """`items` with these changes to the one under `key`; as they are where there is none, for
    nothing is known of a stranger."""
    return items if key not in items else {**items, key: replace(items[key], **changes)}


SEED_BITS = 48  # exact in JSON readers that hold numbers as doubles


def seed_from(*parts: object) -> int:
    """A seed that follows from what it is for: the first 48 bits of SHA-256 over the parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: SEED_BITS // 8])
