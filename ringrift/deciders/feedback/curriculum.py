"""Which configs deserve more games? Each has a weight, 1 as usual; what happens to one config moves
it, and its relatives with it.

    promotion      back to 1: what held the config up is over regression     takes that back in
    proportion to the Elo drop: towards the weight before the promotion, at least `regressed` loss
    anomaly, stall, degraded quality    more, by severity; the last two are taken back when they are
    over outage         configs below 1 are back at 1: an hour without a quorum costs those most
    that are played least

A change carries over to related configs as the power 0.8, 0.6 or 0.4 of its factor (requirement
G12.03): same family of boards, same board with other seats, other family; the last only to a config
that is not stronger, so that a strong one is not disturbed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    CurriculumReweighted,
    LossAnomalyDetected,
    ModelPromoted,
    ProgressRecovered,
    ProgressStalled,
    QualityDegraded,
    QualityRecovered,
    RegressionDetected,
    SettingsChanged,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import CurriculumSettings

FAMILIES = {"square8": "square", "square19": "square", "hex8": "hex", "hexagonal": "hex"}
USUAL = 1.0

Reason = Literal[
    "promotion", "regression", "loss anomaly", "stall", "progress", "quality", "outage"
]
Weights = dict[str, float]


class CurriculumState(Struct, frozen=True, kw_only=True):
    """Settings in force and, by config: weight, weight before the last promotion, Elo above the
    heuristic where it is known."""

    settings: Settings = Settings(configs=())
    version: int = 0
    weights: Weights = {}
    before: Weights = {}
    gaps: dict[str, float] = {}
    ticked: datetime | None = None
    silent_seconds: float = 0.0
    """between the last two ticks"""


def evolve(state: CurriculumState, event: Fact, meta: Context) -> CurriculumState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            weights = {
                config: state.weights.get(config, USUAL) for config in event.settings.configs
            }
            return replace(state, settings=event.settings, version=event.version, weights=weights)
        case ModelPromoted():
            return replace(
                state, before={**state.before, event.config: state.weights.get(event.config, USUAL)}
            )
        case VelocityChanged():
            return replace(state, gaps={**state.gaps, event.config: event.elo_above_heuristic})
        case TickRecorded():
            silent = (meta.time - state.ticked).total_seconds() if state.ticked else 0.0
            return replace(state, ticked=meta.time, silent_seconds=silent)
        case CurriculumReweighted():
            return replace(state, weights={**state.weights, **event.weights})
    return state


def decide(state: CurriculumState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The weights after what happened to one config."""
    settings = state.settings.curriculum
    match event:
        case ModelPromoted():
            return _moved(
                state, event.config, USUAL / _weight(state, event.config), "promotion", 1.0
            )
        case RegressionDetected():
            return _rolled_back(state, event)
        case LossAnomalyDetected():
            return _moved(
                state,
                event.config,
                getattr(settings, f"anomaly_{event.severity}"),
                "loss anomaly",
                1.0,
            )
        case ProgressStalled():
            return _moved(state, event.config, settings.stalled, "stall", 1.0)
        case ProgressRecovered():
            return _moved(state, event.config, 1.0 / settings.stalled, "progress", 1.0)
        case QualityDegraded():
            return _moved(state, event.config, settings.degraded, "quality", 1.0)
        case QualityRecovered():
            return _moved(state, event.config, 1.0 / settings.degraded, "quality", 1.0)
        case TickRecorded() if state.silent_seconds >= settings.outage_seconds:
            raised = {config: max(weight, USUAL) for config, weight in state.weights.items()}
            return (
                _reweighted(state, None, "outage", 1.0, raised) if raised != state.weights else ()
            )
    return ()


def kinship(source: str, target: str, settings: CurriculumSettings) -> float:
    """How much of a change of one config carries over to another, 0..1; without the guard for
    stronger configs."""
    (board, seats), (other_board, other_seats) = source.split("_"), target.split("_")
    if board == other_board:
        return 1.0 if seats == other_seats else settings.same_board
    if seats != other_seats:
        return 0.0
    return (
        settings.same_family if FAMILIES[board] == FAMILIES[other_board] else settings.other_family
    )


def carried(
    source: str, target: str, gaps: dict[str, float], settings: CurriculumSettings
) -> float:
    """`kinship`, but 0 to another family of boards unless both gaps are known and the target is not
    stronger."""
    families = FAMILIES[source.split("_")[0]], FAMILIES[target.split("_")[0]]
    if families[0] != families[1] and not (
        source in gaps and target in gaps and gaps[target] <= gaps[source]
    ):
        return 0.0
    return kinship(source, target, settings)


def shares(weights: Weights) -> Weights:
    """Weights as shares that sum to 1."""
    total = sum(weights.values())
    return {config: weight / total for config, weight in weights.items()}


def _rolled_back(state: CurriculumState, event: RegressionDetected) -> tuple[Fact, ...]:
    settings, weight = state.settings.curriculum, _weight(state, event.config)
    amplitude = min(1.0, event.elo_drop / state.settings.regression.critical_elo)
    target = max(state.before.get(event.config, USUAL), settings.regressed)
    return _moved(
        state, event.config, max(target / weight, 1.0) ** amplitude, "regression", amplitude
    )


def _moved(
    state: CurriculumState, config: str, factor: float, reason: Reason, amplitude: float
) -> tuple[Fact, ...]:
    """Every weight times its share of `factor`; nothing for a config that is switched off."""
    if config not in state.weights:
        return ()
    settings = state.settings.curriculum
    moved = {
        name: min(
            max(
                weight * factor ** carried(config, name, state.gaps, settings), settings.weight_min
            ),
            settings.weight_max,
        )
        for name, weight in state.weights.items()
    }
    return _reweighted(state, config, reason, amplitude, moved)


def _reweighted(
    state: CurriculumState, config: str | None, reason: Reason, amplitude: float, weights: Weights
) -> tuple[Fact, ...]:
    return (
        CurriculumReweighted(
            config=config,
            reason=reason,
            amplitude=amplitude,
            weights=weights,
            settings_version=state.version,
        ),
    )


def _weight(state: CurriculumState, config: str) -> float:
    return state.weights.get(config, USUAL)


DECIDER = Classic(
    name="curriculum",
    state=CurriculumState,
    reads=(
        SettingsChanged,
        ModelPromoted,
        VelocityChanged,
        TickRecorded,
        RegressionDetected,
        LossAnomalyDetected,
        ProgressStalled,
        ProgressRecovered,
        QualityDegraded,
        QualityRecovered,
    ),
    writes=(CurriculumReweighted,),
    initial=CurriculumState,
    evolve=evolve,
    decide=decide,
)
