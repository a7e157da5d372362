"""The system as it was: every projection at any point of the log, and what changed between two
points because of which events.

Projections are the deciders' states by their names, and four that people ask for: `ratings`,
`generations`, `settings`, `pauses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ringrift.deciders.kit import Context
from ringrift.deciders.loop import rating as elo
from ringrift.deciders.pauses import Pauses
from ringrift.events import EventMeta, Recorded, Settings
from ringrift.events.facts import PipelinePaused, PipelineResumed, Rating, SettingsChanged
from ringrift.insight.changes import Change, Path, changes, related
from ringrift.insight.generations import LoopView
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.runtime.processes import deciders

RATINGS, GENERATIONS, SETTINGS, PAUSES = "ratings", "generations", "settings", "pauses"
CAUSES_KEPT_MAX = 20
"""newest events named for one change"""


def projections() -> tuple[str, ...]:
    """Names of all projections."""
    return (RATINGS, GENERATIONS, SETTINGS, PAUSES, *deciders())


class Past:
    """All projections, or one, folded event by event; `seq` is the newest event taken."""

    def __init__(self, runs: Sequence[DeciderRun], wanted: Sequence[str]) -> None:
        self.runs, self.wanted = runs, tuple(wanted)
        self.seq = 0
        self.settings: tuple[int, Settings] | None = None
        self.pauses = Pauses()
        self.view = LoopView()
        self.matches = elo.DECIDER.initial()
        self._rated: tuple[elo.EloState, dict[str, dict[str, Rating]]] = (self.matches, {})

    @property
    def ratings(self) -> dict[str, dict[str, Rating]]:
        """Tables by config, rows by participant, strongest first; fitted again only after an
        evaluation."""
        if self._rated[0] is not self.matches:
            tables = {
                config: elo.table(self.matches, config).ratings for config in self.matches.configs
            }
            self._rated = (
                self.matches,
                {config: {row.participant: row for row in rows} for config, rows in tables.items()},
            )
        return self._rated[1]

    @classmethod
    async def open(cls, log: Log, projection: str | None = None) -> Past:
        """Nothing folded yet; of one projection if it is named."""
        wanted = (projection,) if projection else projections()
        tail = await log.tail(EVENTS)
        runs = [
            DeciderRun(item, await own_decisions(log, item))
            for name, item in deciders().items()
            if name in wanted
        ]
        for run in runs:
            run.decided_to = tail  # nothing is decided anew: history is as it was
        return cls(runs, wanted)

    def take(self, recorded: Recorded) -> None:
        """Fold one event."""
        event, meta = recorded
        self.seq = meta.seq
        for run in self.runs:
            run.take(event, meta)
        if isinstance(event, SettingsChanged):
            self.settings = (event.version, event.settings)
        elif isinstance(event, PipelinePaused | PipelineResumed):
            self.pauses = self.pauses.after(event)
        if RATINGS in self.wanted:
            self.matches = elo.DECIDER.evolve(self.matches, event, Context.of(meta))
        if GENERATIONS in self.wanted:
            self.view.fold([recorded])

    def states(self) -> dict[str, Any]:
        """Values by projection that later events leave as they are, cheap to compare between two
        events."""
        values: dict[str, Any] = {run.decider.name: run.state for run in self.runs}
        values |= {RATINGS: self.ratings, SETTINGS: self.settings, PAUSES: self.pauses}
        if GENERATIONS in self.wanted:  # that view changes in place
            values[GENERATIONS] = msgspec.to_builtins(self.view.configs)
        return {name: values[name] for name in self.wanted}

    def document(self) -> dict[str, Any]:
        """Plain values by projection, in the order in which they were asked for."""
        version, settings = self.settings or (0, None)
        shown = self.states() | {
            SETTINGS: {"version": version, "settings": settings},
            PAUSES: self.pauses.paused,
        }
        return {name: msgspec.to_builtins(shown[name]) for name in self.wanted}


async def at(
    log: Log, seq: int, projection: str | None = None, progress: Progress | None = None
) -> Past:
    """Every projection, or one, as it was after `EVENTS` up to `seq`."""
    past = await Past.open(log, projection)
    async for recorded in read.facts(log, until=seq, progress=progress):
        past.take(recorded)
    return past


@dataclass(frozen=True, kw_only=True)
class Changed:
    """One place of a projection that differs between two points, and the newest events that touched
    it (`total` in all)."""

    projection: str
    change: Change
    causes: tuple[EventMeta, ...]
    total: int


async def diff(
    log: Log,
    first: int,
    second: int,
    projection: str | None = None,
    progress: Progress | None = None,
) -> list[Changed]:
    """What the events after `first` and up to `second` changed."""
    past = await Past.open(log, projection)
    touched: dict[str, list[tuple[Path, EventMeta]]] = {}
    start: dict[str, Any] | None = None
    old: dict[str, Any] = {}
    async for recorded in read.facts(log, until=second, progress=progress):
        if recorded.meta.seq > first and start is None:
            start = old = past.states()
        past.take(recorded)
        if start is not None:
            new = past.states()
            for name, value in new.items():
                paths = [change.path for change in changes(old[name], value)]
                touched.setdefault(name, []).extend((path, recorded.meta) for path in paths)
            old = new
    if start is None:
        return []
    return [
        _changed(name, change, touched.get(name, []))
        for name in past.wanted
        for change in changes(start[name], old[name])
    ]


def _changed(name: str, change: Change, touched: list[tuple[Path, EventMeta]]) -> Changed:
    causes = {meta.seq: meta for path, meta in touched if related(path, change.path)}
    return Changed(
        projection=name,
        change=change,
        causes=tuple(causes.values())[-CAUSES_KEPT_MAX:],
        total=len(causes),
    )
