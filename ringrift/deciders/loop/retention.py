"""When may a shard go? When neither a window nor the training under way can reach it any more.

A window takes the newest shards; one that is `shard.windows_kept` windows back is out of reach, and
retired on the tick. Its blob is deleted then. The games stay for ever, so a retired shard can be
made again byte for byte."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.loop.training import newest_shards
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    SettingsChanged,
    ShardExported,
    ShardRetired,
    TickRecorded,
    TrainingFinished,
    TrainingRequested,
)

RETIRED_MAX = 64
"""shards of a config retired at one tick, so that a batch of decisions stays small: an hour of
ticks is enough for thousands"""


class Kept(Struct, frozen=True, kw_only=True):
    """A shard in force."""

    digest: str
    index: int
    samples: int


class ConfigRetention(Struct, frozen=True, kw_only=True):
    """One config: its shards, oldest first, and those of the newest training until it has ended."""

    shards: tuple[Kept, ...] = ()
    in_flight: tuple[str, ...] = ()


class RetentionState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that has a shard."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigRetention] = {}


def evolve(state: RetentionState, event: Fact, meta: Context) -> RetentionState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case ShardExported():
            item, new = (
                _of(state, event.config),
                Kept(digest=event.digest, index=event.index, samples=event.samples),
            )
            if event.supersedes is None:
                return _with(state, event.config, shards=(*item.shards, new))
            return _with(
                state,
                event.config,
                shards=tuple(new if one.digest == event.supersedes else one for one in item.shards),
            )
        case ShardRetired():
            kept = tuple(
                one for one in _of(state, event.config).shards if one.digest != event.digest
            )
            return _with(state, event.config, shards=kept)
        case TrainingRequested():
            return _with(state, event.config, in_flight=event.shards)
        case TrainingFinished():
            return _with(state, event.config, in_flight=())
    return state


def decide(state: RetentionState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """On the tick, the shards that are out of reach, oldest first."""
    if not isinstance(event, TickRecorded):
        return ()
    return tuple(
        fact for config, item in state.configs.items() for fact in _retired(state, config, item)
    )


def _retired(state: RetentionState, config: str, item: ConfigRetention) -> tuple[Fact, ...]:
    reach = round(
        state.settings.training.window_samples * max(1.0, state.settings.shard.windows_kept)
    )
    kept = len(newest_shards(tuple((one.digest, one.samples) for one in item.shards), reach))
    return tuple(
        ShardRetired(
            config=config,
            digest=one.digest,
            index=one.index,
            why=f"further back than {reach:,} samples",
            settings_version=state.version,
        )
        for one in item.shards[: len(item.shards) - kept][:RETIRED_MAX]
        if one.digest not in item.in_flight
    )


def _of(state: RetentionState, config: str) -> ConfigRetention:
    return state.configs.get(config, ConfigRetention())


def _with(state: RetentionState, config: str, **changes: object) -> RetentionState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Classic(
    name="retention",
    state=RetentionState,
    reads=(SettingsChanged, ShardExported, TrainingRequested, TrainingFinished, TickRecorded),
    writes=(ShardRetired,),
    initial=RetentionState,
    evolve=evolve,
    decide=decide,
)
