"""What is to be done next: settings, pauses, time, and what feedback makes of it all."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Token
from ringrift.events.settings import Settings


class SettingsChanged(Fact, subject="settings.all.changed"):
    """The settings in force from here on, whole; `version` counts from 1."""

    version: Annotated[int, Meta(ge=1)]
    settings: Settings
    why: str


class PipelinePaused(Fact, subject="pipeline.{scope}.paused"):
    """No new work of `kind` is planned in `scope` (a config, or `all`) until `PipelineResumed`."""

    scope: Token
    kind: Literal["all", "selfplay", "training", "evaluation"] = "all"
    why: str


class PipelineResumed(Fact, subject="pipeline.{scope}.resumed"):
    """Ends a `PipelinePaused` of the same scope and kind."""

    scope: Token
    kind: Literal["all", "selfplay", "training", "evaluation"] = "all"
    why: str


class TickRecorded(Fact, subject="clock.all.tick-recorded"):
    """A minute has passed. Decisions that wait for time wait for this: what the log does not tell,
    no decision knows."""

    minute: Count
    """whole minutes since 1970 (UTC)"""


class ExplorationAdjusted(Fact, subject="exploration.{config}.adjusted"):
    """Self-play of this config explores `boost` times as long as the settings say, from its next
    plan on; it was `previous`."""

    config: ConfigName
    boost: float
    previous: float
    reason: Literal["loss anomaly", "plateau", "decay", "regression"]
    settings_version: Count


class CurriculumReweighted(Fact, subject="curriculum.all.reweighted"):
    """Weights of the configs that are switched on, 1 = as usual; not normalised. `config` is where
    the cause lies, None: all over.

    `amplitude` is how much of its full effect the cause had, 0..1."""

    config: ConfigName | None
    reason: Literal[
        "promotion", "regression", "loss anomaly", "stall", "progress", "quality", "outage"
    ]
    amplitude: float
    weights: dict[str, float]
    settings_version: Count


class AllocationDecided(Fact, subject="allocation.all.decided"):
    """The share of self-play that each config gets, summing to 1, and the `terms` (0..1) that its
    priority came from."""

    shares: dict[str, float]
    terms: dict[str, dict[str, float]]
    settings_version: Count


class ArchitectureSharesDecided(Fact, subject="architecture.{config}.shares-decided"):
    """Elo that each architecture gained per hour of training in this config, and the share of
    training it deserves."""

    config: ConfigName
    elo_per_hour: dict[str, float]
    shares: dict[str, float]
    trainings: dict[str, Count]
    settings_version: Count
