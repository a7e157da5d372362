"""Matches, ratings, and which network is current."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.facts.play import Ranking, Seat
from ringrift.events.facts.vocabulary import (
    ConfigName,
    Count,
    Fact,
    Pace,
    Purpose,
    Severity,
    Sha256,
)


class EvaluationRequested(Fact, subject="evaluation.{config}.requested"):
    """Play `pairs` seat-balanced starts of `candidate` against `opponent` (each start once a seat
    rotation).

    `purpose` tells which decision the result serves; `round` counts the requests of one candidate
    and opponent."""

    config: ConfigName
    generation: Count
    candidate: Seat
    opponent: Seat
    purpose: Purpose
    round: Count
    starts: Annotated[int, Meta(ge=1)]
    seed: Count
    settings_version: Count


class EvaluationScored(Fact, subject="evaluation.{config}.scored"):
    """Results of one evaluation ticket.

    `starts` is a histogram: (candidate's mean score over all seat rotations of one start in 0..1,
    number of starts); with two seats the scores are 0, 1/4, 1/2, 3/4, 1, the pentanomial of the
    sequential test."""

    config: ConfigName
    generation: Count
    ticket: str
    candidate: str
    candidate_model: Sha256 | None
    opponent: str
    purpose: Purpose
    round: Count
    games: Count
    wins: float
    scores: tuple[tuple[float, int], ...]
    rankings: tuple[Ranking, ...]
    play_seconds: float
    node: str


class EvaluationFailed(Fact, subject="evaluation.{config}.failed"):
    """An evaluation ticket was given up after its last delivery."""

    config: ConfigName
    generation: Count
    ticket: str
    candidate_model: Sha256 | None
    purpose: Purpose
    reason: str
    node: str


class Rating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the rating table: Elo with the mean of all at 0, its standard error, games
    played."""

    participant: str
    elo: float
    se: float
    games: Count


class RatingsUpdated(Fact, subject="ratings.{config}.updated"):
    """The rating table of a config after one more evaluation: maximum likelihood over all matches
    so far."""

    config: ConfigName
    ratings: tuple[Rating, ...]
    games: Count


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sequential test saw when it decided: log-likelihood ratio, its bounds, and the match
    score."""

    llr: float
    lower: float
    upper: float
    starts: Count
    games: Count
    score: float
    elo: float
    elo_95_half_width: float


class ModelPromoted(Fact, subject="promotion.{config}.model-promoted"):
    """`model` is the current network of its config from here on; `previous` was."""

    config: ConfigName
    generation: Count
    model: Sha256
    previous: Sha256 | None
    evidence: Evidence | None
    why: str
    settings_version: Count


class PromotionRejected(Fact, subject="promotion.{config}.rejected"):
    """`model` did not become current; `current` stays."""

    config: ConfigName
    generation: Count
    model: Sha256
    current: Sha256 | None
    evidence: Evidence | None
    why: str
    settings_version: Count


class VelocityChanged(Fact, subject="velocity.{config}.changed"):
    """How fast this config grows stronger, in Elo an hour, and how far its current network `model`
    is above the heuristic.

    `velocity` is None, and the pace unknown, until a second network was promoted."""

    config: ConfigName
    model: Sha256
    elo_per_hour: float | None
    pace: Pace | None
    elo_above_heuristic: float
    settings_version: Count


class ProgressStalled(Fact, subject="velocity.{config}.progress-stalled"):
    """The best gap to the heuristic has not grown in `stalled_seconds` of recorded time; holds
    until `ProgressRecovered`."""

    config: ConfigName
    best_elo_above_heuristic: float
    stalled_seconds: float
    settings_version: Count


class ProgressRecovered(Fact, subject="velocity.{config}.progress-recovered"):
    """The best gap to the heuristic has grown again, by `gain`."""

    config: ConfigName
    best_elo_above_heuristic: float
    elo_gain: float
    stalled_seconds: float
    settings_version: Count


class RegressionDetected(Fact, subject="regression.{config}.detected"):
    """The current network `model` is `elo_drop` weaker than `best`, which was current before; said
    again when it gets more severe.

    `good` is what a critical one is rolled back to: the newest network before that is not itself a
    regression."""

    config: ConfigName
    severity: Severity
    model: Sha256
    best: Sha256
    rollback_to: Sha256
    elo_drop: float
    standard_error: float
    settings_version: Count


class RegressionCleared(Fact, subject="regression.{config}.cleared"):
    """The regression of `model` is over: measured again it is not weaker, or another network is
    current."""

    config: ConfigName
    model: Sha256
    why: str
    settings_version: Count


class ModelRolledBack(Fact, subject="promotion.{config}.model-rolled-back"):
    """`model` was current; `current` is again, from here on."""

    config: ConfigName
    model: Sha256
    current: Sha256
    elo_drop: float
    why: str
    settings_version: Count


class EvaluationBackpressureEngaged(Fact, subject="evaluation.all.backpressure-engaged"):
    """So many matches wait that training more networks is pointless; holds until
    `EvaluationBackpressureReleased`."""

    waiting: Count
    settings_version: Count


class EvaluationBackpressureReleased(Fact, subject="evaluation.all.backpressure-released"):
    """Few enough matches wait again."""

    waiting: Count
    settings_version: Count
