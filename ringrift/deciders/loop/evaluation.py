"""What do we measure? Every new network: against the current one until the test has decided, and
once against each baseline.

The match against the current network is requested in rounds, so that a clear result ends early. A
round of long games is split into several tickets, which are played in parallel, and with four
evaluators or more every round is, so that none of them can decide it (`split`); so is the match by
which a first network is judged. The first networks of a config play the baselines for a limited
time: what they have learned is little, and soon replaced. A candidate without a rival is measured
against the baselines only, one of another config against the heuristic. One whose rival is no
longer current starts again against the one that is, as does one whose results were retracted.

A network that learned from retracted games plays the baselines once more for each retraction, so
that its strength is known from later games. So does a current network that has not played them for
30 days. Matches against a baseline that failed are requested again (`repeats`).

When too many matches wait, training is held back until most are played; those of tournaments and
those that people ask for do not count."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from ringrift.deciders import kit
from ringrift.deciders.feedback.experiments import ARMS, match_due
from ringrift.deciders.kit import STEERING, Context, Decider, replace, seed_from
from ringrift.deciders.loop import split, tournament
from ringrift.deciders.loop.repeats import BASELINES, FAILED_MATCHES, Retest
from ringrift.deciders.loop.tournament import TOURNAMENT
from ringrift.deciders.loop.trials import (
    GENERATIONS_MAX,
    Evaluation,
    Evaluations,
    Trial,
    baseline_starts,
    round_starts,
)
from ringrift.deciders.loop.verdict import ADOPTED_STARTS, counts, plays_as
from ringrift.events import facts as f
from ringrift.events.participants import kind_of, network_seat

DECIDER = Decider(
    "evaluation",
    Evaluations,
    parts=(FAILED_MATCHES, TOURNAMENT, ARMS),
    wakes=STEERING,
    quiet=(f.SelfplayFinished,),  # no match is due after games
)


@DECIDER.decides
def due(state: Evaluations, context: Context) -> Iterator[f.EvaluationRequested | f.Backpressure]:
    """Request every match that is due, and hold trainings back while too many wait."""
    version, settings = context.settings_version, context.settings.evaluation
    paused = {name for name in state.configs if context.pauses.stops(name, "evaluation")}
    items = {name: item for name, item in state.configs.items() if name not in paused}
    requests = [one for name in items for one in _trials(state, name, context)]
    for name, item in items.items():
        requests += (*_retests(name, item, context), *_repeats(name, item, context))
    yield from requests
    pairs = (match_due(name, item.arms, context) for name, item in items.items())
    yield from (match for match in pairs if match)
    waiting = state.waiting + len(requests)
    if not state.held_back and waiting >= settings.waiting_max:
        yield f.EvaluationBackpressureEngaged(waiting=waiting, settings_version=version)
    if state.held_back and waiting <= settings.waiting_resume:
        yield f.EvaluationBackpressureReleased(waiting=waiting, settings_version=version)


@DECIDER.decides
def measure(
    state: Evaluations, fact: f.TickRecorded, context: Context
) -> Iterator[f.EvaluationRequested]:
    """Request the matches of the tournament that are due."""
    for name, item in state.configs.items():
        if item.current is None or context.pauses.stops(name, "evaluation"):
            continue
        before = [model for model in item.generations if model != item.current]
        newest = [item.current, *before[: -tournament.RECENT - 1 : -1]]
        known = item.architectures
        models = {model: known[model] for model in newest if model in known}
        seconds, generations = item.seconds.mean, item.generations
        due = tournament.match(item.tournament, name, models, generations, seconds, context)
        if due:
            yield due


def _trials(state: Evaluations, config: str, context: Context) -> Iterator[f.EvaluationRequested]:
    """The next round of every candidate, and its matches against the baselines."""
    settings, tickets = context.settings, state.tickets(context.settings)
    for model, trial in state.configs[config].trials.items():
        candidate = _Candidate(config, trial.generation, model, state.configs[config], context)
        baseline = baseline_starts(state.configs[config], config, trial.generation, settings)
        if trial.first == "heuristic":
            baseline = ADOPTED_STARTS
        rounds = bool(trial.rival or tickets or trial.rounds)
        if rounds and trial.is_due(config, settings, context.time):
            rival = candidate.seat_of(trial.rival) if trial.rival else BASELINES[trial.purpose]
            wanted = None if trial.rival else baseline
            sizes = round_starts(state, config, settings, wanted, split=tickets)
            for number, starts in enumerate(sizes, trial.rounds):
                yield candidate.match(trial.purpose, rival, starts, number, number, split=tickets)
        if not trial.baselines:
            left_out = {trial.purpose} if rounds else set[f.Purpose]()
            if trial.first == "heuristic":
                left_out.add("random")
            yield from candidate.baselines(baseline, 0, trial.rounds, left_out=left_out)


def _retests(config: str, item: Evaluation, context: Context) -> Iterator[f.EvaluationRequested]:
    """The matches against the baselines that networks play once more."""
    for model, retest in item.retests.items():
        if retest.done < retest.due:
            candidate = _Candidate(config, retest.generation, model, item, context)
            starts = context.settings.evaluation.baseline_starts
            yield from candidate.baselines(starts, retest.due, "tainted", retest.due)


def _repeats(config: str, item: Evaluation, context: Context) -> Iterator[f.EvaluationRequested]:
    """The matches against the baselines that failed, and may be tried again."""
    for match, failures in item.failures.due():
        trial = item.trials.get(match.model)
        if trial and trial.split and trial.purpose == match.purpose:
            continue  # the next round replaces it
        candidate = _Candidate(config, match.generation, match.model, item, context)
        starts = baseline_starts(item, config, match.generation, context.settings)
        pairing = match.purpose, BASELINES[match.purpose], starts, match.round
        yield candidate.match(*pairing, "failed", match.round, failures)


class _Candidate(NamedTuple):
    config: str
    generation: int
    model: str
    item: Evaluation
    context: Context

    def seat_of(self, model: str) -> f.Seat:
        budget, seats = self.context.settings.evaluation.simulations, f.seats_of(self.config)
        kind = kind_of(self.item.architectures.get(model, ""))
        return network_seat(model, budget, kind=kind, seats=seats)

    def baselines(
        self, starts: int, round: int, *seed: object, left_out: Collection[f.Purpose] = ()
    ) -> Iterator[f.EvaluationRequested]:
        for purpose, opponent in BASELINES.items():
            if purpose not in left_out:
                yield self.match(purpose, opponent, starts, round, *seed)

    def match(
        self,
        purpose: f.Purpose,
        opponent: f.Seat,
        starts: int,
        round: int,
        *seed: object,
        split: int = 0,
    ) -> f.EvaluationRequested:
        parts = (self.config, "evaluation", self.model, purpose)
        return f.EvaluationRequested(
            **self.context.basis(self.config),
            generation=self.generation,
            candidate=self.seat_of(self.model),
            opponent=opponent,
            purpose=purpose,
            round=round,
            starts=min(starts, f.ITEMS_MAX),
            seed=seed_from(self.context.settings.seed, *parts, *seed),
            split=split,
        )


@DECIDER.evolves
def registered(item: Evaluation, fact: f.ModelRegistered | f.ModelAdopted) -> Evaluation:
    if fact.model == item.current:
        return item  # registered again, and no candidate
    adopted = isinstance(fact, f.ModelAdopted) and not fact.generation
    trial = Trial(generation=fact.generation, rival=item.current, adopted=adopted)
    new = {fact.model: trial}
    architectures = item.architectures | {fact.model: fact.architecture}
    return replace(item, trials=item.trials | new, architectures=architectures)


@DECIDER.evolves
def requested(item: Evaluation, fact: f.EvaluationRequested) -> Evaluation:
    model = fact.candidate.model or ""
    trial, retest = item.trials.get(model), item.retests.get(model)
    # the first matches are round 0
    if fact.round and fact.purpose in BASELINES and retest and not fact.split:
        return replace(item, retests=item.retests | {model: replace(retest, done=fact.round)})
    if trial is None or fact.purpose in f.MEASURING:
        return item
    if fact.purpose == trial.purpose and (trial.rival or fact.split or trial.rounds):
        trial = trial.asked(fact.split)
    else:
        trial = replace(trial, baselines=True)
    return replace(item, trials=item.trials | {model: trial})


@DECIDER.evolves
def counted(state: Evaluations, fact: f.EvaluationRequested) -> Evaluations:
    return replace(state, waiting=state.waiting + (fact.purpose not in f.MEASURING))


@DECIDER.evolves
def answered(state: Evaluations, fact: f.EvaluationEnded) -> Evaluations:
    item = state.configs.get(fact.config, Evaluation())
    if fact.ticket in item.tickets or fact.purpose in f.MEASURING:
        return state
    return replace(state, waiting=max(0, state.waiting - 1))


@DECIDER.evolves
def played(item: Evaluation, fact: f.SelfplayFinished) -> Evaluation:
    if not fact.games or item.seconds.count:
        return item
    return replace(item, selfplay=item.selfplay.after(fact.play_seconds / fact.games))


@DECIDER.evolves
def ended(item: Evaluation, fact: f.EvaluationEnded) -> Evaluation:
    if fact.ticket in item.tickets:
        return item
    item = replace(item, tickets=kit.noted(item.tickets, fact.ticket))
    if isinstance(fact, f.EvaluationScored) and fact.games and fact.purpose not in f.MEASURING:
        item = replace(item, seconds=item.seconds.after(fact.play_seconds / fact.games))
    trial = item.trials.get(model := fact.candidate_model or "")
    # a failure outside a split trial rejects the candidate
    if trial is None or not trial.split or not isinstance(fact, f.EvaluationFailed):
        return item
    trial = replace(trial, answered=trial.answered + (fact.purpose == trial.purpose))
    return replace(item, trials=item.trials | {model: trial})


@DECIDER.evolves
def scored(item: Evaluation, fact: f.Score, context: Context) -> Evaluation:
    if fact.ticket in item.counted or not counts(fact, context):
        return item
    item = replace(item, counted=kit.noted(item.counted, fact.ticket))
    model = fact.candidate_model or ""
    if fact.purpose in BASELINES and model and model == item.current:
        return replace(item, measured_at=context.time)
    trial = item.trials.get(model)
    if trial is None or fact.purpose != trial.purpose:
        return item
    if trial.rival and not plays_as(fact.opponent, trial.rival):
        return item
    trial = replace(trial, answered=trial.answered + 1)
    if fact.ticket not in item.left_out:
        trial = replace(trial, results=split.after(trial.results, fact))
    return replace(item, trials=item.trials | {model: trial})


@DECIDER.evolves
def refuted(item: Evaluation, fact: f.EvaluationRefuted) -> Evaluation:
    trial = item.trials.get(model := fact.candidate_model or "")
    if trial is None or fact.ticket in item.counted:
        return item
    # the match is played again
    judges = fact.purpose == trial.purpose and trial.rounds > 0
    baselines = trial.baselines and (judges or fact.purpose not in BASELINES)
    again = replace(trial, answered=trial.answered + judges, baselines=baselines)
    trials = item.trials | {model: again}
    return replace(item, trials=trials, counted=kit.noted(item.counted, fact.ticket))


@DECIDER.evolves
def retracted(item: Evaluation, fact: f.GamesRetracted) -> Evaluation:
    # the matches continue without the results so far, and the baselines are played again
    emptied = {
        name: replace(trial, results={}, baselines=False)
        for name, trial in item.trials.items()
        if name in fact.candidates
    }
    left_out = (*item.left_out, *fact.unscored_tickets)
    return replace(item, trials=item.trials | emptied, left_out=left_out)


@DECIDER.evolves
def tainted(item: Evaluation, fact: f.ModelTainted) -> Evaluation:
    return _retested(item, fact.model, fact.generation)


@DECIDER.evolves
def judged(item: Evaluation, fact: f.Verdict | f.ModelRolledBack, context: Context) -> Evaluation:
    decided = (fact.model, fact.current)
    trials = {name: trial for name, trial in item.trials.items() if name not in decided}
    for name, old in trials.items():
        if old.rival != fact.current:  # against the new rival it starts again
            fresh = Trial(generation=old.generation, rival=fact.current, adopted=old.adopted)
            trials[name] = replace(fresh, baselines=old.baselines)
    at = item.measured_at if isinstance(fact, f.PromotionRejected) else context.time
    return replace(item, current=fact.current, trials=trials, measured_at=at)


@DECIDER.evolves
def promoted(item: Evaluation, fact: f.ModelPromoted) -> Evaluation:
    newest = [*item.generations.items(), (fact.model, fact.generation)][-GENERATIONS_MAX:]
    return replace(item, generations=dict(newest))


@DECIDER.evolves
def pressed(state: Evaluations, fact: f.Backpressure) -> Evaluations:
    return replace(state, held_back=isinstance(fact, f.EvaluationBackpressureEngaged))


@DECIDER.evolves
def assigned(state: Evaluations, fact: f.NodeAssigned) -> Evaluations:
    evaluators = {name: n for name, n in state.evaluators.items() if name != fact.node}
    if "evaluation" in fact.kinds:
        evaluators[fact.node] = fact.ticket_seconds
    state = replace(state, evaluators=evaluators)
    return state.noted(fact.node, assigned="evaluation" in fact.kinds)


@DECIDER.evolves
def present(state: Evaluations, fact: f.NodePresenceChanged) -> Evaluations:
    return state.noted(fact.node, present=fact.present)


@DECIDER.evolves
def described(state: Evaluations, fact: f.NodeDescribed) -> Evaluations:
    return state.noted(fact.node, described="evaluation" in fact.kinds)


@DECIDER.evolves
def accused(state: Evaluations, fact: f.NodeQuarantined | f.NodeReleased) -> Evaluations:
    return state.noted(fact.node, quarantined=isinstance(fact, f.NodeQuarantined))


@DECIDER.evolves
def ticked(state: Evaluations, fact: f.TickRecorded, context: Context) -> Evaluations:
    # current networks that played the baselines too long ago play them again
    stale, stale_seconds = {}, context.settings.evaluation.stale_days * 86_400.0
    for config, item in state.configs.items():
        age = (context.time - item.measured_at).total_seconds() if item.measured_at else 0.0
        if item.current and age > stale_seconds:
            again = _retested(item, item.current, item.generations.get(item.current, 0))
            stale[config] = replace(again, measured_at=context.time)
    return replace(state, configs=state.configs | stale) if stale else state


def _retested(item: Evaluation, model: str, generation: int) -> Evaluation:
    known = item.retests.get(model, Retest(generation=generation))
    return replace(item, retests=item.retests | {model: replace(known, due=known.due + 1)})
