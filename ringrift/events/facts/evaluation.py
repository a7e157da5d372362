"""Evaluations, ratings, promotions, and how fast a config gains strength."""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, Struct

from ringrift.events.facts.nodes import NODES_MAX
from ringrift.events.facts.play import Ranking, Seat
from ringrift.events.facts.vocabulary import *


class EvaluationRequested(GenerationDecision, subject="evaluation.{config}.requested"):
    """Play `starts` opening positions, each once per seat of `candidate` against `opponent`.

    `round` counts the requests for one pairing and purpose, from 0. `split` is the number of
    tickets of a round among several nodes, or 0. A `spare` match is of the scheduled tournament."""

    candidate: Seat
    opponent: Seat
    purpose: Purpose
    round: Count
    starts: Annotated[int, Meta(ge=1, le=ITEMS_MAX)]
    seed: Count
    split: Annotated[int, Meta(ge=0, le=13)] = 0
    spare: bool = False

    def __post_init__(self) -> None:
        law(self.candidate.participant != self.opponent.participant, "a candidate meets another")


class EvaluationStarted(GenerationFact, subject="evaluation.{config}.started", for_people=True):
    """A match of an evaluation ticket started on a node; every delivery records its start."""

    candidate: Name
    opponent: Name
    purpose: Purpose
    games: Positive


