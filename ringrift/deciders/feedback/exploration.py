"""How much do we explore? More after a loss anomaly or on a plateau, by severity, and back to usual
as the config gets stronger.

The boost of a config multiplies the plies that self-play plays with noise; 1 is what the settings
say and the least. It decays once a generation, by the pace of the config: -2 % while it is fast
(what works is kept), -10 % steady, 0 stalled, +5 % regressing (requirement G13.08). Generations are
counted by their verdicts."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ExplorationAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    Pace,
    PlateauDetected,
    PromotionRejected,
    SettingsChanged,
    VelocityChanged,
)

USUAL = 1.0
CHANGE_MIN = 0.005
"""a boost closer to the last one is not worth a fact: less than a ply"""

Reason = Literal["loss anomaly", "plateau", "decay", "regression"]


class ConfigExploration(Struct, frozen=True, kw_only=True):
    """One config: its boost, at least 1, and its pace, None while unknown."""

    boost: float = USUAL
    pace: Pace | None = None


class ExplorationState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that was trained."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigExploration] = {}


def evolve(state: ExplorationState, event: Fact, meta: Context) -> ExplorationState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case VelocityChanged():
            return _with(state, event.config, replace(_of(state, event.config), pace=event.pace))
        case ExplorationAdjusted():
            return _with(state, event.config, replace(_of(state, event.config), boost=event.boost))
    return state


def decide(state: ExplorationState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The boost after an anomaly, a plateau or a generation."""
    settings = state.settings.exploration
    match event:
        case LossAnomalyDetected():
            return _multiplied(
                state, event.config, getattr(settings, f"anomaly_{event.severity}"), "loss anomaly"
            )
        case PlateauDetected():
            return _multiplied(
                state, event.config, getattr(settings, f"plateau_{event.severity}"), "plateau"
            )
        case ModelPromoted() | PromotionRejected():
            pace = _of(state, event.config).pace or "steady"
            reason: Reason = "regression" if pace == "regressing" else "decay"
            return _multiplied(state, event.config, getattr(settings, f"decay_{pace}"), reason)
    return ()


def plies(usual: int, boost: float) -> int | None:
    """Plies with noise under a boost; None where it does not change them."""
    boosted = round(usual * boost)
    return None if boosted == usual else boosted


def _multiplied(
    state: ExplorationState, config: str, factor: float, reason: Reason
) -> tuple[Fact, ...]:
    previous = _of(state, config).boost
    boost = max(min(previous * factor, state.settings.exploration.boost_max), USUAL)
    if boost == previous or (boost != USUAL and abs(boost - previous) < CHANGE_MIN):
        return ()
    return (
        ExplorationAdjusted(
            config=config,
            boost=boost,
            previous=previous,
            reason=reason,
            settings_version=state.version,
        ),
    )


def _of(state: ExplorationState, config: str) -> ConfigExploration:
    return state.configs.get(config, ConfigExploration())


def _with(state: ExplorationState, config: str, item: ConfigExploration) -> ExplorationState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="exploration",
    state=ExplorationState,
    reads=(
        SettingsChanged,
        LossAnomalyDetected,
        PlateauDetected,
        VelocityChanged,
        ModelPromoted,
        PromotionRejected,
    ),
    writes=(ExplorationAdjusted,),
    initial=ExplorationState,
    evolve=evolve,
    decide=decide,
)
