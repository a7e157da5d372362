"""When does a candidate become current? When a sequential test says that it is stronger than the
current network.

The first network of a config has no rival; it is promoted once it beats random play beyond doubt. A
test still open after `starts_max` starts goes by the score. Each verdict is a fact with its
evidence.

A current network with a critical regression is rolled back to the last good one. For a cool-down
after that nothing is promoted: a candidate that would be is rejected, so that the loop goes on with
the good network."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.stats.sprt import Sprt, evaluate
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationScored,
    Evidence,
    GamesRetracted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    PromotionRejected,
    RegressionDetected,
    SettingsChanged,
)
from ringrift.events.settings import PromotionSettings

Verdict = Literal["promote", "reject", "open"]
Starts = tuple[tuple[float, int], ...]

CLASSES_OF_SEATS = {2: 5, 3: 7, 4: 13}
"""Score classes of one start: 2 seats make the pentanomial; n seats have n rotations of scores in
steps of 1 / (n - 1)."""
FIRST_SCORE_MIN = 0.5
"""A first network must beat random play: the lower 95 % bound of its score must be above this."""
Z_95 = 1.959963984540054


class Candidate(Struct, frozen=True, kw_only=True):
    """A network on trial: what it has scored so far against the current one, or against random if
    there is none."""

    generation: int
    starts: Starts = ()
    games: int = 0


class ConfigPromotion(Struct, frozen=True, kw_only=True):
    """One config: the current network and the candidates that wait for a verdict."""

    current: str | None = None
    candidates: dict[str, Candidate] = {}
    rolled_back_at: datetime | None = None
    left_out: tuple[str, ...] = ()
    """retracted tickets whose scores had not come"""


class PromotionState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that has a candidate or a current network."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigPromotion] = {}


def evolve(state: PromotionState, event: Fact, meta: Context) -> PromotionState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case ModelRegistered():
            item = state.configs.get(event.config, ConfigPromotion())
            candidates = {**item.candidates, event.model: Candidate(generation=event.generation)}
            return _with(state, event.config, replace(item, candidates=candidates))
        case EvaluationScored():
            return _scored(state, event)
        case GamesRetracted():
            return _retracted(state, event)
        case ModelPromoted():
            return _judged(state, event.config, event.model, event.model)
        case PromotionRejected():
            return _judged(state, event.config, event.model, event.current)
        case ModelRolledBack():
            state = _judged(state, event.config, event.model, event.current)
            item = state.configs[event.config]
            return _with(state, event.config, replace(item, rolled_back_at=meta.time))
    return state


def decide(state: PromotionState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The verdict on the candidate that `event` is about, once there is one; a rollback where one
    is due."""
    if isinstance(event, RegressionDetected):
        return _rollback(state, event)
    if not isinstance(event, EvaluationScored | EvaluationFailed) or event.candidate_model is None:
        return ()
    item = state.configs.get(event.config, ConfigPromotion())
    if event.ticket in item.left_out:
        return ()
    model, candidate = event.candidate_model, item.candidates.get(event.candidate_model)
    if candidate is None or not decides(event.purpose, item.current):
        return ()
    if isinstance(event, EvaluationScored) and not counts(event, item.current):
        return ()
    if isinstance(event, EvaluationFailed):
        return (
            _rejection(
                state,
                event.config,
                model,
                candidate,
                item.current,
                None,
                f"evaluation failed: {event.reason}",
            ),
        )
    settings = state.settings.promotion
    verdict, evidence, why = judge(
        candidate.starts, candidate.games, settings, first=item.current is None, config=event.config
    )
    if verdict == "open":
        return ()
    if verdict == "promote" and (wait := _cooldown(state, item, meta.time)) > 0.0:
        verdict, why = (
            "reject",
            f"{why}, but nothing is promoted for {wait:.0f} s more after the rollback",
        )
    if verdict == "reject":
        return (_rejection(state, event.config, model, candidate, item.current, evidence, why),)
    return (
        ModelPromoted(
            config=event.config,
            generation=candidate.generation,
            model=model,
            previous=item.current,
            evidence=evidence,
            why=why,
            settings_version=state.version,
        ),
    )


def decides(purpose: str, current: str | None) -> bool:
    """Whether results of this purpose lead to the verdict: against the current network, or against
    random without one."""
    return purpose == ("promotion" if current else "random")


def counts(event: EvaluationScored, current: str | None) -> bool:
    """Whether a result tells about the current network: one against a network that no longer is
    current does not."""
    return current is None or event.opponent.startswith(f"{current[:12]}:")


def _rollback(state: PromotionState, event: RegressionDetected) -> tuple[Fact, ...]:
    current = state.configs.get(event.config, ConfigPromotion()).current
    if event.severity != "critical" or event.model != current:
        return ()
    return (
        ModelRolledBack(
            config=event.config,
            model=event.model,
            current=event.rollback_to,
            elo_drop=event.elo_drop,
            why=f"critical regression: {event.elo_drop:.0f} Elo below {event.best[:12]}, error {event.standard_error:.0f}",
            settings_version=state.version,
        ),
    )


def _cooldown(state: PromotionState, item: ConfigPromotion, now: datetime) -> float:
    """Seconds for which nothing is promoted yet."""
    if item.rolled_back_at is None:
        return 0.0
    return state.settings.promotion.cooldown_seconds - (now - item.rolled_back_at).total_seconds()


