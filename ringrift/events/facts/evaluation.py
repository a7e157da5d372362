"""Evaluations, ratings, promotions, and how fast a config gains strength."""

from msgspec import Struct

from ringrift.events.facts.play import Ranking, Seat
from ringrift.events.facts.vocabulary import *


class EvaluationRequested(GenerationDecision, subject="evaluation.{config}.requested"):
    """Play `starts` opening positions, each once per seat of `candidate` against `opponent`.

    `round` counts the requests for one pairing and purpose, from 0."""

    candidate: Seat
    opponent: Seat
    purpose: Purpose
    round: Count
    starts: Positive
    seed: Count


class EvaluationScored(GenerationFact, subject="evaluation.{config}.scored"):
    """Result of one evaluation ticket.

    `scores` is a histogram: (the candidate's mean score over the games of one start, 0..1; number
    of starts). With two seats the scores are 0, 1/4, 1/2, 3/4, 1: the pentanomial of the
    sequential test. `wins` counts games that the candidate won."""

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


class EvaluationFailed(GenerationFact, subject="evaluation.{config}.failed"):
    """An evaluation ticket failed on its last delivery."""

    candidate_model: Sha256 | None
    purpose: Purpose
    reason: str


class EvaluationBackpressureEngaged(Fact, subject="evaluation.all.backpressure-engaged"):
    """`waiting` evaluations are pending; no training is requested until
    `EvaluationBackpressureReleased`."""

    waiting: Count
    settings_version: Count


class EvaluationBackpressureReleased(Fact, subject="evaluation.all.backpressure-released"):
    """Pending evaluations fell to `waiting`; trainings may be requested again."""

    waiting: Count
    settings_version: Count


class Rating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the rating table: Elo (the mean of all is 0), its standard error, games played."""

    participant: str
    elo: float
    se: float
    games: Count


class RatingsUpdated(ConfigFact, subject="ratings.{config}.updated"):
    """Rating table of a config after an evaluation: maximum likelihood over all games so far."""

    ratings: tuple[Rating, ...]
    games: Count


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of the sequential test at its decision: log-likelihood ratio, its thresholds `lower`
    and `upper`, and the score of the candidate."""

    llr: float
    lower: float
    upper: float
    starts: Count
    games: Count
    score: float
    elo: float
    elo_95_half_width: float


class ModelPromoted(GenerationDecision, subject="promotion.{config}.model-promoted"):
    """`model` replaces the incumbent `previous`."""

    model: Sha256
    previous: Sha256 | None
    evidence: Evidence | None
    why: str

    @property
    def current(self) -> str:
        """The incumbent from now on, as in rejections and rollbacks."""
        return self.model


class PromotionRejected(GenerationDecision, subject="promotion.{config}.rejected"):
    """The candidate `model` was rejected; `current` stays the incumbent."""

    model: Sha256
    current: Sha256 | None
    evidence: Evidence | None
    why: str


class ModelRolledBack(ConfigDecision, subject="promotion.{config}.model-rolled-back"):
    """`current`, an earlier network, replaces the incumbent `model`, which is `elo_drop` weaker."""

    model: Sha256
    current: Sha256
    elo_drop: float
    why: str


class VelocityChanged(ConfigDecision, subject="velocity.{config}.changed"):
    """Rate at which a config gains strength, and the strength of its incumbent `model`.

    `elo_per_hour` and `pace` are None until a second network was promoted."""

    model: Sha256
    elo_per_hour: float | None
    pace: Pace | None
    elo_above_heuristic: float


class ProgressStalled(ConfigDecision, subject="velocity.{config}.progress-stalled"):
    """No incumbent of the config exceeded `best_elo_above_heuristic` for `stalled_seconds` of
    recorded time; in force until `ProgressRecovered`."""

    best_elo_above_heuristic: float
    stalled_seconds: float


class ProgressRecovered(ConfigDecision, subject="velocity.{config}.progress-recovered"):
    """An incumbent exceeded the previous best by `elo_gain`, after `stalled_seconds`."""

    best_elo_above_heuristic: float
    elo_gain: float
    stalled_seconds: float


class RegressionDetected(ConfigDecision, subject="regression.{config}.detected"):
    """The incumbent `model` is `elo_drop` weaker than the earlier incumbent `best`; repeated when
    the severity rises.

    `rollback_to` is the newest earlier incumbent that is not itself a regression. `standard_error`
    is that of `elo_drop`."""

    severity: Severity
    model: Sha256
    best: Sha256
    rollback_to: Sha256
    elo_drop: float
    standard_error: float


class RegressionCleared(ConfigDecision, subject="regression.{config}.cleared"):
    """The regression of `model` ended: it is not weaker by newer ratings, or it was replaced."""

    model: Sha256
    why: str


Backpressure = EvaluationBackpressureEngaged | EvaluationBackpressureReleased
EvaluationEnded = EvaluationScored | EvaluationFailed
ProgressChange = ProgressStalled | ProgressRecovered
Verdict = ModelPromoted | PromotionRejected
IncumbentChanged = ModelPromoted | ModelRolledBack
"""facts after which `current` may be another network than before"""
