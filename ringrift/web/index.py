"""An index of `EVENTS` in memory: cause, effects, type, scope and time of every event, some twenty
bytes each."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from ringrift.events import EventMeta
from ringrift.log.topology import EVENTS

BLOCK = 1 << 16
"""events looked at together"""
NONE = 65_535
"""no type and no scope has this number"""


class Index:
    """What is known of an event by its sequence alone, without reading it."""

    def __init__(self) -> None:
        self.types: list[str] = [""]
        """names of the types of facts that occurred"""
        self.scopes: list[str] = [""]
        """configs, nodes and `all`"""
        self._types: dict[str, int] = {}
        self._scopes: dict[str, int] = {}
        self._type, self._scope, self._seconds = array("H", [0]), array("I", [0]), array("I", [0])
        self._cause, self._first, self._last, self._next = (array("Q", [0]) for _ in range(4))
        self._of_others: dict[str, list[int]] = {}

    def __len__(self) -> int:
        """Return the sequence of the newest event."""
        return len(self._type) - 1

    def add(self, name: str, meta: EventMeta) -> None:
        """Add an event; events are added in the order of the log."""
        seq = meta.seq
        if missing := seq - len(self._type):
            for column in (self._type, self._scope, self._seconds, *self._links()):
                column.extend([0] * missing)  # messages that are no events
        self._type.append(_code(name, self.types, self._types))
        self._scope.append(_code(meta.subject.split(".")[2], self.scopes, self._scopes))
        self._seconds.append(max(0, int(meta.time.timestamp())))
        for column in self._links():
            column.append(0)
        stream, _, number = (meta.cause or "").partition("/")
        if stream == EVENTS and 0 < int(number) < seq:
            self._link(int(number), seq)
        elif stream:
            self._of_others.setdefault(meta.cause or "", []).append(seq)

    def _links(self) -> tuple[array[int], ...]:
        return self._cause, self._first, self._last, self._next

    def _link(self, cause: int, seq: int) -> None:
        self._cause[seq] = cause
        if newest := self._last[cause]:
            self._next[newest] = seq
        else:
            self._first[cause] = seq
        self._last[cause] = seq

    def type_of(self, seq: int) -> str:
        """Return the name of the event's type, empty if there is no such event."""
        return self.types[self._type[seq]] if 0 < seq <= len(self) else ""

    def scope_of(self, seq: int) -> str:
        """Return the config or node of the event, or `all`."""
        return self.scopes[self._scope[seq]] if 0 < seq <= len(self) else ""

    def time_of(self, seq: int) -> datetime:
        """Return when the event was stored, to the second."""
        return datetime.fromtimestamp(self._seconds[max(0, min(seq, len(self)))], UTC)

    def cause_of(self, seq: int) -> int:
        """Return the sequence of the event in `EVENTS` that caused this one, 0 if there is none."""
        return self._cause[seq] if 0 < seq <= len(self) else 0

    def effects_of(self, position: str) -> Iterator[int]:
        """Yield the sequences of the events that name a position such as `EVENTS/12` as their
        cause, oldest first."""
        stream, _, number = position.partition("/")
        if stream != EVENTS or not number.isdecimal() or int(number) > len(self):
            yield from self._of_others.get(position, ())
            return
        effect = self._first[int(number)]
        while effect:
            yield effect
            effect = self._next[effect]

    def newest(self, type: str = "", scope: str = "", before: int = 0) -> Iterator[int]:
        """Yield the sequences of events of a type and scope (empty: of all), newest first, from
        below `before` if it is given."""
        types = [type] if type else []
        top = min(before - 1, len(self)) if before else len(self)
        while top > 0:
            first = max(1, top - BLOCK + 1)
            yield from reversed(self._found(first, top, types, scope))
            top = first - 1

    def _found(self, first: int, last: int, types: Sequence[str], scope: str) -> list[int]:
        """Sequences from `first` to `last` of events of these types (none: of all) and a scope."""
        part = slice(first, last + 1)
        # copied, because an array cannot grow while a view of it exists
        kinds = np.frombuffer(self._type, np.uint16)[part].copy()
        wanted = kinds > 0
        if types:
            wanted = np.isin(kinds, [self._types.get(name, 0) or NONE for name in types])
        if scope:
            scopes = np.frombuffer(self._scope, np.uint32)[part].copy()
            wanted &= scopes == (self._scopes.get(scope, 0) or NONE)
        found: list[int] = (np.flatnonzero(wanted) + first).tolist()
        return found

    def at(self, moment: datetime) -> int:
        """Return the sequence of the newest event that was stored at a time, to the second."""
        return max(0, bisect.bisect_right(self._seconds, int(moment.timestamp())) - 1)


def _code(name: str, names: list[str], codes: dict[str, int]) -> int:
    if name not in codes:
        codes[name] = len(names)
        names.append(name)
    return codes[name]
