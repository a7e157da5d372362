"""Rebuilding a projection from the log alone, and comparing it with what was written while the
system ran."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringrift.deciders.kit import Context, Decider
from ringrift.deciders.loop import rating as elo
from ringrift.events import Fact, Recorded, UndecodableEvent, decode, type_of
from ringrift.events.facts import EvaluationScored, GamesRetracted, RatingsUpdated
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import DeciderRun, own_decisions

Until = int | datetime | None
"""Last sequence, or last time, that counts; None for all there is."""


@dataclass(frozen=True, kw_only=True)
class RebuiltElo:
    """The rating table of one config.

    table      from all evaluations up to the point asked for live       the newest table written up
    to that point, None if none was at_live    the table from the evaluations up to the one that
    caused `live`, None where that is not in the log any more unrated    evaluations after it"""

    config: str
    table: RatingsUpdated
    live: Recorded | None
    at_live: RatingsUpdated | None
    unrated: int

    @property
    def identical(self) -> bool | None:
        """Whether the live table has the same bits; None without a live table."""
        return None if self.live is None else self.live.event == self.at_live


async def rebuild_elo(
    log: Log, *, until: Until = None, progress: Progress | None = None
) -> list[RebuiltElo]:
    """Rating tables of all configs, in the order of their first evaluation, from the results in the
    log that are not retracted."""
    live: dict[str, Recorded] = {}
    async for recorded in _events(log, RatingsUpdated, until):
        if isinstance(recorded.event, RatingsUpdated):
            live[recorded.event.config] = recorded
    state = elo.DECIDER.initial()
    at_live: dict[str, RatingsUpdated] = {}
    unrated: dict[str, int] = {}
    async for event, meta in _events(log, EvaluationScored, until, progress, GamesRetracted):
        if not isinstance(event, EvaluationScored | GamesRetracted):
            continue
        state = elo.DECIDER.evolve(state, event, Context.of(meta))
        unrated[event.config] = unrated.get(event.config, 0) + (
            isinstance(event, EvaluationScored) or bool(event.rankings)
        )
        newest = live.get(event.config)
        if newest is not None and newest.meta.cause == meta.position:
            at_live[event.config], unrated[event.config] = elo.table(state, event.config), 0
    return [
        RebuiltElo(
            config=config,
            table=elo.table(state, config),
            live=live.get(config),
            at_live=at_live.get(config),
            unrated=unrated[config],
        )
        for config in state.configs
    ]


async def _events(
    log: Log, kind: type[Fact], until: Until, progress: Progress | None = None, *more: type[Fact]
) -> AsyncIterator[Recorded]:
    """Events of some kinds up to a point."""
    last = until if isinstance(until, int) else None
    filters = [type_of(one).subject_filter for one in (kind, *more)]
    async for batch in log.read(EVENTS, filters=filters, until_seq=last, progress=progress):
        for entry in batch:
            if isinstance(until, datetime) and entry.time > until:
                return
            with contextlib.suppress(
                UndecodableEvent
            ):  # no evaluation and no table; the deciders dead-letter it
                yield decode(entry.body, stream=EVENTS, seq=entry.seq)


async def replayed_runs(
    log: Log,
    deciders: Sequence[Decider[Any]],
    until: int | None = None,
    progress: Progress | None = None,
) -> list[DeciderRun]:
    """The deciders folded from the first event to `until`, their own decisions at their causes;
    nothing is decided anew."""
    runs = [DeciderRun(decider, await own_decisions(log, decider)) for decider in deciders]
    tail = await log.tail(EVENTS)
    for run in runs:
        run.decided_to = tail
    kinds = {kind for run in runs for kind in run.types}
    async for event, meta in read.facts(log, *kinds, until=until, progress=progress):
        for run in runs:
            run.take(event, meta)
    return runs


async def replayed_folds(
    log: Log, deciders: Sequence[Decider[Any]], until: int | None = None
) -> dict[str, str]:
    """Digests of the states of `replayed_runs` by decider: what a runner's heartbeat says at that
    sequence."""
    return {run.decider.name: run.fold_hash for run in await replayed_runs(log, deciders, until)}
