"""Replaying: projections rebuilt from the log alone, and compared with those that running
consumers wrote."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from ringrift.deciders.context import InForce
from ringrift.deciders.kit import Context, Decider
from ringrift.deciders.loop import rating as elo
from ringrift.deciders.loop.verdict import counts
from ringrift.events import Recorded
from ringrift.events.facts import GamesRetracted, RatingsUpdated, Score
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import DeciderRun, own_decisions
from ringrift.runtime.folds import is_another


@dataclass(frozen=True, kw_only=True)
class RebuiltElo:
    """The rating table of one config.

    table     from all evaluations
    live      the newest recorded table, None if there is none
    at_live   the table from the evaluations up to the one that caused `live`, None if that
              evaluation is not in the log
    unrated   number of evaluations after it"""

    config: str
    table: RatingsUpdated
    live: Recorded[RatingsUpdated] | None
    at_live: RatingsUpdated | None
    unrated: int

    @property
    def identical(self) -> bool | None:
        """Whether the live table has the same bits; None without a live table, or with one that
        differs and that another program computed."""
        if self.live is None:
            return None
        same = self.live.event == self.at_live
        return None if not same and is_another(self.live.meta.program) else same

    @property
    def verdict(self) -> str:
        """The comparison with the live table as text."""
        if self.live is None:
            return "no live table to compare with"
        where = self.live.meta.position
        if self.identical is None:
            by = f"by another program ({self.live.meta.program})"
            return f"not comparable with the live table {where} {by}, which differs"
        if not self.identical:
            why = "" if self.at_live else f": its cause {self.live.meta.cause} is not in the log"
            return f"DIFFERENT from the live table {where}{why}"
        text = f"identical to the live table {where}, bit for bit"
        late = f"{self.unrated} evaluations are not rated yet, before them "
        return f"{late if self.unrated else ''}{text}"

    def document(self) -> dict[str, Any]:
        """Return the table and the comparison as plain values."""
        return {
            "config": self.config,
            "games": self.table.games,
            "anchor": self.table.anchor,
            "unrated": self.table.unrated,
            "ratings": msgspec.to_builtins(self.table.ratings),
            "live": self.live.meta.position if self.live else None,
            "program": self.live.meta.program if self.live else None,
            "identical": self.identical,
            "unrated_evaluations": self.unrated,
        }


async def rebuild_elo(
    log: Log, *, until: int | None = None, progress: Progress | None = None
) -> list[RebuiltElo]:
    """Return the rating tables of all configs up to a sequence of `EVENTS`, in the order of their
    first evaluation, without retracted results."""
    live = {
        recorded.event.config: recorded
        async for recorded in read.facts(log, RatingsUpdated, until=until)
    }
    state = elo.DECIDER.initial()
    at_live: dict[str, RatingsUpdated] = {}
    unrated: dict[str, int] = {}
    kinds = elo.DECIDER.reads
    in_force = InForce()
    async for event, meta in read.facts(log, *kinds, until=until, progress=progress):
        in_force = in_force.after(event)
        context = Context.of(meta, in_force)
        state = elo.DECIDER.evolve(state, event, context)
        if not isinstance(event, Score | GamesRetracted):
            continue
        config = event.config
        # a retraction without rankings changes no table, nor does a score before its recount
        if isinstance(event, GamesRetracted):
            changes = bool(event.rankings)
        else:
            changes = counts(event, context)
        unrated[config] = unrated.get(config, 0) + changes
        if config in live and live[config].meta.cause == meta.position:
            at_live[config], unrated[config] = elo.table(state, config), 0
    return [
        RebuiltElo(
            config=config,
            table=elo.table(state, config),
            live=live.get(config),
            at_live=at_live.get(config),
            unrated=unrated[config],
        )
        for config in unrated
    ]


async def replayable(log: Log, deciders: Iterable[Decider[Any]]) -> list[DeciderRun]:
    """Return deciders that will fold their recorded decisions and derive none."""
    runs = [DeciderRun(decider, await own_decisions(log, decider)) for decider in deciders]
    tail = await log.tail(EVENTS)
    for run in runs:
        run.decided_to = tail
    return runs


async def replayed_runs(
    log: Log,
    deciders: Iterable[Decider[Any]],
    until: int | None = None,
    progress: Progress | None = None,
) -> list[DeciderRun]:
    """Return deciders after folding the log up to a sequence of `EVENTS`."""
    runs = await replayable(log, deciders)
    kinds = {kind for run in runs for kind in run.types}
    async for event, meta in read.facts(log, *kinds, until=until, progress=progress):
        for run in runs:
            run.take(event, meta)
    return runs
