"""When do we train? Once a generation's games are played and exported and hold enough new samples.

Fewer samples are enough if they are telling. One training of a config at a time; it starts from the
newest network's weights (the first one from those that the settings name, if any) and sees the
newest shards up to the window. A failed one is requested again, at most `ATTEMPTS_MAX` times in
all, and so is one that gave no sign of life for two hours; what comes of that later is ignored.

Where several architectures compete, each has its own line of networks, and the next training goes
to the one that is furthest below its share.

Games that are retracted or reanalysed come back as another shard in the place of the old one, so
that the next window is without them. A network that is tainted by a retraction is no start for
another: that is the nearest clean one before it. Hyperparameters that a person adjusted reach the
next request. Where a cascade is set, the promotion of a network of one architecture makes the next
training one of another, taught by it.

What holds a due training back:

    pressure     too many matches wait: until most are played cool-down    several configs compete
    and this one was trained a moment ago: minutes, by its pace stale data   the newest shard is a
    day old: the generation plays on quality      the data, with the newest shard, are poor: the
    generation plays on, at most three times; looked at again with each
                 assessment and each tick

Poor data that are trained on are learned from less, with fewer epochs, and while the quality is
degraded fewer samples are enough."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.feedback.quality import NEUTRAL, faded
from ringrift.deciders.kit import Classic, Context, seed_from
from ringrift.deciders.loop.progress import Progress
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ArchitectureSharesDecided,
    DeadlockBroken,
    EvaluationBackpressureEngaged,
    EvaluationBackpressureReleased,
    EvaluationScored,
    HyperparametersAdjusted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    ModelTainted,
    Pace,
    PipelinePaused,
    PipelineResumed,
    QualityAssessed,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    ShardRetired,
    TickRecorded,
    TrainingBlocked,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
    VelocityChanged,
)
from ringrift.events.settings import TrainingSettings, model_for

ATTEMPTS_MAX = 3  # requirement G08.07: one try and two more on other nodes
TICK_SECONDS_MAX = 300.0
"""a longer pause between two ticks counts as this towards silence: nobody ran, the trainer did not
either"""


class Running(Struct, frozen=True, kw_only=True):
    """The training in flight: its ticket once a trainer has it, and the recorded time since its
    last sign of life."""

    ticket: str | None = None
    silent_seconds: float = 0.0


class ConfigTraining(Struct, frozen=True, kw_only=True):
    """One config: its progress, its shards oldest first as (digest, samples), and the training in
    flight."""

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
    running: Running | None = None
    shares: dict[str, float] = {}
    """of training, by architecture"""
    trainings: dict[str, int] = {}
    lines: dict[str, str] = {}
    """newest network of each architecture"""
    models: dict[str, str] = {}
    """architecture of every network"""
    void: str | None = None
    """ticket of the training that was killed last"""
    finished_at: datetime | None = None
    exported_at: datetime | None = None
    assessed: float | None = None
    """newest quality, adjusted, and when it was found"""
    assessed_at: datetime | None = None
    unassessed: str | None = None
    """the newest shard, until its quality is known"""
    pace: Pace | None = None
    blocked: bool = False
    """told to play on, and no plan has been made since"""
    blocks: int = 0
    """times that quality held this generation back"""
    qualities: dict[str, float] = {}
    """adjusted quality of the shards that were assessed, by digest"""
    hyperparameters: dict[str, str] = {}
    """settings that are others for this config"""
    cascade: tuple[str, str] | None = None
    """architecture of the next training and the network that teaches it"""


class TrainingState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, and the configs that have played."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigTraining] = {}
    held_back: bool = False
    """too many matches wait"""
    ticked: datetime | None = None


def evolve(state: TrainingState, event: Fact, meta: Context) -> TrainingState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case SelfplayPlanned():
            item = _of(state, event.config)
            if event.spare:
                return _with(state, event.config, progress=item.progress.after(event))
            blocks = item.blocks if event.generation == item.generation else 0
            return _with(
                state,
                event.config,
                progress=item.progress.after(event),
                generation=event.generation,
                blocked=False,
                blocks=blocks,
            )
        case SelfplayFinished() | EvaluationScored() | QualityDegraded() | QualityRecovered():
            return _with(
                state, event.config, progress=_of(state, event.config).progress.after(event)
            )
        case ShardExported():
            return _exported(state, event, meta.time)
        case ShardRetired():
            return _without(state, event.config, event.digest)
        case TrainingRequested():
            item = _of(state, event.config)
            return _with(
                state,
                event.config,
                progress=item.progress.after(event),
                trained=event.generation - 1,
                trainings={
                    **item.trainings,
                    event.architecture: item.trainings.get(event.architecture, 0) + 1,
                },
                attempts=item.attempts + 1,
                failed=False,
                running=Running(),
                blocked=False,
                blocks=0,
                cascade=None
                if item.cascade and item.cascade[0] == event.architecture
                else item.cascade,
            )
        case TrainingTimedOut():
            return _with(state, event.config, failed=True, running=None, void=event.ticket)
        case (
            TrainingStarted()
            | TrainingCheckpointed()
            | TrainingFinished()
            | TrainingFailed()
            | ModelRegistered()
        ) if event.ticket == _of(state, event.config).void:
            return state
        case TrainingStarted() | TrainingCheckpointed():
            if _of(state, event.config).running is None:
                return (
                    state  # a ticket that was delivered twice, and whose other holder has finished
                )
            return _with(state, event.config, running=Running(ticket=event.ticket))
        case ModelRegistered():
            item = _of(state, event.config)
            lines = {**item.lines, event.architecture: event.model}
            return _with(
                state,
                event.config,
                lines=lines,
                models={**item.models, event.model: event.architecture},
            )
        case TrainingFinished():
            return _with(
                state,
                event.config,
                newest=event.model,
                attempts=0,
                running=None,
                finished_at=meta.time,
            )
        case TrainingFailed():
            return _with(state, event.config, failed=True, running=None)
        case TrainingBlocked():
            item = _of(state, event.config)
            return _with(
                state, event.config, blocked=True, blocks=item.blocks + (event.reason == "quality")
            )
        case _:
            return _signalled(state, event, meta)


def _signalled(state: TrainingState, event: Fact, meta: Context) -> TrainingState:
    """Take in what other deciders found, and time."""
    match event:
        case VelocityChanged():
            return _with(state, event.config, pace=event.pace)
        case ArchitectureSharesDecided():
            return _with(state, event.config, shares=event.shares)
        case QualityAssessed():
            item = _of(state, event.config)
            return _with(
                state,
                event.config,
                assessed=event.adjusted,
                assessed_at=meta.time,
                qualities={**item.qualities, event.shard: event.adjusted},
                unassessed=None if item.unassessed == event.shard else item.unassessed,
            )
        case ModelTainted():
            item = _of(state, event.config)
            lines = {
                name: event.clean_ancestor if model == event.model else model
                for name, model in item.lines.items()
            }
            return _with(
                state,
                event.config,
                newest=event.clean_ancestor if item.newest == event.model else item.newest,
                lines={name: model for name, model in lines.items() if model},
            )
        case HyperparametersAdjusted():
            return _with(state, event.config, hyperparameters=event.values)
        case ModelPromoted():
            return _with(state, event.config, cascade=_cascade(state, event))
        case ModelRolledBack():
            return _with(state, event.config, newest=event.current)
        case DeadlockBroken():
            trained = min(_of(state, event.config).trained, _of(state, event.config).generation - 1)
            return _with(
                state,
                event.config,
                trained=trained,
                attempts=0,
                failed=False,
                running=None,
                blocked=False,
            )
        case EvaluationBackpressureEngaged() | EvaluationBackpressureReleased():
            return replace(state, held_back=isinstance(event, EvaluationBackpressureEngaged))
        case TickRecorded():
            return _ticked(state, meta.time)
    return state


def decide(state: TrainingState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Void the trainings that are silent, and request that of every config that is ready for
    one."""
    return tuple(
        fact
        for config, item in state.configs.items()
        for fact in (*_killed(state, config, item), *_training(state, config, item, meta.time))
    )


