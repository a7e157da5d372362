"""When does a candidate become current? When a sequential test accepts it as stronger than the
current network (`ringrift.deciders.loop.verdict`).

With four evaluators or more none of them can decide alone (`ringrift.deciders.loop.split`); what
fewer decide is unattested, and with the setting `trust.required` promotes nothing. With the setting
`evaluation.recount`, a score counts once a coordinator has recounted it.

The first network of a config has no rival; it is promoted once it beats random play beyond doubt,
one of another config once it scores more than its fair share against the heuristic beyond doubt. A
test still open after `starts_max` starts is decided by the score. Each verdict is a fact with its
evidence.

A current network with a critical regression is rolled back to the last good one. What fewer than
four evaluators measured is unattested there too. During a cool-down
after that, a candidate that would be promoted is rejected, so that the loop continues with the good
network."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Configs, Context, Decider, Struct, changed, noted, replace
from ringrift.deciders.loop import split
from ringrift.deciders.loop.verdict import First, Verdict, counts, plays_as
from ringrift.events import facts as f

Verdicts = Iterator[f.Verdict | f.ModelRolledBack]


class Candidate(Struct, frozen=True, kw_only=True):
    """A network on trial: its results against the current one, or against a baseline if there is
    none."""

    generation: int
    adopted: bool = False
    """from another config"""
    results: split.ByNode = {}
    split: int = 0
    """tickets of the newest round, if they are for several nodes"""
    failed: tuple[str, ...] = ()
    """nodes on which its tickets failed"""
    named: tuple[str, ...] = ()
    """nodes whose results are known to be left out"""


class Promotion(Struct, frozen=True, kw_only=True):
    """The current network of a config, and the candidates without a verdict."""

    current: str | None = None
    candidates: dict[str, Candidate] = {}
    rolled_back_at: datetime | None = None
    left_out: tuple[str, ...] = ()
    """tickets that were retracted before they were scored"""
    tickets: tuple[str, ...] = ()
    """counted"""

    def first(self, model: str | None) -> First:
        """The baseline by which a candidate is judged if there is no current network."""
        candidate = self.candidates.get(model or "")
        baseline: First = "heuristic" if candidate and candidate.adopted else "random"
        return "" if self.current else baseline

    def purpose(self, model: str | None) -> f.Purpose:
        """The matches by which a candidate is judged."""
        return self.first(model) or "promotion"


DECIDER = Decider("promotion", Configs[Promotion])


@DECIDER.evolves
def registered(item: Promotion, fact: f.ModelRegistered | f.ModelAdopted) -> Promotion:
    adopted = isinstance(fact, f.ModelAdopted) and not fact.generation
    new = {fact.model: Candidate(generation=fact.generation, adopted=adopted)}
    return replace(item, candidates=item.candidates | new)


@DECIDER.evolves
def asked(item: Promotion, fact: f.EvaluationRequested) -> Promotion:
    model = fact.candidate.model or ""
    if fact.purpose != item.purpose(model):
        return item
    return replace(item, candidates=changed(item.candidates, model, split=fact.split))


@DECIDER.evolves
def scored(item: Promotion, fact: f.Score, context: Context) -> Promotion:
    candidate = _judged_by(item, fact)
    if candidate is None or fact.ticket in item.tickets or not counts(fact, context):
        return item
    results = split.after(candidate.results, fact)
    candidates = changed(item.candidates, fact.candidate_model or "", results=results)
    return replace(item, candidates=candidates, tickets=noted(item.tickets, fact.ticket))


@DECIDER.evolves
def failed(item: Promotion, fact: f.EvaluationFailed) -> Promotion:
    candidate = _judged_by(item, fact)
    if candidate is None or fact.node in candidate.failed:
        return item
    nodes = (*candidate.failed, fact.node)
    return replace(
        item, candidates=changed(item.candidates, fact.candidate_model or "", failed=nodes)
    )


@DECIDER.evolves
def contradicted(item: Promotion, fact: f.EvaluatorContradicted) -> Promotion:
    named = item.candidates[fact.model].named if fact.model in item.candidates else ()
    candidates = changed(item.candidates, fact.model, named=(*named, fact.node))
    return replace(item, candidates=candidates)


@DECIDER.evolves
def retracted(item: Promotion, fact: f.GamesRetracted) -> Promotion:
    # candidates with retracted results start again
    fresh = {
        name: replace(candidate, results={}, failed=(), named=())
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
            candidates[name] = Candidate(generation=one.generation, adopted=one.adopted)
    rolled_back = isinstance(fact, f.ModelRolledBack)
    at = context.time if rolled_back else item.rolled_back_at
    return replace(item, current=fact.current, candidates=candidates, rolled_back_at=at)


@DECIDER.decides
def on_result(item: Promotion, fact: f.Score | f.EvaluationFailed, context: Context) -> Verdicts:
    """The verdict on the candidate, once there is one; if its evaluation failed, on more nodes than
    may lie, a rejection."""
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
def on_lie(item: Promotion, fact: f.Score, context: Context) -> Iterator[f.EvaluatorContradicted]:
    """Every node whose results are left out of the trial is named once."""
    candidate = _judged_by(item, fact)
    if candidate is None or fact.candidate_model is None or not counts(fact, context):
        return
    results = candidate.results
    for node, others in split.contradicted(results, candidate.split).items():
        if node not in candidate.named:
            yield f.EvaluatorContradicted(
                **context.basis(fact.config),
                model=fact.candidate_model,
                node=node,
                starts=results[node].starts,
                score=results[node].score,
                others={name: results[name].score for name in others},
            )


@DECIDER.decides
def on_regression(item: Promotion, fact: f.RegressionDetected, context: Context) -> Verdicts:
    """A critical regression of the current network is rolled back; with `trust.required` only one
    that no evaluator alone could invent."""
    attested = fact.liars_max > 0
    if context.settings.trust.required and not attested:
        return
    if fact.severity == "critical" and fact.model == item.current:
        below, error = f"{fact.elo_drop:.0f} Elo below {fact.best[:12]}", fact.standard_error
        without = (
            f"so without any {fact.liars_max} of the evaluators" if attested else split.UNATTESTED
        )
        yield f.ModelRolledBack(
            **context.basis(fact.config),
            model=fact.model,
            current=fact.rollback_to,
            elo_drop=fact.elo_drop,
            why=f"critical regression: {below}, error {error:.0f}; {without}",
        )


def _judged_by(item: Promotion, fact: f.Score | f.EvaluationFailed) -> Candidate | None:
    """The candidate that a result counts for: one against the current network, or against its
    baseline if there is none."""
    if fact.purpose != item.purpose(fact.candidate_model) or fact.ticket in item.left_out:
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
        rejects = len(candidate.failed) > split.liars_max(candidate.split)
        return "reject" if rejects else "open", None, f"evaluation failed: {fact.reason}"
    first, settings = item.first(fact.candidate_model), context.settings
    verdict, evidence, why = split.combined(
        candidate.results, candidate.split, settings.promotion, first=first, config=fact.config
    )
    if verdict == "promote" and settings.trust.required and not candidate.split:
        return "reject", evidence, f"{why}, and the setting trust.required forbids that"
    # a rejection rather than a delay, so that the loop does not wait for the verdict
    wait = _cooldown(item, context)
    if verdict == "promote" and wait > 0.0:
        verdict = "reject"
        why = f"{why}, but nothing is promoted for another {wait:.0f} s after the rollback"
    return verdict, evidence, why
