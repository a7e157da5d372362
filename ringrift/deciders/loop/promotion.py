"""When does a candidate become current? When a sequential test accepts it as stronger than the
current network (`ringrift.deciders.loop.verdict`).

With the setting `evaluation.recount`, a score counts once a coordinator has recounted it.

The first network of a config has no rival; it is promoted once it beats random play beyond doubt. A
test still open after `starts_max` starts is decided by the score. Each verdict is a fact with its
evidence.

A current network with a critical regression is rolled back to the last good one. During a cool-down
after that, a candidate that would be promoted is rejected, so that the loop continues with the good
network."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted, replace
from ringrift.deciders.loop.verdict import Scores, Verdict, counts, judge, merged, plays_as
from ringrift.events import facts as f

Verdicts = Iterator[f.Verdict | f.ModelRolledBack]


class Candidate(Struct, frozen=True, kw_only=True):
    """A network on trial: its scores against the current one, or against random if there is
    none."""

    generation: int
    scores: Scores = ()
    games: int = 0


class Promotion(Struct, frozen=True, kw_only=True):
    """The current network of a config, and the candidates without a verdict."""

    current: str | None = None
    candidates: dict[str, Candidate] = {}
    rolled_back_at: datetime | None = None
    left_out: tuple[str, ...] = ()
    """tickets that were retracted before they were scored"""
    tickets: tuple[str, ...] = ()
    """counted"""


DECIDER = Decider("promotion", Configs[Promotion])


@DECIDER.evolves
def registered(item: Promotion, fact: f.ModelRegistered) -> Promotion:
    new = {fact.model: Candidate(generation=fact.generation)}
    return replace(item, candidates=item.candidates | new)


@DECIDER.evolves
def scored(item: Promotion, fact: f.Score, context: Context) -> Promotion:
    candidate = _judged_by(item, fact)
    if candidate is None or fact.ticket in item.tickets or not counts(fact, context):
        return item
    scores, games = merged(candidate.scores, fact.scores), candidate.games + fact.games
    changed = {fact.candidate_model or "": replace(candidate, scores=scores, games=games)}
    tickets = noted(item.tickets, fact.ticket)
    return replace(item, candidates=item.candidates | changed, tickets=tickets)


@DECIDER.evolves
def retracted(item: Promotion, fact: f.GamesRetracted) -> Promotion:
    # candidates with retracted results start again
    fresh = {
        name: Candidate(generation=candidate.generation)
        for name, candidate in item.candidates.items()
        if name in fact.candidates
    }
    left_out = (*item.left_out, *fact.unscored_tickets)
    return replace(item, candidates=item.candidates | fresh, left_out=left_out)


@DECIDER.evolves
def judged(item: Promotion, fact: f.Verdict | f.ModelRolledBack, context: Context) -> Promotion:
    candidates = {name: one for name, one in item.candidates.items() if name != fact.model}
    if fact.current != item.current:  # results against another rival do not count
        for name, one in candidates.items():
            candidates[name] = Candidate(generation=one.generation)
    rolled_back = isinstance(fact, f.ModelRolledBack)
    at = context.time if rolled_back else item.rolled_back_at
    return replace(item, current=fact.current, candidates=candidates, rolled_back_at=at)


@DECIDER.decides
def on_result(item: Promotion, fact: f.Score | f.EvaluationFailed, context: Context) -> Verdicts:
    """The verdict on the candidate, once there is one; if its evaluation failed, a rejection."""
    model, candidate = fact.candidate_model, _judged_by(item, fact)
    if candidate is None or model is None:
        return
    if not isinstance(fact, f.EvaluationFailed) and not counts(fact, context):
        return
    basis, generation = context.basis(fact.config), candidate.generation
    verdict, evidence, why = _verdict(item, candidate, fact, context)
    if verdict == "promote":
        yield f.ModelPromoted(
            **basis,
            generation=generation,
            model=model,
            previous=item.current,
            evidence=evidence,
            why=why,
        )
    if verdict == "reject":
        yield f.PromotionRejected(
            **basis,
            generation=generation,
            model=model,
            current=item.current,
            evidence=evidence,
            why=why,
        )


@DECIDER.decides
def on_regression(item: Promotion, fact: f.RegressionDetected, context: Context) -> Verdicts:
    """A critical regression of the current network is rolled back."""
    if fact.severity == "critical" and fact.model == item.current:
        below, error = f"{fact.elo_drop:.0f} Elo below {fact.best[:12]}", fact.standard_error
        yield f.ModelRolledBack(
            **context.basis(fact.config),
            model=fact.model,
            current=fact.rollback_to,
            elo_drop=fact.elo_drop,
            why=f"critical regression: {below}, error {error:.0f}",
        )


def _judged_by(item: Promotion, fact: f.Score | f.EvaluationFailed) -> Candidate | None:
    """The candidate that a result counts for: one against the current network, or against random
    play if there is none."""
    purpose = "promotion" if item.current else "random"
    if fact.purpose != purpose or fact.ticket in item.left_out:
        return None
    candidate = item.candidates.get(fact.candidate_model or "")
    if not isinstance(fact, f.EvaluationFailed) and item.current:
        return candidate if plays_as(fact.opponent, item.current) else None
    return candidate


def _cooldown(item: Promotion, context: Context) -> float:
    """Seconds until candidates are promoted again."""
    if item.rolled_back_at is None:
        return 0.0
    passed = (context.time - item.rolled_back_at).total_seconds()
    # a rollback in the future is a wrong clock, and must not block promotions until then
    return context.settings.promotion.cooldown_seconds - passed if passed >= 0.0 else 0.0


def _verdict(
    item: Promotion, candidate: Candidate, fact: f.Score | f.EvaluationFailed, context: Context
) -> tuple[Verdict, f.Evidence | None, str]:
    if isinstance(fact, f.EvaluationFailed):
        return "reject", None, f"evaluation failed: {fact.reason}"
    scores, games, first = candidate.scores, candidate.games, item.current is None
    settings = context.settings.promotion
    verdict, evidence, why = judge(scores, games, settings, first=first, config=fact.config)
    # a rejection rather than a delay, so that the loop does not wait for the verdict
    wait = _cooldown(item, context)
    if verdict == "promote" and wait > 0.0:
        verdict = "reject"
        why = f"{why}, but nothing is promoted for another {wait:.0f} s after the rollback"
    return verdict, evidence, why
