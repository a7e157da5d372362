"""What would another policy have decided? Recorded history through a decider with other settings,
or through another decider.

Up to `since` everything is as it was. From there the decider takes in its own new decisions in
place of the recorded ones, and everything else (games, networks, scores) as recorded: history
cannot tell what workers would have made of requests that were never written. How much of what was
taken in stems from decisions that would have been others is counted: it says how far to trust the
rest."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from ringrift.deciders.kit import STEERING, Context, Decider, InForce
from ringrift.events import EventMeta, Fact, Recorded, Settings
from ringrift.events.facts import (
    EvaluationRequested,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    Seat,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.insight.why.references import HISTORY
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.runtime.decide import own_decisions
from ringrift.runtime.processes import deciders

Retune = Callable[[Settings], Settings]
IDENTITY = ("config", "generation", "model", "purpose", "round", "index")
"""fields that tell which decision it is, where it has them; the candidate's network does so too"""
IGNORED = ("settings_version",)
"""the other settings have no version of their own"""
WORDS = frozenset({"why", "reason"})
"""a decision for other words is the same decision"""


class PolicyError(Exception):
    """There is no such policy, or the file holds none."""


class Decision(NamedTuple):
    """A decision and the event it was taken on; `position` is where it is recorded, None for one
    that was only tried."""

    fact: Fact
    cause: EventMeta
    position: str | None


class Difference(NamedTuple):
    """How a decision would have been another: `changed` fields, `moved` to another cause, `dropped`
    or `added`."""

    kind: Literal["changed", "moved", "dropped", "added"]
    recorded: Decision | None
    tried: Decision | None
    fields: tuple[tuple[str, Any, Any], ...]

    @property
    def seq(self) -> int:
        """Where it shows first."""
        return min(item.cause.seq for item in (self.recorded, self.tried) if item is not None)


@dataclass(kw_only=True)
class Sum:
    """What the decisions about one config come to. Seconds are None where history has nothing to go
    by.

    verdict_seconds   mean time from a network's registration to its verdict worker_seconds    what
    the asked-for games and samples would cost at the recorded seconds a game and a sample"""

    decisions: dict[str, int] = field(default_factory=dict)
    games: int = 0
    evaluation_starts: int = 0
    trainings: int = 0
    samples: int = 0
    promoted: int = 0
    rejected: int = 0
    verdict_seconds: float | None = None
    worker_seconds: float | None = None


@dataclass(kw_only=True)
class WhatIf:
    """The comparison. `taken_in`: outside events after the first divergence; `stemming`: those of
    them that rest on decisions that would have been others."""

    policy: str
    since: int
    until: int
    recorded: list[Decision]
    tried: list[Decision]
    differences: list[Difference]
    same: int
    taken_in: int
    stemming: int
    sums: dict[str, tuple[Sum, Sum]]
    """by config: recorded, tried"""


