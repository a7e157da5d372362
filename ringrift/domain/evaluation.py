"""What do we measure? Every new network: against the current one until the test has decided, and once against each baseline.

The match against the current network is asked for in rounds, so that a clear result ends early. A candidate without a rival is
measured against the baselines only; one whose rival is no longer current begins again against the one that is.

When too many matches wait, training is held back until most are played.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.domain.decider import Decider, seed_from
from ringrift.domain.pause import Pauses
from ringrift.domain.promotion import Starts, judge, merged
from ringrift.events import EventMeta, Fact, Settings
from ringrift.events.facts import (
    MEASURING,
    EvaluationBackpressureEngaged,
    EvaluationBackpressureReleased,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    Purpose,
    Seat,
    SettingsChanged,
)
from ringrift.events.participants import seat

RANDOM = seat("random")
HEURISTIC = seat("heuristic")


class Trial(Struct, frozen=True, kw_only=True):
    """A candidate: its generation, rival, the rounds asked for and what they brought."""

    generation: int
    rival: str | None = None
    rounds: int = 0
    answered: int = 0
    starts: Starts = ()
    games: int = 0
    baselines: bool = False
    """the matches against the baselines have been asked for"""


class ConfigEvaluation(Struct, frozen=True, kw_only=True):
    """One config: the current network and the candidates on trial, by digest."""

    current: str | None = None
    trials: dict[str, Trial] = {}


class EvaluationState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses and every config that has a network."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigEvaluation] = {}
    waiting: int = 0
    """matches asked for and not played"""
    held_back: bool = False
    """training is, because too many wait"""


def network_seat(model: str, simulations: int) -> Seat:
    """The seat of a network that plays by Gumbel search."""
    return seat("gumbel", model=model, simulations=simulations)


def evolve(state: EvaluationState, event: Fact, meta: EventMeta) -> EvaluationState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case ModelRegistered():
            item = _of(state, event.config)
            trial = Trial(generation=event.generation, rival=item.current)
            return _with(state, event.config, replace(item, trials={**item.trials, event.model: trial}))
        case EvaluationRequested():
            return _requested(replace(state, waiting=state.waiting + 1), event)
        case EvaluationScored():
            return _scored(replace(state, waiting=max(0, state.waiting - 1)), event)
        case EvaluationFailed():
            return replace(state, waiting=max(0, state.waiting - 1))
        case EvaluationBackpressureEngaged() | EvaluationBackpressureReleased():
            return replace(state, held_back=isinstance(event, EvaluationBackpressureEngaged))
        case ModelPromoted():
            return _judged(state, event.config, event.model, event.model)
        case PromotionRejected():
            return _judged(state, event.config, event.model, event.current)
        case ModelRolledBack():
            return _judged(state, event.config, event.model, event.current)
    return state


def decide(state: EvaluationState, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
    """Ask for every match that is due, and hold training back while too many wait."""
    requests = [
        request
        for config, item in state.configs.items()
        if not state.pauses.stops(config, "evaluation")
        for model, trial in item.trials.items()
        for request in _due(state, config, model, trial)
    ]
    return (*requests, *_backpressure(state, state.waiting + len(requests)))


def _backpressure(state: EvaluationState, waiting: int) -> tuple[Fact, ...]:
    settings = state.settings.evaluation
    if not state.held_back and waiting >= settings.waiting_max:
        return (EvaluationBackpressureEngaged(waiting=waiting, settings_version=state.version),)
    if state.held_back and waiting <= settings.waiting_resume:
        return (EvaluationBackpressureReleased(waiting=waiting, settings_version=state.version),)
    return ()


def plays_as(participant: str, model: str | None) -> bool:
    """Whether this participant is that network."""
    return model is not None and participant.startswith(f"{model[:12]}:")


def _due(state: EvaluationState, config: str, model: str, trial: Trial) -> list[EvaluationRequested]:
    settings = state.settings.evaluation
    due: list[tuple[Purpose, Seat, int]] = []
    if trial.rival and trial.rounds == trial.answered and _open(state, config, trial):
        due.append(("promotion", network_seat(trial.rival, settings.simulations), settings.pairs_per_ticket))
    if not trial.baselines:
        due += [("random", RANDOM, settings.baseline_pairs), ("heuristic", HEURISTIC, settings.baseline_pairs)]
    return [
        EvaluationRequested(
            config=config,
            generation=trial.generation,
            candidate=network_seat(model, settings.simulations),
            opponent=opponent,
            purpose=purpose,
            round=trial.rounds if purpose == "promotion" else 0,
            pairs=pairs,
            seed=seed_from(state.settings.seed, config, "evaluation", model, purpose, trial.rounds),
            settings_version=state.version,
        )
        for purpose, opponent, pairs in due
    ]


def _open(state: EvaluationState, config: str, trial: Trial) -> bool:
    """Whether the sequential test wants another round."""
    if not trial.starts:
        return trial.rounds == 0
    return judge(trial.starts, trial.games, state.settings.promotion, first=False, config=config)[0] == "open"


def _requested(state: EvaluationState, event: EvaluationRequested) -> EvaluationState:
    item = _of(state, event.config)
    trial = item.trials.get(event.candidate.model or "")
    if trial is None or event.purpose in MEASURING:
        return state
    promotes = event.purpose == "promotion"
    trial = replace(trial, rounds=trial.rounds + promotes, baselines=trial.baselines or not promotes)
    return _with(state, event.config, replace(item, trials={**item.trials, event.candidate.model or "": trial}))


def _scored(state: EvaluationState, event: EvaluationScored) -> EvaluationState:
    item = _of(state, event.config)
    trial = item.trials.get(event.candidate_model or "")
    if trial is None or event.purpose != "promotion" or not plays_as(event.opponent, trial.rival):
        return state
    starts = merged(trial.starts, event.starts)
    trial = replace(trial, answered=trial.answered + 1, starts=starts, games=trial.games + event.games)
    return _with(state, event.config, replace(item, trials={**item.trials, event.candidate_model or "": trial}))


def _judged(state: EvaluationState, config: str, model: str, current: str | None) -> EvaluationState:
    item = _of(state, config)
    trials = {name: _against(trial, current) for name, trial in item.trials.items() if name != model}
    return _with(state, config, ConfigEvaluation(current=current, trials=trials))


def _against(trial: Trial, rival: str | None) -> Trial:
    """The trial, begun again if this is another rival."""
    return trial if trial.rival == rival else Trial(generation=trial.generation, rival=rival, baselines=trial.baselines)


def _of(state: EvaluationState, config: str) -> ConfigEvaluation:
    return state.configs.get(config, ConfigEvaluation())


def _with(state: EvaluationState, config: str, item: ConfigEvaluation) -> EvaluationState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Decider(
    name="evaluation",
    state=EvaluationState,
    reads=(
        SettingsChanged, PipelinePaused, PipelineResumed, ModelRegistered, EvaluationScored, EvaluationFailed, ModelPromoted,
        PromotionRejected, ModelRolledBack,
    ),
    writes=(EvaluationRequested, EvaluationBackpressureEngaged, EvaluationBackpressureReleased),
    initial=EvaluationState,
    evolve=evolve,
    decide=decide,
)  # fmt: skip