def judge(
    starts: Starts, games: int, settings: PromotionSettings, *, first: bool, config: str
) -> tuple[Verdict, Evidence, str]:
    """Verdict, evidence and reason for a candidate's results; `starts` as in `EvaluationScored`."""
    total = sum(count for _, count in starts)
    score = math.fsum(value * count for value, count in starts) / total
    test = Sprt(elo0=settings.elo0, elo1=settings.elo1, alpha=settings.alpha, beta=settings.beta)
    result = evaluate(test, class_counts(starts, int(config[-2])))
    evidence = Evidence(
        llr=result.llr,
        lower=result.lower,
        upper=result.upper,
        starts=total,
        games=games,
        score=score,
        elo=result.elo,
        elo_95_half_width=result.elo_95_half_width,
    )
    if first:
        bound = wilson_lower(score, total)
        verdict: Verdict = "promote" if bound > FIRST_SCORE_MIN else "reject"
        return (
            verdict,
            evidence,
            f"first network: scores {score:.1%} against random, at least {bound:.1%} with 95 % confidence",
        )
    if result.state == "accepted":
        return (
            "promote",
            evidence,
            f"llr {result.llr:.2f} reached {result.upper:.2f}: {score:.1%} of {games} games",
        )
    if result.state == "rejected":
        return (
            "reject",
            evidence,
            f"llr {result.llr:.2f} fell to {result.lower:.2f}: {score:.1%} of {games} games",
        )
    if total < settings.starts_max:
        return "open", evidence, ""
    passed = score >= settings.score_at_cap
    text = f"undecided after {total} starts: {score:.1%} {'reaches' if passed else 'is below'} {settings.score_at_cap:.1%}"
    return ("promote" if passed else "reject"), evidence, text


def class_counts(starts: Starts, seats: int) -> list[int]:
    """Number of starts in each score class, worst first; the classes are those of
    `CLASSES_OF_SEATS`."""
    counts = [0] * CLASSES_OF_SEATS[seats]
    for score, count in starts:
        counts[round(score * (len(counts) - 1))] += count
    return counts


def wilson_lower(score: float, samples: int) -> float:
    """Lower bound of the 95 % interval of a share (Wilson 1927)."""
    return wilson_interval(score, samples)[0]


def wilson_interval(score: float, samples: float) -> tuple[float, float]:
    """The 95 % interval of a share seen in `samples` independent samples (Wilson 1927); it holds
    the share, rounding or not."""
    z2 = Z_95 * Z_95
    middle = (score + z2 / (2 * samples)) / (1 + z2 / samples)
    half = (
        Z_95
        * math.sqrt(score * (1 - score) / samples + z2 / (4 * samples * samples))
        / (1 + z2 / samples)
    )
    return max(0.0, min(middle - half, score)), min(1.0, max(middle + half, score))


def merged(first: Starts, second: Starts) -> Starts:
    """Two histograms as one, scores ascending."""
    counts: dict[float, int] = {}
    for score, count in (*first, *second):
        counts[score] = counts.get(score, 0) + count
    return tuple(sorted(counts.items()))


def _retracted(state: PromotionState, event: GamesRetracted) -> PromotionState:
    """Candidates with results among the retracted ones begin again."""
    item = state.configs.get(event.config, ConfigPromotion())
    candidates = {
        name: Candidate(generation=candidate.generation) if name in event.candidates else candidate
        for name, candidate in item.candidates.items()
    }
    return _with(
        state,
        event.config,
        replace(item, candidates=candidates, left_out=(*item.left_out, *event.unscored_tickets)),
    )


def _scored(state: PromotionState, event: EvaluationScored) -> PromotionState:
    item = state.configs.get(event.config, ConfigPromotion())
    model = event.candidate_model
    if (
        model is None
        or model not in item.candidates
        or not decides(event.purpose, item.current)
        or not counts(event, item.current)
    ):
        return state
    if event.ticket in item.left_out:
        return state
    candidate = item.candidates[model]
    candidate = replace(
        candidate,
        starts=merged(candidate.starts, event.scores),
        games=candidate.games + event.games,
    )
    return _with(
        state, event.config, replace(item, candidates={**item.candidates, model: candidate})
    )


def _judged(state: PromotionState, config: str, model: str, current: str | None) -> PromotionState:
    item = state.configs.get(config, ConfigPromotion())
    same = current == item.current  # results against another rival tell nothing about this one
    candidates = {
        name: candidate if same else Candidate(generation=candidate.generation)
        for name, candidate in item.candidates.items()
        if name != model
    }
    return _with(state, config, replace(item, current=current, candidates=candidates))


def _rejection(
    state: PromotionState,
    config: str,
    model: str,
    candidate: Candidate,
    current: str | None,
    evidence: Evidence | None,
    why: str,
) -> PromotionRejected:
    return PromotionRejected(
        config=config,
        generation=candidate.generation,
        model=model,
        current=current,
        evidence=evidence,
        why=why,
        settings_version=state.version,
    )


def _with(state: PromotionState, config: str, item: ConfigPromotion) -> PromotionState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="promotion",
    state=PromotionState,
    reads=(
        SettingsChanged,
        ModelRegistered,
        EvaluationScored,
        EvaluationFailed,
        RegressionDetected,
        GamesRetracted,
    ),
    writes=(ModelPromoted, PromotionRejected, ModelRolledBack),
    initial=PromotionState,
    evolve=evolve,
    decide=decide,
)