def policy(name: str) -> Decider[Any]:
    """The decider of this name, or `DECIDER` of a Python file. Raises PolicyError."""
    if not name.endswith(".py"):
        if name not in deciders():
            raise PolicyError(
                f"no decider is called {name!r}: give {', '.join(deciders())}, or a Python file with a DECIDER"
            )
        return deciders()[name]
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None or not Path(name).is_file():
        raise PolicyError(f"there is no policy file {name}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PolicyError(f"{name} does not load: {type(error).__name__}: {error}") from error
    if not isinstance(found := getattr(module, "DECIDER", None), Decider):
        raise PolicyError(f"{name} has no DECIDER (a ringrift.deciders.kit.Decider)")
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
    """Try a decider, under settings that `retune` makes of those in force, on the events after
    `since` up to `until`."""
    history = [item async for item in read.facts(log, *HISTORY, until=until, progress=progress)]
    own = {seq: found for seq, found in (await own_decisions(log, decider)).items() if seq <= until}
    recorded = [
        Decision(item.event, meta, item.meta.position)
        for _, meta in history
        if meta.seq > since
        for item in own.get(meta.seq, ())
    ]
    tried = list(_tried(decider, history, own, retune, since))
    differences, same = _differences(recorded, tried)
    taken_in, stemming = _stemming(decider, history, differences)
    sums = {
        config: (_sum(config, recorded, history), _sum(config, tried, history))
        for config in dict.fromkeys(
            getattr(item.fact, "config", "all") for item in (*recorded, *tried)
        )
    }
    return WhatIf(
        policy=decider.name,
        since=since,
        until=until,
        recorded=recorded,
        tried=tried,
        differences=differences,
        same=same,
        taken_in=taken_in,
        stemming=stemming,
        sums=sums,
    )


def _tried(
    decider: Decider[Any],
    history: Iterable[Recorded],
    own: dict[int, list[Recorded]],
    retune: Retune,
    since: int,
) -> Iterator[Decision]:
    """The decisions of the policy after `since`."""
    state, settings, live = decider.initial(), None, False
    in_force = InForce()
    types = {*decider.reads, *decider.writes, *STEERING}
    for event, meta in history:
        if meta.seq > since and not live:
            live = True
            if settings is not None:
                retuned = _retuned(settings.event, retune)
                in_force = in_force.after(retuned)
                state = decider.evolve(state, retuned, Context.of(settings.meta, in_force))
        if type(event) not in types or (type(event) in decider.writes and meta.cause is not None):
            continue
        if isinstance(event, SettingsChanged):
            settings = Recorded(event, meta)
            event = _retuned(event, retune) if live else event
        in_force = in_force.after(event)
        context = Context.of(meta, in_force)
        state = decider.evolve(state, event, context)
        if not live:
            for decision, its_meta in own.get(meta.seq, ()):
                state = decider.evolve(state, decision, Context.of(its_meta, in_force))
            continue
        for fact in decider.decide(state, event, context):
            yield Decision(fact, meta, None)
            state = decider.evolve(state, fact, context)


def _retuned(event: Fact, retune: Retune) -> Fact:
    assert isinstance(event, SettingsChanged)
    return replace(event, settings=retune(event.settings))


def _differences(recorded: list[Decision], tried: list[Decision]) -> tuple[list[Difference], int]:
    """Decisions that are not the same, in the order in which they show, and how many are."""
    found: list[Difference] = []
    waiting: dict[tuple[Any, ...], list[Decision]] = {}
    for item in tried:
        waiting.setdefault(_identity(item.fact), []).append(item)
    same = 0
    for item in recorded:
        others = waiting.get(_identity(item.fact), [])
        if not others:
            found.append(Difference("dropped", item, None, ()))
            continue
        other = others.pop(0)
        fields = tuple(_fields(item.fact, other.fact))
        if item.cause.seq == other.cause.seq and {name for name, _, _ in fields} <= WORDS:
            same += 1
        else:
            found.append(
                Difference(
                    "moved" if item.cause.seq != other.cause.seq else "changed", item, other, fields
                )
            )
    found += [Difference("added", None, item, ()) for items in waiting.values() for item in items]
    return sorted(found, key=lambda item: item.seq), same


def _identity(fact: Fact) -> tuple[Any, ...]:
    # a verdict is one decision, whichever way it goes
    kind = ModelPromoted if isinstance(fact, PromotionRejected) else type(fact)
    candidate = getattr(fact, "candidate", None)
    of_kind = IDENTITY if not isinstance(fact, SelfplayPlanned) else ("config", "generation")
    return (
        kind,
        candidate.model if isinstance(candidate, Seat) else None,
        *(getattr(fact, name, None) for name in of_kind),
    )


def _fields(first: Fact, second: Fact) -> Iterator[tuple[str, Any, Any]]:
    if type(first) is not type(second):
        yield "verdict", type(first).__name__, type(second).__name__
    for name in first.__struct_fields__:
        before, after = getattr(first, name), getattr(second, name, None)
        if name not in IGNORED and name in second.__struct_fields__ and before != after:
            yield name, before, after


def _stemming(
    decider: Decider[Any], history: Iterable[Recorded], differences: list[Difference]
) -> tuple[int, int]:
    """Outside events that the decider took in after the first divergence, and those of them that
    rest on other decisions.

    A shard names a game as its cause; it counts as resting on them once any game of its config
    may."""
    if not differences:
        return 0, 0
    other = {item.recorded.position for item in differences if item.recorded is not None}
    configs: set[str] = set()
    taken_in = stemming = 0
    for event, meta in history:
        config = getattr(event, "config", "")
        rests = meta.cause in other or (isinstance(event, ShardExported) and config in configs)
        if rests:
            other.add(meta.position)
        if meta.position in other and isinstance(event, SelfplayPlanned | EvaluationRequested):
            configs.add(config)
        outside = type(event) in decider.reads and not (
            type(event) in decider.writes and meta.cause is not None
        )
        if outside and meta.seq > differences[0].seq:
            taken_in += 1
            stemming += rests
    return taken_in, stemming


def _sum(config: str, decisions: list[Decision], history: list[Recorded]) -> Sum:
    found = Sum()
    registered = {
        event.model: meta.time for event, meta in history if isinstance(event, ModelRegistered)
    }
    waits = []
    for fact, cause, _ in decisions:
        if getattr(fact, "config", "all") != config:
            continue
        found.decisions[type(fact).__name__] = found.decisions.get(type(fact).__name__, 0) + 1
        match fact:
            case SelfplayPlanned():
                found.games += fact.games
            case EvaluationRequested():
                found.evaluation_starts += fact.starts
            case TrainingRequested():
                found.trainings, found.samples = found.trainings + 1, found.samples + fact.samples
            case ModelPromoted() | PromotionRejected():
                found.promoted += isinstance(fact, ModelPromoted)
                found.rejected += isinstance(fact, PromotionRejected)
                if fact.model in registered:
                    waits.append((cause.time - registered[fact.model]).total_seconds())
    found.verdict_seconds = sum(waits) / len(waits) if waits else None
    found.worker_seconds = _seconds(config, found, history)
    return found


def _seconds(config: str, found: Sum, history: list[Recorded]) -> float | None:
    """Worker seconds of the games and samples asked for, at the mean recorded price of one; None
    without one to go by."""
    games = samples = 0
    play = train = 0.0
    for event, _ in history:
        if isinstance(event, SelfplayFinished) and event.config == config:
            games, play = games + event.games, play + event.play_seconds
        elif isinstance(event, TrainingFinished) and event.config == config:
            samples, train = samples + event.samples, train + event.train_seconds
    if (
        (found.games and not games)
        or (found.samples and not samples)
        or not (found.games or found.samples)
    ):
        return None
    return (found.games * play / games if games else 0.0) + (
        found.samples * train / samples if samples else 0.0
    )