class Effort(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one participant of a match spent on a decision, as means over its `decisions`.

    `nodes` are positions, `depth` decisions ahead, `seconds` a share of the time of a whole batch.
    `value` is its own of its positions, `chosen_share` the share of visits of the move played."""

    participant: Name
    decisions: Positive
    nodes: NonNegative
    depth: NonNegative
    seconds: NonNegative
    value: Annotated[float, Meta(ge=-1.0, le=1.0)]
    chosen_share: Share | None = None


class _Score(GenerationFact):
    """Base of facts about the result of one evaluation ticket."""

    candidate: Name
    candidate_model: Sha256 | None
    opponent: Name
    purpose: Purpose
    round: Count
    games: Count
    wins: NonNegative
    scores: Annotated[tuple[tuple[Share, Positive], ...], Meta(max_length=ITEMS_MAX)]
    rankings: Annotated[tuple[Ranking, ...], Meta(max_length=ITEMS_MAX)]
    play_seconds: NonNegative
    efforts: Annotated[tuple[Effort, ...], Meta(max_length=2)] = ()
    lines: Annotated[tuple[Text, ...], Meta(max_length=2)] = ()
    """of candidate and opponent, if known; `lines` are the moves that each expected at first"""

    def __post_init__(self) -> None:
        seats, players = seats_of(self.config), {self.candidate, self.opponent}
        law(self.scores, "a score has at least one start")
        law(len({score for score, _ in self.scores}) == len(self.scores), "a score is named twice")
        games = seats * sum(count for _, count in self.scores)
        law(self.games <= games, "a start has one game for each seat")
        ranked = sum(row.count for row in self.rankings)
        law(not self.rankings or ranked == games, "every game has a ranking, or none has")
        law(all(len(row.order) == seats for row in self.rankings), "a ranking has every seat")
        law(all(players.issuperset(row.order) for row in self.rankings), "others played as well")
        law(self.wins <= games, "more wins than games")
        efforts = {effort.participant for effort in self.efforts}
        law(efforts <= players, "the effort of another participant")
        law(len(efforts) == len(self.efforts), "two efforts of one participant")


class EvaluationScored(_Score, subject="evaluation.{config}.scored"):
    """Result of one evaluation ticket, as the evaluator on `node` says.

    `scores` is a histogram: (the candidate's mean score over the games of one start, 0..1; number
    of starts). With two seats the scores are 0, 1/4, 1/2, 3/4, 1: the pentanomial of the
    sequential test. `rankings` holds all games, or none; `games` of them are recorded, and the
    candidate won `wins`."""


class EvaluationRecounted(_Score, subject="evaluation.{config}.recounted"):
    """The score that its cause, an `EvaluationScored`, states: a coordinator found its games in
    `GAMES`, played them again by the rules and counted the same."""


class EvaluationRefuted(GenerationFact, subject="evaluation.{config}.refuted"):
    """The score at `score`, by the evaluator on `node`, counts for nothing: its games are missing,
    do not replay, or give another score.

    `forged`: all of its games are by that evaluator too, so no other node can have caused it."""

    candidate_model: Sha256 | None
    purpose: Purpose
    score: Position
    forged: bool
    reason: Text


class EvaluationFailed(GenerationFact, subject="evaluation.{config}.failed"):
    """An evaluation ticket failed on its last delivery."""

    candidate_model: Sha256 | None
    purpose: Purpose
    reason: Text


class EvaluationAbandoned(GenerationFact, subject="evaluation.{config}.abandoned"):
    """A match against the current network ended early, since its result is not needed any more: the
    candidate was judged, or its rival replaced. `games` of it are recorded."""

    candidate_model: Sha256 | None
    purpose: Purpose
    games: Count


class EvaluationBackpressureEngaged(Fact, subject="evaluation.all.backpressure-engaged"):
    """`waiting` evaluations are pending; no training is requested until
    `EvaluationBackpressureReleased`."""

    waiting: Count
    settings_version: Count


class EvaluationBackpressureReleased(Fact, subject="evaluation.all.backpressure-released"):
    """Pending evaluations fell to `waiting`; trainings may be requested again."""

    waiting: Count
    settings_version: Count


Z_95 = 1.959963984540054
"""standard errors on each side of the 95 % interval of a normal distribution"""
ANCHORS = ("baseline:heuristic:", "baseline:random:")
"""how the names of participants that may have Elo 0 begin"""
ParticipantName = Annotated[str, Meta(min_length=1, max_length=200)]


def anchor_among(names: Iterable[str], first: str = ANCHORS[0]) -> str | None:
    """The baseline that has Elo 0 among these participants: one whose name begins with `first`,
    else another one."""
    known = sorted(names)
    for start in (first, *ANCHORS):
        for name in known:  # the one without unusual options has the shortest name
            if name.startswith(start):
                return name
    return None


class Rating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the rating table: Elo above the anchor, its standard error, games played.

    `se_to_current` is the standard error of the difference to the incumbent of the table."""

    participant: ParticipantName
    elo: Finite
    se: NonNegative
    games: Count
    se_to_current: NonNegative | None = None

    @property
    def elo_95_half_width(self) -> float:
        """Half of the 95 % interval of `elo`."""
        return Z_95 * self.se


def _anchored(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2 of a table whose mean was 0: the zero moves to the anchor. Version 1 lacks the
    covariances, so the error is its upper bound, the sum of the errors of both."""
    rows = {row["participant"]: row for row in data["ratings"]}
    anchor = anchor_among(rows)
    if anchor is None:
        return {**data, "ratings": [], "unrated": sorted(rows), "anchor": None}
    zero = rows[anchor]
    ratings = [
        {**row, "elo": row["elo"] - zero["elo"], "se": row["se"] + zero["se"]}
        for name, row in rows.items()
        if name != anchor
    ]
    ratings.append({**zero, "elo": 0.0, "se": 0.0})
    ratings.sort(key=lambda row: -row["elo"])
    return {**data, "ratings": ratings, "anchor": anchor}


class RatingsUpdated(
    ConfigFact, subject="ratings.{config}.updated", version=2, upcasters={1: _anchored}
):
    """Rating table of a config after an evaluation: maximum likelihood over all games so far.

    `anchor` has Elo 0; it is None, and there are no ratings, before a baseline has played.
    `unrated` are participants that no chain of games connects with the anchor. `current` is the
    incumbent, as it plays its trials."""

    ratings: Annotated[tuple[Rating, ...], Meta(max_length=ITEMS_MAX)]
    games: Count
    anchor: ParticipantName | None
    unrated: Annotated[tuple[ParticipantName, ...], Meta(max_length=ITEMS_MAX)] = ()
    current: ParticipantName | None = None

    def __post_init__(self) -> None:
        rows = {row.participant: row for row in self.ratings}
        law(len(rows) == len(self.ratings), "each participant has one rating")
        law(rows.keys().isdisjoint(self.unrated), "a participant is rated or not")
        law((self.anchor is None) == (not rows), "ratings have an anchor")
        if self.anchor is not None:
            zero = rows.get(self.anchor)
            law(zero is not None and zero.elo == zero.se == 0.0, "the anchor has Elo 0")


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of the sequential test at its decision: log-likelihood ratio, its thresholds `lower`
    and `upper`, and the score of the candidate, over the results of the nodes `evaluators`.

    The decision is the same without the results of any `liars_max` of them; 0 if the trial was not
    split among several nodes."""

    llr: Finite
    lower: Finite
    upper: Finite
    starts: Count
    games: Count
    score: Share
    elo: Finite
    elo_95_half_width: Finite
    evaluators: Annotated[tuple[Token, ...], Meta(max_length=NODES_MAX)] = ()
    liars_max: Count = 0


class ModelPromoted(GenerationDecision, subject="promotion.{config}.model-promoted"):
    """`model` replaces the incumbent `previous`; `evidence` is None if a person decided it."""

    model: Sha256
    previous: Sha256 | None
    evidence: Evidence | None
    why: Text

    @property
    def current(self) -> str:
        """The incumbent from now on, as in rejections and rollbacks."""
        return self.model


class EvaluatorContradicted(ConfigDecision, subject="promotion.{config}.evaluator-contradicted"):
    """The results of `node` in the trial of `model` are left out: its mean `score` is incompatible
    (p < 0.001) with those of more `others` than may lie, so that an honest node contradicts it."""

    model: Sha256
    node: Token
    starts: Positive
    score: Share
    others: Annotated[dict[Token, Share], Meta(min_length=1, max_length=NODES_MAX)]


class PromotionRejected(GenerationDecision, subject="promotion.{config}.rejected"):
    """The candidate `model` was rejected; `current` stays the incumbent."""

    model: Sha256
    current: Sha256 | None
    evidence: Evidence | None
    why: Text


class ModelRolledBack(ConfigDecision, subject="promotion.{config}.model-rolled-back"):
    """`current`, an earlier network, replaces the incumbent `model`, which is `elo_drop` weaker,
    0 if a person decided it."""

    model: Sha256
    current: Sha256
    elo_drop: NonNegative
    why: Text

    def __post_init__(self) -> None:
        law(self.model != self.current, "an earlier network replaces the incumbent")


class VelocityChanged(ConfigDecision, subject="velocity.{config}.changed"):
    """Rate at which a config gains strength, and the strength of its incumbent `model`.

    `elo_per_hour` and `pace` are None until a second network was promoted. The half-width belongs
    to `elo_above_heuristic`; it is None if ratings have another anchor than the heuristic."""

    model: Sha256
    elo_per_hour: Finite | None
    pace: Pace | None
    elo_above_heuristic: Finite
    elo_95_half_width: NonNegative | None = None


class ProgressStalled(ConfigDecision, subject="velocity.{config}.progress-stalled"):
    """No incumbent of the config exceeded `best_elo_above_heuristic` for `stalled_seconds` of
    recorded time; in force until `ProgressRecovered`."""

    best_elo_above_heuristic: Finite
    stalled_seconds: NonNegative


class ProgressRecovered(ConfigDecision, subject="velocity.{config}.progress-recovered"):
    """An incumbent exceeded the previous best by `elo_gain`, after `stalled_seconds`."""

    best_elo_above_heuristic: Finite
    elo_gain: Finite
    stalled_seconds: NonNegative


class RegressionDetected(ConfigDecision, subject="regression.{config}.detected"):
    """The incumbent `model` is `elo_drop` weaker than the earlier incumbent `best`; repeated when
    the severity rises.

    `rollback_to` is the newest earlier incumbent that is not itself a regression. `standard_error`
    is that of `elo_drop`. The severity is the same without the matches of any `liars_max` nodes."""

    severity: Severity
    model: Sha256
    best: Sha256
    rollback_to: Sha256
    elo_drop: NonNegative
    standard_error: NonNegative
    liars_max: Count = 0


class RegressionCleared(ConfigDecision, subject="regression.{config}.cleared"):
    """The regression of `model` ended: it is not weaker by newer ratings, or it was replaced."""

    model: Sha256
    why: Text


Backpressure = EvaluationBackpressureEngaged | EvaluationBackpressureReleased
EvaluationEnded = EvaluationScored | EvaluationFailed | EvaluationAbandoned
Score = EvaluationScored | EvaluationRecounted
ProgressChange = ProgressStalled | ProgressRecovered
Verdict = ModelPromoted | PromotionRejected
IncumbentChanged = ModelPromoted | ModelRolledBack
"""facts after which `current` may be another network than before"""