def _training(
    state: TrainingState, config: str, item: ConfigTraining, now: datetime
) -> tuple[Fact, ...]:
    reason = _reason(state, item)
    if (
        not reason
        or state.pauses.stops(config, "training")
        or state.held_back
        or _cooling(state, item, now)
    ):
        return ()
    if not item.failed and _assessing(item, now, state.settings.training):
        return ()
    held = () if item.failed else _poor(state, config, item, now)
    if held:
        return () if item.blocked else held
    return (_request(state, config, item, reason, now),)


def _reason(state: TrainingState, item: ConfigTraining) -> str:
    """Why to train now, empty if not."""
    if item.failed:
        return (
            f"attempt {item.attempts + 1} of {ATTEMPTS_MAX}" if item.attempts < ATTEMPTS_MAX else ""
        )
    settings, progress = state.settings.training, item.progress
    if item.running or item.trained >= item.generation:
        return ""
    if not progress.idle(state.settings.shard.games) or not progress.enough(settings):
        return ""
    if progress.samples_new >= progress.needed(settings):
        return f"{progress.samples_new} new samples, {progress.needed(settings)} needed"
    return f"{progress.samples_new} new samples are telling: half-width of wins within {settings.early_half_width:.1%}"


def _cooling(state: TrainingState, item: ConfigTraining, now: datetime) -> bool:
    """Whether trainers should serve other configs first; a config alone, or trained again after a
    failure, does not wait."""
    if item.finished_at is None or item.failed or len(state.settings.configs) < 2:
        return False
    return (now - item.finished_at).total_seconds() < cooldown_seconds(
        item.pace, state.settings.training
    )


