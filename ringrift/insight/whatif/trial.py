"""What-if: the decisions that another policy would have taken on recorded history.

A policy is a decider with other settings, or another decider. Up to `since` it folds history as
recorded. After that it folds its own new decisions in place of the recorded ones, and everything
else (games, networks, scores) as recorded, as history cannot show what workers would have made of
requests that were never written. `WhatIf` counts how many of the events read after the first
divergence rest on decisions that would have changed: the more, the less the rest means."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from ringrift.deciders.kit import Decider
from ringrift.errors import CommandError
from ringrift.events import EventMeta, Fact, Recorded, Settings, facts
from ringrift.insight.why.references import HISTORY
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.runtime.authorship import deciders
from ringrift.runtime.decide import DeciderRun, own_decisions

Retune = Callable[[Settings], Settings]
IDENTITY = ("config", "generation", "model", "purpose", "round", "index")
"""Fields that identify a decision, as far as it has them; the candidate's network is another."""
IGNORED = ("settings_version",)
"""The settings of a trial have no version of their own."""
WORDING = frozenset({"why", "reason"})
"""Decisions that differ only in these fields are the same."""


class TrialDecision(NamedTuple):
    """A decision and the event that caused it; `position` is None for one that was only tried."""

    fact: Fact
    cause: EventMeta
    position: str | None

    @property
    def config(self) -> str:
        """The config it is about, `all` for the others."""
        return getattr(self.fact, "config", "all")


@dataclass(kw_only=True)
class Totals:
    """Sums over the decisions about one config. Seconds are None if history has no measurements.

    verdict_seconds   mean time from the registration of a network to its verdict
    worker_seconds    cost of the requested games and samples, at the mean recorded cost of one"""

    decisions: dict[str, int] = field(default_factory=dict)
    """By type."""
    games: int = 0
    evaluation_starts: int = 0
    trainings: int = 0
    samples: int = 0
    promoted: int = 0
    rejected: int = 0
    verdict_seconds: float | None = None
    worker_seconds: float | None = None

    @classmethod
    def of(
        cls, config: str, decisions: Iterable[TrialDecision], history: Sequence[Recorded]
    ) -> Totals:
        """Add up the decisions about a config."""
        mine = [item for item in decisions if item.config == config]
        made = [item.fact for item in mine]
        kinds = Counter(type(fact).__name__ for fact in made)
        found = cls(
            decisions=dict(kinds),
            games=sum(fact.games for fact in made if isinstance(fact, facts.SelfplayPlanned)),
            evaluation_starts=sum(
                fact.starts for fact in made if isinstance(fact, facts.EvaluationRequested)
            ),
            trainings=kinds["TrainingRequested"],
            samples=sum(fact.samples for fact in made if isinstance(fact, facts.TrainingRequested)),
            promoted=kinds["ModelPromoted"],
            rejected=kinds["PromotionRejected"],
        )
        registered = {
            event.model: meta.time
            for event, meta in history
            if isinstance(event, facts.ModelRegistered)
        }
        waits = [
            (item.cause.time - registered[item.fact.model]).total_seconds()
            for item in mine
            if isinstance(item.fact, facts.ModelPromoted | facts.PromotionRejected)
            and item.fact.model in registered
        ]
        found.verdict_seconds = sum(waits) / len(waits) if waits else None
        found.worker_seconds = found._cost(config, history)
        return found

    def _cost(self, config: str, history: Iterable[Recorded]) -> float | None:
        games = samples = 0
        play = train = 0.0
        for event, _ in history:
            match event:
                case facts.SelfplayFinished() if event.config == config:
                    games, play = games + event.games, play + event.play_seconds
                case facts.TrainingFinished() if event.config == config:
                    samples, train = samples + event.samples, train + event.train_seconds
        work = [(self.games, games, play), (self.samples, samples, train)]
        asked = [item for item in work if item[0]]
        if not asked or not all(done for _, done, _ in asked):
            return None
        return sum(amount * seconds / done for amount, done, seconds in asked)


class Difference(NamedTuple):
    """A decision that would have changed: other `fields`, another cause (`moved`), or none on one
    side (`dropped`, `added`)."""

    kind: Literal["changed", "moved", "dropped", "added"]
    recorded: TrialDecision | None
    tried: TrialDecision | None
    fields: tuple[tuple[str, Any, Any], ...] = ()

    @property
    def seq(self) -> int:
        """Sequence of the event where it first shows."""
        return min(item.cause.seq for item in (self.recorded, self.tried) if item is not None)


@dataclass(kw_only=True)
class WhatIf:
    """Recorded and tried decisions after `since` and up to `until`, compared.

    read       other events that the decider read after the first divergence
    affected   those of them that rest on decisions that would have changed
    totals     by config: of the recorded and of the tried decisions"""

    policy: str
    since: int
    until: int
    recorded: list[TrialDecision]
    tried: list[TrialDecision]
    differences: list[Difference]
    read: int
    affected: int
    totals: dict[str, tuple[Totals, Totals]]

    @property
    def same(self) -> int:
        """Number of recorded decisions that would have been the same."""
        return len(self.recorded) - sum(item.recorded is not None for item in self.differences)


