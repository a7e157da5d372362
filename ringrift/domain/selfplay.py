"""When do we play? The first generation when a config is switched on, the next when a candidate was judged.

Generation 0 has no network: its search values leaves with the handcrafted heuristic. Generation g is played by the current network
after the candidate of generation g was promoted or rejected. If all games of a generation are exported and still do not make a
training set, or one that is good enough to be trained on, the same generation plays on.

Exploration and allocation reach the next plan: plies with noise follow the boost of the config, games of a generation its share
against an equal one.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.domain import exploration, scheduling
from ringrift.domain.decider import Decider, seed_from
from ringrift.domain.pause import Pauses
from ringrift.domain.progress import Progress
from ringrift.events import EventMeta, Fact, Settings
from ringrift.events.facts import (
    AllocationDecided,
    EvaluationScored,
    ExplorationAdjusted,
    ModelPromoted,
    ModelRolledBack,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingBlocked,
    TrainingRequested,
    VelocityChanged,
)


class ConfigPlay(Struct, frozen=True, kw_only=True):
    """One config: the generation to play, the network that plays it, and how far play and export have come."""

    generation: int = 0
    model: str | None = None
    plans: int = 0
    """plans made for this generation; 0 = it is due"""
    progress: Progress = Progress()
    boost: float = exploration.USUAL
    gap: float | None = None
    """Elo of the current network above the heuristic"""
    blocked: bool = False
    """the data of this generation may not be trained on before more were played"""


class SelfplayState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, and every config that has been switched on."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigPlay] = {}
    shares: dict[str, float] = {}


def evolve(state: SelfplayState, event: Fact, meta: EventMeta) -> SelfplayState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            known = {config: state.configs.get(config, ConfigPlay()) for config in event.settings.configs}
            return replace(state, settings=event.settings, version=event.version, configs={**state.configs, **known})
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case ModelPromoted():
            return _with(state, event.config, generation=event.generation, plans=0, model=event.model)
        case PromotionRejected():
            return _with(state, event.config, generation=event.generation, plans=0, model=event.current)
        case ModelRolledBack():
            return _with(state, event.config, model=event.current)
        case ExplorationAdjusted():
            return _with(state, event.config, boost=event.boost)
        case AllocationDecided():
            return replace(state, shares=event.shares)
        case VelocityChanged():
            return _with(state, event.config, gap=event.gap_to_heuristic)
        case TrainingBlocked():
            return _with(state, event.config, blocked=True)
        case SelfplayPlanned():
            play = state.configs.get(event.config, ConfigPlay())
            return _with(state, event.config, plans=play.plans + 1, progress=play.progress.after(event), blocked=False)
        case SelfplayFinished() | EvaluationScored() | ShardExported() | TrainingRequested():
            play = state.configs.get(event.config, ConfigPlay())
            return _with(state, event.config, progress=play.progress.after(event))
    return state


def decide(state: SelfplayState, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
    """Plan every config whose generation is due."""
    return tuple(_plan(state, config, play) for config, play in state.configs.items() if _due(state, config, play))


def _due(state: SelfplayState, config: str, play: ConfigPlay) -> bool:
    last = state.settings.generations
    if config not in state.settings.configs or state.pauses.stops(config, "selfplay") or (last and play.generation >= last):
        return False
    if play.plans == 0:
        return True
    exported = play.progress.idle(state.settings.shard.games)
    return exported and not play.progress.training and (play.blocked or not play.progress.enough(state.settings.training))


def _plan(state: SelfplayState, config: str, play: ConfigPlay) -> SelfplayPlanned:
    settings = state.settings.selfplay
    return SelfplayPlanned(
        config=config,
        generation=play.generation,
        games=_games(state, config) if play.model else settings.bootstrap_games,
        games_per_ticket=settings.games_per_ticket,
        simulations=_simulations(state, play),
        model=play.model,
        seed=seed_from(state.settings.seed, config, "selfplay", play.generation, play.plans),
        settings_version=state.version,
        temperature_plies=exploration.plies(settings.temperature_plies, play.boost),
    )


def _games(state: SelfplayState, config: str) -> int:
    """Games of a generation, more for a config with more than an equal share."""
    equal = 1.0 / len(state.settings.configs)
    return max(1, round(state.settings.selfplay.games * state.shares.get(config, equal) / equal))


def _simulations(state: SelfplayState, play: ConfigPlay) -> int:
    """Search budget of the plan."""
    settings = state.settings.selfplay
    return settings.simulations if settings.budget == "fixed" else scheduling.budget(play.progress.games_played, play.gap)


def _with(state: SelfplayState, config: str, **changes: object) -> SelfplayState:
    play = state.configs.get(config, ConfigPlay())
    return replace(state, configs={**state.configs, config: replace(play, **changes)})


DECIDER = Decider(
    name="selfplay",
    state=SelfplayState,
    reads=(
        SettingsChanged, PipelinePaused, PipelineResumed, ModelPromoted, PromotionRejected, SelfplayFinished, EvaluationScored,
        ShardExported, TrainingRequested, TrainingBlocked, ModelRolledBack, ExplorationAdjusted, AllocationDecided,
        VelocityChanged,
    ),
    writes=(SelfplayPlanned,),
    initial=SelfplayState,
    evolve=evolve,
    decide=decide,
)  # fmt: skip