def cooldown_seconds(pace: Pace | None, settings: TrainingSettings) -> float:
    """From the end of one training to the next, by the pace of the config."""
    return settings.cooldown_seconds * settings.cooldown_by_pace.of(pace)


def _assessing(item: ConfigTraining, now: datetime, settings: TrainingSettings) -> bool:
    """Whether the quality of the newest shard is about to be told; a config whose data were never
    assessed does not wait."""
    if item.unassessed is None or item.assessed_at is None or item.exported_at is None:
        return False
    return (now - item.exported_at).total_seconds() < settings.assessment_seconds_max


def _poor(
    state: TrainingState, config: str, item: ConfigTraining, now: datetime
) -> tuple[Fact, ...]:
    """That the data are stale or poor, if they are."""
    settings = state.settings.training
    age = (now - item.exported_at).total_seconds() if item.exported_at else 0.0
    if age > settings.stale_after_seconds:
        detail = f"the newest shard is {age / 3600.0:.1f} h old"
        return (
            TrainingBlocked(
                config=config,
                generation=item.generation,
                reason="stale data",
                detail=detail,
                settings_version=state.version,
            ),
        )
    quality = _quality(state, item, now)
    patient = item.blocks < settings.quality_blocks_max or item.blocked
    if item.assessed is None or quality >= settings.quality_min or not patient:
        return ()
    detail = f"quality {quality:.2f}, {settings.quality_min:.2f} needed"
    return (
        TrainingBlocked(
            config=config,
            generation=item.generation,
            reason="quality",
            detail=detail,
            settings_version=state.version,
        ),
    )


def _quality(state: TrainingState, item: ConfigTraining, now: datetime) -> float:
    """The newest assessment, faded by its age; neutral where there is none."""
    if item.assessed is None or item.assessed_at is None:
        return NEUTRAL
    return faded(
        item.assessed,
        (now - item.assessed_at).total_seconds(),
        state.settings.quality.half_life_seconds,
    )


def intensity(quality: float, settings: TrainingSettings) -> float:
    """Times the epochs that data of this quality are worth: 1 at neutral, straight to each end
    (requirement G08.05)."""
    end = settings.intensity_good if quality > NEUTRAL else settings.intensity_poor
    return round(1.0 + (end - 1.0) * abs(quality - NEUTRAL) / NEUTRAL, 4)


def _killed(state: TrainingState, config: str, item: ConfigTraining) -> tuple[Fact, ...]:
    running = item.running
    if (
        running is None
        or running.ticket is None
        or running.silent_seconds < state.settings.training.silent_seconds_max
    ):
        return ()
    return (
        TrainingTimedOut(
            config=config,
            generation=item.trained + 1,
            ticket=running.ticket,
            silent_seconds=running.silent_seconds,
            settings_version=state.version,
        ),
    )


def _ticked(state: TrainingState, now: datetime) -> TrainingState:
    passed = (now - state.ticked).total_seconds() if state.ticked else 0.0
    passed = min(max(passed, 0.0), TICK_SECONDS_MAX)
    configs = {
        name: item
        if item.running is None
        else replace(
            item, running=replace(item.running, silent_seconds=item.running.silent_seconds + passed)
        )
        for name, item in state.configs.items()
    }
    return replace(state, ticked=now, configs=configs)


def _request(
    state: TrainingState, config: str, item: ConfigTraining, reason: str, now: datetime
) -> TrainingRequested:
    taught = item.cascade
    architecture = (
        taught[0]
        if taught
        else next_architecture(state.settings.training, item.shares, item.trainings)
    )
    window = newest_shards(item.shards, state.settings.training.window_samples)
    return TrainingRequested(
        config=config,
        generation=item.generation + 1,
        architecture=architecture,
        parent=(item.lines.get(architecture) if taught else _own_line(state, item, architecture))
        or model_for(state.settings.training.init, config),
        teacher=taught[1] if taught else model_for(state.settings.training.distill_from, config),
        shards=tuple(digest for digest, _ in window),
        samples=sum(samples for _, samples in window),
        seed=seed_from(state.settings.seed, config, "training", item.generation + 1, item.attempts),
        reason=reason,
        settings_version=state.version,
        shard_weights=weights(window, item.qualities, state.settings.training.shard_quality_power),
        hyperparameters=item.hyperparameters,
        intensity=intensity(_quality(state, item, now), state.settings.training),
    )


