"""Settings, pauses, time, and the decisions of feedback about self-play."""

from typing import Any, Literal

from msgspec import Struct

from ringrift.events.facts.vocabulary import *
from ringrift.events.settings import Settings

PauseKind = Literal["all"] | WorkKind
ExplorationReason = Literal["loss anomaly", "plateau", "decay", "regression"]
WeightReason = Literal[
    "promotion", "regression", "loss anomaly", "stall", "progress", "quality", "outage"
]


def _unweighed(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2: samples are no longer weighed by age and by surprise."""
    settings, gone = data["settings"], ("recency", "surprise")
    kept = {name: one for name, one in settings.get("training", {}).items() if name not in gone}
    return {**data, "settings": {**settings, "training": kept}}


class SettingsChanged(Fact, subject="settings.all.changed", version=2, upcasters={1: _unweighed}):
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


class Spent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Games or trainings of one kind of work, and what they cost, in the operator's currency."""

    units: Count
    node_seconds: NonNegative
    cost: NonNegative


class EfficiencyMeasured(ConfigDecision, subject="cost.{config}.efficiency-measured"):
    """Elo above the heuristic that a config gained in the last `hours`, and what it spent for that;
    `elo_per_cost` is None if its nodes cost nothing. `spent` is the sum since its beginning."""

    hours: Above0
    node_hours: Above0
    cost: NonNegative
    elo_gained: Finite
    elo_per_hour: Finite
    elo_per_node_hour: Finite
    elo_per_cost: Finite | None
    spent: dict[WorkKind, Spent]


class SelfplaySuspended(ConfigDecision, subject="suspension.{config}.selfplay-suspended"):
    """`failures` trainings of the config failed in a row, the last one for the reason `why`, so it
    plays no more; its next training is in `retry_seconds`."""

    failures: Count
    retry_seconds: Above0
    why: Text


class TrainingRetried(ConfigDecision, subject="suspension.{config}.training-retried"):
    """A suspended config trains once more on the samples that it has; retry number `retry`."""

    retry: Positive


class SelfplayRestored(ConfigDecision, subject="suspension.{config}.selfplay-restored"):
    """A training of a suspended config finished, so it plays again."""


class ArchitectureSharesDecided(ConfigDecision, subject="architecture.{config}.shares-decided"):
    """Elo gained per hour of training by each architecture of a config, and its share of future
    trainings."""

    elo_per_hour: dict[Name, Finite]
    shares: dict[Name, Above0]
    trainings: dict[Name, Count]

    def __post_init__(self) -> None:
        law(abs(sum(self.shares.values()) - 1.0) < 1e-6, "shares sum to 1")
