"""The system as it was: every projection at any point of the log, and the changes between two
points with the events that caused them.

Projections are the states of deciders, by name, and `ratings`, `generations`, `settings`,
`pauses`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct
from rich.text import Text

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating as elo
from ringrift.errors import CommandError
from ringrift.events import Recorded
from ringrift.events.facts import Rating
from ringrift.insight.describe import field_text
from ringrift.insight.generations import LoopView
from ringrift.insight.rebuild import replayable
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.runtime.authorship import deciders
from ringrift.runtime.decide import DeciderRun

RATINGS, GENERATIONS, SETTINGS, PAUSES = "ratings", "generations", "settings", "pauses"
CAUSES_KEPT_MAX, CAUSES_SHOWN = 20, 3
"""The newest events kept, and shown, for one change."""
Path = tuple[str, ...]


class Change(NamedTuple):
    """A place that differs, such as `configs.hex8_2p.games`; `UNSET` where it does not exist."""

    path: Path
    before: Any
    after: Any


def changes(before: Any, after: Any, path: Path = ()) -> Iterator[Change]:
    """Yield the smallest places that differ between two values of the same shape.

    Parts that are the same object are skipped, which makes comparing two folds cheap."""
    if before is after:
        return
    if isinstance(before, Struct) and type(before) is type(after):
        for name in before.__struct_fields__:
            yield from changes(getattr(before, name), getattr(after, name), (*path, name))
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from changes(before.get(key, UNSET), after.get(key, UNSET), (*path, str(key)))
    elif isinstance(before, tuple) and isinstance(after, tuple):
        yield from changes(dict(enumerate(before)), dict(enumerate(after)), path)
    elif before != after:
        yield Change(path, before, after)


class Past:
    """All projections, or one, folded event by event; `seq` is the newest event folded."""

    def __init__(self, runs: Sequence[DeciderRun], wanted: Sequence[str]) -> None:
        self.runs, self.wanted = runs, tuple(wanted)
        self.seq = 0
        self.in_force = InForce()
        self._view = LoopView()
        self._matches = elo.DECIDER.initial()
        self._rated: tuple[elo.Matches, dict[str, dict[str, Rating]]] = (self._matches, {})

    @classmethod
    async def open(cls, log: Log, projection: str | None = None) -> Past:
        """Prepare to fold every projection, or only `projection`. Raises CommandError if it does
        not exist."""
        names = (RATINGS, GENERATIONS, SETTINGS, PAUSES, *deciders())
        if projection is not None and projection not in names:
            known = ", ".join(names)
            raise CommandError(f"no projection is called {projection!r}; there are {known}")
        wanted = (projection,) if projection else names
        chosen = [item for name, item in deciders().items() if name in wanted]
        return cls(await replayable(log, chosen), wanted)

    def take(self, recorded: Recorded) -> None:
        """Fold one event."""
        event, meta = recorded
        self.seq = meta.seq
        self.in_force = self.in_force.after(event)
        for run in self.runs:
            run.take(event, meta)
        if RATINGS in self.wanted:
            self._matches = elo.DECIDER.evolve(self._matches, event, Context.of(meta))
        if GENERATIONS in self.wanted:
            self._view.take(recorded)

    @property
    def ratings(self) -> dict[str, dict[str, Rating]]:
        """Rating tables by config and participant, fitted again only after an evaluation."""
        if self._rated[0] is not self._matches:
            found = {}
            for config in self._matches.configs:
                rows = elo.table(self._matches, config).ratings
                found[config] = {row.participant: row for row in rows}
            self._rated = (self._matches, found)
        return self._rated[1]

    def states(self) -> dict[str, Any]:
        """Return immutable values by projection, for comparison after each event."""
        now = self.in_force
        settings = now.settings if now.settings_version else None
        values: dict[str, Any] = {run.decider.name: run.state for run in self.runs}
        values |= {RATINGS: self.ratings, PAUSES: now.pauses.paused}
        values[SETTINGS] = {"version": now.settings_version, "settings": settings}
        if GENERATIONS in self.wanted:  # this view changes in place
            values[GENERATIONS] = msgspec.to_builtins(self._view.configs)
        return {name: values[name] for name in self.wanted}

    def document(self) -> dict[str, Any]:
        """Return plain values by projection."""
        return {name: msgspec.to_builtins(value) for name, value in self.states().items()}


async def at(
    log: Log, seq: int, projection: str | None = None, progress: Progress | None = None
) -> Past:
    """Return every projection, or one, as it was after `EVENTS/<seq>`. Raises CommandError."""
    past = await Past.open(log, projection)
    async for recorded in read.facts(log, until=seq, progress=progress):
        past.take(recorded)
    return past


class Cause(Struct, frozen=True):
    """An event that touched a place."""

    position: str
    id: str
    time: datetime


class Changed(Struct, frozen=True, kw_only=True):
    """A change of a place of a projection between two points, and the newest of the `events` that
    touched it; a side where the place does not exist is `UNSET`."""

    projection: str
    path: str
    before: Any
    after: Any
    events: int
    causes: tuple[Cause, ...]


async def diff(
    log: Log, first: int, second: int, projection: str | None, progress: Progress | None = None
) -> list[Changed]:
    """Return what the events after `first` and up to `second` changed. Raises CommandError."""
    past = await Past.open(log, projection)
    touched = defaultdict[str, list[tuple[Path, Cause]]](list)
    start: dict[str, Any] = {}
    old: dict[str, Any] = {}
    async for recorded in read.facts(log, until=second, progress=progress):
        meta = recorded.meta
        if meta.seq > first and not start:  # the first event in question
            start = old = past.states()
        past.take(recorded)
        if start:
            new, cause = past.states(), Cause(meta.position, meta.id, meta.time)
            for name in new:
                paths = (change.path for change in changes(old[name], new[name]))
                touched[name] += [(path, cause) for path in paths]
            old = new
    found = []
    for name in start:
        for place, before, after in changes(start[name], old[name]):
            causes = (cause for path, cause in touched[name] if _overlap(path, place))
            unique = tuple(dict.fromkeys(causes))  # one event may touch several parts of the place
            change = Changed(
                projection=name,
                path=".".join(place),
                before=before,
                after=after,
                events=len(unique),
                causes=unique[-CAUSES_KEPT_MAX:],
            )
            found.append(change)
    return found


def _overlap(path: Path, other: Path) -> bool:
    """Whether one place is part of the other."""
    return all(step == its for step, its in zip(path, other, strict=False))


def past_lines(document: dict[str, Any]) -> Iterator[str | Text]:
    """Yield the document of a `Past` as text."""
    for name, value in document.items():
        yield Text(name, style="bold")
        yield from _value_lines(value, "  ")


def _value_lines(value: Any, indent: str) -> Iterator[str]:
    """Yield the items of a dict or list as indented lines; short lists on one line."""
    if not value:
        yield f"{indent}nothing"
    items = value.items() if isinstance(value, dict) else enumerate(value or ())
    for name, item in items:
        rows = isinstance(item, list | tuple) and item and isinstance(item[0], dict)
        if rows:
            yield f"{indent}{name}"
            for row in item:
                yield f"{indent}  " + " ".join(f"{k}={field_text(v)}" for k, v in row.items())
        elif isinstance(item, dict) and item:
            yield f"{indent}{name}"
            yield from _value_lines(item, indent + "  ")
        else:
            yield f"{indent}{name}: {field_text(item)}"


def diff_lines(found: Sequence[Changed]) -> Iterator[str | Text]:
    """Yield changes as text, with the events that caused them."""
    for projection, items in groupby(found, key=lambda item: item.projection):
        yield Text(projection, style="bold")
        for item in items:
            newest = [f"{cause.position} {cause.id.partition(':')[0]}" for cause in item.causes]
            causes = ", ".join(newest[-CAUSES_SHOWN:])
            if item.events > CAUSES_SHOWN:
                causes = f"{item.events} events, the newest {causes}"
            before, after = field_text(item.before), field_text(item.after)
            yield f"  {item.path}: {before} → {after}  ← {causes}"
