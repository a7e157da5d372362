"""Settings, pauses, time, and the decisions of feedback about self-play."""

from typing import Literal

from ringrift.events.facts.vocabulary import *
from ringrift.events.settings import Settings

PauseKind = Literal["all"] | WorkKind
ExplorationReason = Literal["loss anomaly", "plateau", "decay", "regression"]
WeightReason = Literal[
    "promotion", "regression", "loss anomaly", "stall", "progress", "quality", "outage"
]


class SettingsChanged(Fact, subject="settings.all.changed"):
    """All settings in force from now on; `version` counts from 1."""

    version: Positive
    settings: Settings
    why: Text


class PipelinePaused(Fact, subject="pipeline.{scope}.paused"):
    """No new work of `kind` is planned in `scope`, a config or `all`, until `PipelineResumed`."""

    scope: Token
    kind: PauseKind = "all"
    why: Text


class PipelineResumed(Fact, subject="pipeline.{scope}.resumed"):
    """Ends the `PipelinePaused` of the same scope and kind."""

    scope: Token
    kind: PauseKind = "all"
    why: Text


class TickRecorded(Fact, subject="clock.all.tick-recorded"):
    """A minute has passed. Decisions that wait for time wait for this fact."""

    minute: Count
    """whole minutes since 1970 (UTC)"""


class ExplorationAdjusted(ConfigDecision, subject="exploration.{config}.adjusted"):
    """From its next plan on, self-play of the config explores `boost` times as long as the settings
    say; the factor was `previous`."""

    boost: Above0
    previous: Above0
    reason: ExplorationReason


class CurriculumReweighted(Fact, subject="curriculum.all.reweighted"):
    """Weights of the configs in use, 1 by default, not normalised.

    `config` is the config of the cause, None if it concerns all. `amplitude` is the share of its
    full effect that the cause had, 0..1."""

    config: ConfigName | None
    reason: WeightReason
    amplitude: Share
    weights: dict[ConfigName, Above0]
    settings_version: Count


class AllocationDecided(Fact, subject="allocation.all.decided"):
    """Share of self-play of each config, summing to 1, and the `terms` (0..1) of its priority."""

    shares: dict[ConfigName, Above0]
    terms: dict[ConfigName, dict[Name, Share]]
    settings_version: Count

    def __post_init__(self) -> None:
        law(not self.shares or abs(sum(self.shares.values()) - 1.0) < 1e-6, "shares sum to 1")


class ArchitectureSharesDecided(ConfigDecision, subject="architecture.{config}.shares-decided"):
    """Elo gained per hour of training by each architecture of a config, and its share of future
    trainings."""

    elo_per_hour: dict[Name, Finite]
    shares: dict[Name, Above0]
    trainings: dict[Name, Count]

    def __post_init__(self) -> None:
        law(abs(sum(self.shares.values()) - 1.0) < 1e-6, "shares sum to 1")
