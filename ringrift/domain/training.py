"""When do we train? Once a generation's games are played and exported and hold enough new samples.

One training per config and generation at a time. It starts from the newest network's weights (the first one
from those that the settings name, if any) and sees the newest shards up to the window. A failed one is requested again, at most
`ATTEMPTS_MAX` times in all.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.domain.decider import Decider, seed_from
from ringrift.domain.pause import Pauses
from ringrift.domain.progress import Progress
from ringrift.events import EventMeta, Fact, Settings
from ringrift.events.facts import (
    EvaluationScored,
    PipelinePaused,
    PipelineResumed,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import model_for

ATTEMPTS_MAX = 3  # requirement G08.07: one try and two more on other nodes


class ConfigTraining(Struct, frozen=True, kw_only=True):
    """One config: its progress, its shards oldest first as (digest, samples), and the training in flight."""

    progress: Progress = Progress()
    shards: tuple[tuple[str, int], ...] = ()
    generation: int = -1
    """newest generation whose self-play was planned"""
    trained: int = -1
    """newest generation that a training was requested on"""
    newest: str | None = None
    """newest network, promoted or not: the next training goes on from its weights"""
    attempts: int = 0
    failed: bool = False


class TrainingState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, and the configs that have played."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigTraining] = {}


def evolve(state: TrainingState, event: Fact, meta: EventMeta) -> TrainingState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case SelfplayPlanned():
            item = _of(state, event.config)
            return _with(state, event.config, progress=item.progress.after(event), generation=event.generation)
        case SelfplayFinished() | EvaluationScored():
            return _with(state, event.config, progress=_of(state, event.config).progress.after(event))
        case ShardExported():
            item = _of(state, event.config)
            shards = (*item.shards, (event.digest, event.samples))
            return _with(state, event.config, progress=item.progress.after(event), shards=shards)
        case TrainingRequested():
            item = _of(state, event.config)
            return _with(
                state, event.config, progress=item.progress.after(event), trained=event.generation - 1,
                attempts=item.attempts + 1, failed=False,
            )  # fmt: skip
        case TrainingFinished():
            return _with(state, event.config, newest=event.model, attempts=0)
        case TrainingFailed():
            return _with(state, event.config, failed=True)
    return state


def decide(state: TrainingState, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
    """Request the training of every config that is ready for one."""
    return tuple(
        _request(state, config, item, reason)
        for config, item in state.configs.items()
        if not state.pauses.stops(config, "training") and (reason := _reason(state, item))
    )


def _reason(state: TrainingState, item: ConfigTraining) -> str:
    """Why to train now, empty if not."""
    if item.failed:
        return f"attempt {item.attempts + 1} of {ATTEMPTS_MAX}" if item.attempts < ATTEMPTS_MAX else ""
    needed = state.settings.training.min_samples
    if item.trained >= item.generation or not item.progress.idle(state.settings.shard.games) or item.progress.samples_new < needed:
        return ""
    return f"{item.progress.samples_new} new samples, {needed} needed"


def _request(state: TrainingState, config: str, item: ConfigTraining, reason: str) -> TrainingRequested:
    window = newest_shards(item.shards, state.settings.training.window_samples)
    return TrainingRequested(
        config=config,
        generation=item.generation + 1,
        architecture=state.settings.training.architecture,
        parent=item.newest or model_for(state.settings.training.init, config),
        teacher=model_for(state.settings.training.distill_from, config),
        shards=tuple(digest for digest, _ in window),
        samples=sum(samples for _, samples in window),
        seed=seed_from(state.settings.seed, config, "training", item.generation + 1, item.attempts),
        reason=reason,
        settings_version=state.version,
    )


def newest_shards(shards: tuple[tuple[str, int], ...], window_samples: int) -> tuple[tuple[str, int], ...]:
    """The newest shards that fit the window, oldest first; at least one."""
    total = 0
    for taken, (_, samples) in enumerate(reversed(shards)):
        total += samples
        if taken and total > window_samples:
            return shards[len(shards) - taken :]
    return shards


def _of(state: TrainingState, config: str) -> ConfigTraining:
    return state.configs.get(config, ConfigTraining())


def _with(state: TrainingState, config: str, **changes: object) -> TrainingState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Decider(
    name="training",
    state=TrainingState,
    reads=(
        SettingsChanged, PipelinePaused, PipelineResumed, SelfplayPlanned, SelfplayFinished, EvaluationScored, ShardExported,
        TrainingFinished, TrainingFailed,
    ),
    writes=(TrainingRequested,),
    initial=TrainingState,
    evolve=evolve,
    decide=decide,
)  # fmt: skip
