"""Is a candidate better than its rival? A sequential test over its starts decides."""

import math
from typing import Literal

from ringrift.deciders.context import Context
from ringrift.deciders.stats.sprt import Sprt, evaluate
from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events import facts as f
from ringrift.events.settings import PromotionSettings

Verdict = Literal["promote", "reject", "open"]
Scores = tuple[tuple[float, int], ...]
"""(score, starts), scores ascending, as in `EvaluationScored`"""

CLASSES_OF_SEATS = {2: 5, 3: 7, 4: 13}
"""score classes of one start: 2 seats give the pentanomial; n seats have n rotations of scores in
steps of 1 / (n - 1)"""
FIRST_SCORE_MIN = 0.5
"""the lower 95 % limit of a first network's score against its baseline must be above this"""
ADOPTED_STARTS = 16
"""of a network of another config against the heuristic: of 32 games it must win 22"""
First = Literal["", "random", "heuristic"]
"""the baseline by which a first network is judged: random play for one of the config itself, the
heuristic for one of another config; empty if there is a current network"""


def judge(
    scores: Scores, games: int, settings: PromotionSettings, *, first: First, config: str
) -> tuple[Verdict, f.Evidence, str]:
    """Verdict, evidence and reason for a candidate's results, against a baseline if it is the first
    network."""
    evidence = evidence_of(scores, games, settings, config)
    starts, score = evidence.starts, evidence.score
    if first:
        adopted, limit = first == "heuristic", first_limit(score, starts, first, config)
        why = f"scores {score:.1%} against {first}, at least {limit:.1%} with 95 % confidence"
        verdict: Verdict = "promote" if limit > FIRST_SCORE_MIN else "reject"
        return verdict, evidence, f"{'of another config' if adopted else 'first network'}: {why}"
    won = f"{score:.1%} of {games} games"
    if evidence.llr >= evidence.upper:
        return "promote", evidence, f"llr {evidence.llr:.2f} reached {evidence.upper:.2f}: {won}"
    if evidence.llr <= evidence.lower:
        return "reject", evidence, f"llr {evidence.llr:.2f} fell to {evidence.lower:.2f}: {won}"
    if starts < settings.starts_max:
        return "open", evidence, ""
    passed, at_cap = score >= settings.score_at_cap, f"{settings.score_at_cap:.1%}"
    why = f"{score:.1%} {'reaches' if passed else 'is below'} {at_cap}"
    return "promote" if passed else "reject", evidence, f"undecided after {starts} starts: {why}"


def evidence_of(scores: Scores, games: int, settings: PromotionSettings, config: str) -> f.Evidence:
    """State of the sequential test on these results."""
    starts = sum(count for _, count in scores)
    test = Sprt(elo0=settings.elo0, elo1=settings.elo1, alpha=settings.alpha, beta=settings.beta)
    result = evaluate(test, class_counts(scores, f.seats_of(config)))
    return f.Evidence(
        llr=result.llr,
        lower=result.lower,
        upper=result.upper,
        starts=starts,
        games=games,
        score=math.fsum(value * count for value, count in scores) / starts,
        elo=result.elo,
        elo_95_half_width=result.elo_95_half_width,
    )


def first_limit(score: float, starts: int, first: First, config: str) -> float:
    """The lower 95 % limit of a first network's score, of which more than `FIRST_SCORE_MIN` is
    wanted. The few games of one from another config count one by one."""
    limit, _ = wilson_interval(
        score, starts * f.seats_of(config) if first == "heuristic" else starts
    )
    return limit


def class_counts(scores: Scores, seats: int) -> list[int]:
    """Number of starts in each score class of `CLASSES_OF_SEATS`, worst first."""
    counts = [0] * CLASSES_OF_SEATS[seats]
    for score, count in scores:
        counts[round(score * (len(counts) - 1))] += count
    return counts


def counts(fact: f.Score, context: Context) -> bool:
    """Whether a score counts: once it was recounted, or at once if scores need not be."""
    return isinstance(fact, f.EvaluationRecounted) or not context.settings.recounts


def merged(first: Scores, second: Scores) -> Scores:
    """Two histograms as one."""
    counts: dict[float, int] = {}
    for score, count in (*first, *second):
        counts[score] = counts.get(score, 0) + count
    return tuple(sorted(counts.items()))


def plays_as(participant: str, model: str | None) -> bool:
    """Whether this participant is that network."""
    return model is not None and participant.startswith(f"{model[:12]}:")
