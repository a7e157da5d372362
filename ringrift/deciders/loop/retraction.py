"""Which networks learned from games that were retracted? Those trained on a shard that had to be
made again without them.

A retraction says which games; the exporter finds their shards and puts others in their place. Each
such shard taints the networks whose training saw its range of games, those that began from the
weights of one, and those that were being trained at the time.

A window is a run of shards, so what a training saw is kept as one range of `GAMES`, not as
thousands of digests. Where a training left a shard of its range out, its network is tainted
needlessly: it is measured once more, nothing else is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact
from ringrift.events.facts import (
    GamesRetracted,
    ModelRegistered,
    ModelTainted,
    ShardExported,
    ShardRetired,
    TrainingRequested,
)

TRAININGS_MAX = 16
"""trainings of a config that may still bring a network; older ones have failed"""


class Seated(Protocol):
    """A seat of a game."""

    @property
    def model(self) -> str | None:
        """The network that sat there."""


class Played(Protocol):
    """What must be known of a game: `GameCompleted`, or the head of one."""

    @property
    def game(self) -> str:
        """Its id."""

    @property
    def config(self) -> str:
        """Board and seats."""

    @property
    def node(self) -> str:
        """Who played it."""

    @property
    def seats(self) -> Sequence[Seated]:
        """Who sat where."""


class Span(Struct, frozen=True, kw_only=True):
    """Games a training saw, as sequences of `GAMES`; the position of a retraction of some of them,
    while it was under way."""

    first_seq: int
    last_seq: int
    retraction: str | None = None

    def holds(self, shard: ShardExported) -> bool:
        """Whether the shard is of this range."""
        return self.first_seq <= shard.first_seq and shard.last_seq <= self.last_seq


class Trained(Struct, frozen=True, kw_only=True):
    """A network: what it saw, what it began from, and the newest retraction it is tainted by."""

    generation: int
    parents: tuple[str, ...]
    span: Span | None
    tainted: str | None = None


class ConfigRetraction(Struct, frozen=True, kw_only=True):
    """One config: ranges of its shards by digest, trainings by position of their request, networks
    oldest first."""

    shards: dict[str, Span] = {}
    trainings: dict[str, Span] = {}
    models: dict[str, Trained] = {}


class RetractionState(Struct, frozen=True, kw_only=True):
    """Every config that has a shard."""

    configs: dict[str, ConfigRetraction] = {}


def covers(retraction: GamesRetracted, game: Played, seq: int) -> bool:
    """Whether the game at `seq` of `GAMES` is retracted."""
    return (
        retraction.config == game.config
        and retraction.first_seq <= seq <= retraction.last_seq
        and (retraction.node is None or game.node == retraction.node)
        and (retraction.model is None or any(seat.model == retraction.model for seat in game.seats))
        and (not retraction.games or game.game in retraction.games)
    )


def retracted(retractions: Iterable[GamesRetracted], game: Played, seq: int) -> bool:
    """Whether any of the retractions covers the game."""
    return any(covers(retraction, game, seq) for retraction in retractions)


def evolve(state: RetractionState, event: Fact, meta: Context) -> RetractionState:
    """Take in one fact."""
    match event:
        case ShardExported():
            return _exported(state, event, meta)
        case ShardRetired():
            item = _of(state, event.config)
            return _with(
                state,
                event.config,
                shards={key: span for key, span in item.shards.items() if key != event.digest},
            )
        case TrainingRequested():
            item = _of(state, event.config)
            spans = [item.shards[digest] for digest in event.shards if digest in item.shards]
            if not spans:
                return state
            span = Span(
                first_seq=min(one.first_seq for one in spans),
                last_seq=max(one.last_seq for one in spans),
            )
            trainings = {**item.trainings, meta.position: span}
            return _with(
                state, event.config, trainings=dict(list(trainings.items())[-TRAININGS_MAX:])
            )
        case ModelRegistered():
            item = _of(state, event.config)
            trained = Trained(
                generation=event.generation,
                parents=event.parents,
                span=item.trainings.get(meta.cause or ""),
            )
            return _with(state, event.config, models={**item.models, event.model: trained})
        case ModelTainted():
            item = _of(state, event.config)
            known = item.models.get(event.model)
            if known is None:
                return state
            return _with(
                state,
                event.config,
                models={**item.models, event.model: replace(known, tainted=event.retraction)},
            )
    return state


def decide(state: RetractionState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The networks that a shard without its retracted games taints, or the new one that was trained
    meanwhile."""
    match event:
        case ShardExported() if event.retracted and event.supersedes and meta.cause:
            models = _of(state, event.config).models
            direct = {
                name for name, known in models.items() if known.span and known.span.holds(event)
            }
            return _taint(event.config, models, direct, meta.cause)
        case ModelRegistered():
            models = _of(state, event.config).models
            span = models[event.model].span
            if span and span.retraction:
                return _taint(event.config, models, {event.model}, span.retraction)
            inherited = [
                models[parent].tainted
                for parent in event.parents
                if parent in models and models[parent].tainted
            ]
            return (
                _taint(event.config, models, set(), inherited[0])
                if inherited and inherited[0]
                else ()
            )
    return ()


def _exported(state: RetractionState, event: ShardExported, meta: Context) -> RetractionState:
    item = _of(state, event.config)
    span = Span(first_seq=event.first_seq, last_seq=event.last_seq)
    shards = {
        **{key: one for key, one in item.shards.items() if key != event.supersedes},
        event.digest: span,
    }
    trainings = item.trainings
    if event.retracted and event.supersedes:
        trainings = {
            position: replace(one, retraction=meta.cause) if one.holds(event) else one
            for position, one in trainings.items()
        }
    return _with(state, event.config, shards=shards, trainings=trainings)


def _taint(
    config: str, models: dict[str, Trained], direct: set[str], retraction: str
) -> tuple[Fact, ...]:
    """Taint `direct` and all that come from them or from one tainted by the same retraction, each
    once."""
    bad = {name for name, known in models.items() if known.tainted == retraction} | direct
    for name, known in models.items():  # parents come before children
        if bad.intersection(known.parents):
            bad.add(name)
    return tuple(
        ModelTainted(
            config=config,
            model=name,
            generation=known.generation,
            retraction=retraction,
            inherited=name not in direct,
            clean_ancestor=_clean(models, known.parents, bad),
        )
        for name, known in models.items()
        if name in bad and known.tainted != retraction
    )


def _clean(models: dict[str, Trained], parents: Sequence[str], bad: set[str]) -> str | None:
    """The nearest network before it that no retraction taints."""
    waiting = list(parents)
    while waiting:
        name = waiting.pop(0)
        known = models.get(name)
        if name not in bad and (known is None or known.tainted is None):
            return name
        waiting += known.parents if known else ()
    return None


def _of(state: RetractionState, config: str) -> ConfigRetraction:
    return state.configs.get(config, ConfigRetraction())


def _with(state: RetractionState, config: str, **changes: object) -> RetractionState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Classic(
    name="retraction",
    state=RetractionState,
    reads=(ShardExported, ShardRetired, TrainingRequested, ModelRegistered),
    writes=(ModelTainted,),
    initial=RetractionState,
    evolve=evolve,
    decide=decide,
)