def weights(
    window: tuple[tuple[str, int], ...], qualities: dict[str, float], power: float
) -> tuple[float, ...]:
    """What the samples of each shard weigh: 1 on the mean over samples, more where the quality is
    better. Empty: all alike."""
    if not power or not window:
        return ()
    raw = [(qualities.get(digest, NEUTRAL) / NEUTRAL) ** power for digest, _ in window]
    samples = sum(count for _, count in window)
    mean = (
        sum(weight * count for weight, (_, count) in zip(raw, window, strict=True)) / samples
        if samples
        else 1.0
    )
    return tuple(round(weight / mean, 6) for weight in raw) if mean > 0.0 else ()


def _exported(state: TrainingState, event: ShardExported, now: datetime) -> TrainingState:
    """A shard more, or another in the place of one; an empty one is none."""
    item = _of(state, event.config)
    if event.supersedes is None:
        shards = (*item.shards, (event.digest, event.samples))
        unassessed = event.digest if event.summary else None
        return _with(
            state,
            event.config,
            progress=item.progress.after(event),
            shards=shards,
            exported_at=now,
            unassessed=unassessed,
        )
    if not event.samples:
        return _without(state, event.config, event.supersedes)
    shards = tuple(
        (event.digest, event.samples) if digest == event.supersedes else (digest, n)
        for digest, n in item.shards
    )
    qualities = {
        event.digest if digest == event.supersedes else digest: value
        for digest, value in item.qualities.items()
    }
    return _with(state, event.config, shards=shards, qualities=qualities)


def _without(state: TrainingState, config: str, digest: str) -> TrainingState:
    """Without a shard."""
    item = _of(state, config)
    return _with(
        state,
        config,
        shards=tuple(shard for shard in item.shards if shard[0] != digest),
        qualities={name: value for name, value in item.qualities.items() if name != digest},
    )


def _cascade(state: TrainingState, event: ModelPromoted) -> tuple[str, str] | None:
    """What the promotion asks for: the architecture to be trained next, and its teacher."""
    lines = _of(state, event.config).lines
    pairs = dict(pair.split(">") for pair in state.settings.training.cascade)
    promoted = next((name for name, model in lines.items() if model == event.model), None)
    return (pairs[promoted], event.model) if promoted in pairs else None


def _own_line(state: TrainingState, item: ConfigTraining, architecture: str) -> str | None:
    """The network to go on from: the newest one, unless it is known to be of another architecture,
    whose weights do not fit."""
    if (
        not state.settings.training.architectures
        and item.models.get(item.newest or "", architecture) == architecture
    ):
        return item.newest
    return item.lines.get(architecture)


def next_architecture(
    settings: TrainingSettings, shares: dict[str, float], trainings: dict[str, int]
) -> str:
    """The architecture furthest below its share of trainings; the first of the settings where they
    are level."""
    names = settings.architectures or (settings.architecture,)
    equal = 1.0 / len(names)
    return min(
        names, key=lambda name: (trainings.get(name, 0) + 1) / max(shares.get(name, equal), 1e-9)
    )


def newest_shards(
    shards: tuple[tuple[str, int], ...], window_samples: int
) -> tuple[tuple[str, int], ...]:
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


DECIDER = Classic(
    name="training",
    state=TrainingState,
    reads=(
        SettingsChanged,
        PipelinePaused,
        PipelineResumed,
        SelfplayPlanned,
        SelfplayFinished,
        EvaluationScored,
        ShardExported,
        TrainingStarted,
        TrainingCheckpointed,
        TrainingFinished,
        TrainingFailed,
        QualityAssessed,
        VelocityChanged,
        ModelRolledBack,
        ModelRegistered,
        ArchitectureSharesDecided,
        EvaluationBackpressureEngaged,
        EvaluationBackpressureReleased,
        TickRecorded,
        DeadlockBroken,
        ModelTainted,
        HyperparametersAdjusted,
        ModelPromoted,
        ShardRetired,
        QualityDegraded,
        QualityRecovered,
    ),
    writes=(TrainingRequested, TrainingBlocked, TrainingTimedOut),
    initial=TrainingState,
    evolve=evolve,
    decide=decide,
)