def policy_named(name: str) -> Decider[Any]:
    """Return the decider of this name, or `DECIDER` of a Python file. Raises CommandError."""
    if not name.endswith(".py"):
        if name in deciders():
            return deciders()[name]
        known = f"{', '.join(deciders())}, or a Python file with a DECIDER"
        raise CommandError(f"no decider is called {name!r}: give {known}")
    if not Path(name).is_file():
        raise CommandError(f"there is no policy file {name}")
    try:
        found = runpy.run_path(name).get("DECIDER")
    except Exception as error:
        raise CommandError(f"{name} does not load: {type(error).__name__}: {error}") from error
    if not isinstance(found, Decider):
        raise CommandError(f"{name} has no DECIDER (a ringrift.deciders.kit.Decider)")
    return found


async def whatif(
    log: Log,
    decider: Decider[Any],
    retune: Retune,
    *,
    since: int,
    until: int,
    progress: Progress | None = None,
) -> WhatIf:
    """Try a decider on the events after `since` and up to `until`, with the settings that `retune`
    returns for those in force."""
    history = [item async for item in read.facts(log, *HISTORY, until=until, progress=progress)]
    own = {seq: found for seq, found in (await own_decisions(log, decider)).items() if seq <= until}
    recorded = [
        TrialDecision(item.event, meta, item.meta.position)
        for _, meta in history
        if meta.seq > since
        for item in own.get(meta.seq, ())
    ]
    tried = list(_tried(DeciderRun(decider, own), history, retune, since))
    differences = _differences(recorded, tried)
    others, affected = _affected(decider, history, differences)
    configs = dict.fromkeys(item.config for item in (*recorded, *tried))
    return WhatIf(
        policy=decider.name,
        since=since,
        until=until,
        recorded=recorded,
        tried=tried,
        differences=differences,
        read=others,
        affected=affected,
        totals={
            config: (Totals.of(config, recorded, history), Totals.of(config, tried, history))
            for config in configs
        },
    )


def _tried(
    run: DeciderRun, history: Sequence[Recorded], retune: Retune, since: int
) -> Iterator[TrialDecision]:
    """Yield the decisions of the policy after `since`."""
    run.decided_to = since
    past = [item for item in history if item.meta.seq <= since]
    for event, meta in past:
        run.take(event, meta)
    # the state stays as recorded, but the settings are those of the trial from here on
    for event, meta in reversed(past):
        if isinstance(event, facts.SettingsChanged):
            run.fold(_retuned(event, retune), meta)
            break
    for event, meta in history[len(past) :]:
        if type(event) not in run.types or run.is_own(event, meta):
            continue
        if isinstance(event, facts.SettingsChanged):
            event = _retuned(event, retune)
        context = run.fold(event, meta)
        for fact in run.decider.decide(run.state, event, context):
            yield TrialDecision(fact, meta, None)
            run.state = run.decider.evolve(run.state, fact, context)


def _retuned(event: facts.SettingsChanged, retune: Retune) -> facts.SettingsChanged:
    return replace(event, settings=retune(event.settings))


def _differences(
    recorded: Iterable[TrialDecision], tried: Iterable[TrialDecision]
) -> list[Difference]:
    """Return the differences in the order in which they show."""
    waiting: dict[tuple[Any, ...], list[TrialDecision]] = {}
    for item in tried:
        waiting.setdefault(_identity(item.fact), []).append(item)
    found = []
    for item in recorded:
        others = waiting.get(_identity(item.fact))
        if not others:
            found.append(Difference("dropped", item, None))
            continue
        other = others.pop(0)  # decisions of equal identity are paired in order
        fields = tuple(_fields(item.fact, other.fact))
        if item.cause.seq != other.cause.seq:
            found.append(Difference("moved", item, other, fields))
        elif not {name for name, _, _ in fields} <= WORDING:
            found.append(Difference("changed", item, other, fields))
    found += [Difference("added", None, item) for items in waiting.values() for item in items]
    return sorted(found, key=lambda item: item.seq)


def _identity(fact: Fact) -> tuple[Any, ...]:
    # promotion and rejection are two outcomes of one decision
    kind = facts.ModelPromoted if isinstance(fact, facts.PromotionRejected) else type(fact)
    names = ("config", "generation") if isinstance(fact, facts.SelfplayPlanned) else IDENTITY
    candidate = getattr(fact, "candidate", None)
    model = candidate.model if isinstance(candidate, facts.Seat) else None
    return (kind, model, *(getattr(fact, name, None) for name in names))


def _fields(first: Fact, second: Fact) -> Iterator[tuple[str, Any, Any]]:
    if type(first) is not type(second):
        yield "verdict", type(first).__name__, type(second).__name__
    for name in first.__struct_fields__:
        before, after = getattr(first, name), getattr(second, name, None)
        if name not in IGNORED and name in second.__struct_fields__ and before != after:
            yield name, before, after


def _affected(
    decider: Decider[Any], history: Iterable[Recorded], differences: Sequence[Difference]
) -> tuple[int, int]:
    """Return the number of other events that the decider read after the first divergence, and of
    those that rest on decisions that would have changed.

    The cause of a shard is a game; it counts as affected once any game of its config may be."""
    if not differences:
        return 0, 0
    changed = {item.recorded.position for item in differences if item.recorded is not None}
    configs: set[str] = set()
    others = affected = 0
    for event, meta in history:
        config = getattr(event, "config", "")
        if meta.cause in changed or (isinstance(event, facts.ShardExported) and config in configs):
            changed.add(meta.position)
        if meta.position in changed and isinstance(
            event, facts.SelfplayPlanned | facts.EvaluationRequested
        ):
            configs.add(config)
        own = type(event) in decider.writes and meta.cause is not None
        if type(event) in decider.reads and not own and meta.seq > differences[0].seq:
            others += 1
            affected += meta.position in changed
    return others, affected
