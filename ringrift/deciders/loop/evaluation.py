"""What do we measure? Every new network: against the current one until the test has decided, and
once against each baseline.

The match against the current network is asked for in rounds, so that a clear result ends early. On
a fleet of registered nodes a round of long games is in several tickets, which are played side by
side. A candidate without a rival is measured against the baselines only; one whose rival is no
longer current begins again against the one that is.

A candidate whose results were retracted begins again. A network that learned from retracted games
is tainted, and measured against the baselines once more for each retraction: what it is worth is
then known from games after it. So is a current network that has not been measured against them for
30 days.

When too many matches wait, training is held back until most are played.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.fleet.durations import Spread
from ringrift.deciders.kit import Classic, Context, seed_from
from ringrift.deciders.loop.promotion import Starts, judge, merged
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    MEASURING,
    EvaluationBackpressureEngaged,
    EvaluationBackpressureReleased,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    GamesRetracted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    ModelTainted,
    NodeAssigned,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    Purpose,
    Seat,
    SettingsChanged,
    TickRecorded,
)
from ringrift.events.participants import seat

RANDOM = seat("random")
HEURISTIC = seat("heuristic")
GENERATIONS_MAX = 16
"""networks that were current, remembered with their generation: only one that is current again is
asked for"""
BASELINES: tuple[tuple[Purpose, Seat], ...] = (("random", RANDOM), ("heuristic", HEURISTIC))
ROUND_TICKETS_MAX = 4
"""of a round on a fleet: a small match leaves an accelerator idle, and each ticket is one of those
that may wait"""


class Trial(Struct, frozen=True, kw_only=True):
    """A candidate: its generation, rival, the rounds asked for and what they brought."""

    generation: int
    rival: str | None = None
    rounds: int = 0
    answered: int = 0
    starts: Starts = ()
    games: int = 0
    baselines: bool = False
    """the matches against the baselines have been asked for"""


class Retest(Struct, frozen=True, kw_only=True):
    """A network that was tainted, or measured too long ago: how often, and how often it has been
    measured again for that."""

    generation: int
    due: int = 0
    done: int = 0


class ConfigEvaluation(Struct, frozen=True, kw_only=True):
    """One config: the current network and the candidates on trial, by digest."""

    current: str | None = None
    trials: dict[str, Trial] = {}
    retests: dict[str, Retest] = {}
    left_out: tuple[str, ...] = ()
    """retracted tickets whose scores had not come"""
    seconds: Spread = Spread()
    """of a node for a game of a match"""
    generations: dict[str, int] = {}
    """of the networks that were current, the newest `GENERATIONS_MAX`"""
    measured_at: datetime | None = None
    """when the current network was measured against a baseline last, or became current"""


class EvaluationState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses and every config that has a network."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    configs: dict[str, ConfigEvaluation] = {}
    waiting: int = 0
    """matches asked for and not played"""
    held_back: bool = False
    """training is, because too many wait"""
    evaluators: dict[str, float] = {}
    """registered nodes that evaluate, with the seconds that a ticket on them should take"""


def network_seat(model: str, simulations: int) -> Seat:
    """The seat of a network that plays by Gumbel search."""
    return seat("gumbel", model=model, simulations=simulations)


def evolve(state: EvaluationState, event: Fact, meta: Context) -> EvaluationState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused() | PipelineResumed():
            return replace(state, pauses=state.pauses.after(event))
        case ModelRegistered():
            item = _of(state, event.config)
            trial = Trial(generation=event.generation, rival=item.current)
            return _with(
                state, event.config, replace(item, trials={**item.trials, event.model: trial})
            )
        case EvaluationRequested():
            return _requested(replace(state, waiting=state.waiting + 1), event)
        case EvaluationScored():
            return _scored(replace(state, waiting=max(0, state.waiting - 1)), event, meta.time)
        case GamesRetracted():
            item = _of(state, event.config)
            trials = {
                name: _emptied(trial) if name in event.candidates else trial
                for name, trial in item.trials.items()
            }
            return _with(
                state,
                event.config,
                replace(item, trials=trials, left_out=(*item.left_out, *event.unscored_tickets)),
            )
        case ModelTainted():
            item = _of(state, event.config)
            known = item.retests.get(event.model, Retest(generation=event.generation))
            retests = {**item.retests, event.model: replace(known, due=known.due + 1)}
            return _with(state, event.config, replace(item, retests=retests))
        case EvaluationFailed():
            return replace(state, waiting=max(0, state.waiting - 1))
        case EvaluationBackpressureEngaged() | EvaluationBackpressureReleased():
            return replace(state, held_back=isinstance(event, EvaluationBackpressureEngaged))
        case ModelPromoted():
            state = _judged(state, event.config, event.model, event.model)
            item = _of(state, event.config)
            generations = dict(
                [*item.generations.items(), (event.model, event.generation)][-GENERATIONS_MAX:]
            )
            return _with(
                state, event.config, replace(item, generations=generations, measured_at=meta.time)
            )
        case PromotionRejected():
            return _judged(state, event.config, event.model, event.current)
        case ModelRolledBack():
            state = _judged(state, event.config, event.model, event.current)
            return _with(
                state, event.config, replace(_of(state, event.config), measured_at=meta.time)
            )
        case NodeAssigned():
            others = {
                name: seconds for name, seconds in state.evaluators.items() if name != event.node
            }
            own = {event.node: event.ticket_seconds} if "evaluation" in event.kinds else {}
            return replace(state, evaluators=others | own)
        case TickRecorded():
            return _ticked(state, meta.time)
    return state


def decide(state: EvaluationState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Ask for every match that is due, and hold training back while too many wait."""
    requests = [
        request
        for config, item in state.configs.items()
        if not state.pauses.stops(config, "evaluation")
        for model, trial in item.trials.items()
        for request in _due(state, config, model, trial)
    ]
    requests += [
        request
        for config, item in state.configs.items()
        if not state.pauses.stops(config, "evaluation")
        for model, retest in item.retests.items()
        for request in _again(state, config, model, retest)
    ]
    return (*requests, *_backpressure(state, state.waiting + len(requests)))


def _backpressure(state: EvaluationState, waiting: int) -> tuple[Fact, ...]:
    settings = state.settings.evaluation
    if not state.held_back and waiting >= settings.waiting_max:
        return (EvaluationBackpressureEngaged(waiting=waiting, settings_version=state.version),)
    if state.held_back and waiting <= settings.waiting_resume:
        return (EvaluationBackpressureReleased(waiting=waiting, settings_version=state.version),)
    return ()


def plays_as(participant: str, model: str | None) -> bool:
    """Whether this participant is that network."""
    return model is not None and participant.startswith(f"{model[:12]}:")


def _due(
    state: EvaluationState, config: str, model: str, trial: Trial
) -> list[EvaluationRequested]:
    settings = state.settings.evaluation
    due: list[tuple[Purpose, Seat, int, int]] = []
    if trial.rival and trial.rounds == trial.answered and _open(state, config, trial):
        rival = network_seat(trial.rival, settings.simulations)
        due += [
            ("promotion", rival, trial.rounds + number, pairs)
            for number, pairs in enumerate(round_pairs(state, config))
        ]
    if not trial.baselines:
        due += [
            (purpose, opponent, trial.rounds, settings.baseline_starts)
            for purpose, opponent in BASELINES
        ]
    return [
        EvaluationRequested(
            config=config,
            generation=trial.generation,
            candidate=network_seat(model, settings.simulations),
            opponent=opponent,
            purpose=purpose,
            round=number if purpose == "promotion" else 0,
            starts=pairs,
            seed=seed_from(state.settings.seed, config, "evaluation", model, purpose, number),
            settings_version=state.version,
        )
        for purpose, opponent, number, pairs in due
    ]


def round_pairs(state: EvaluationState, config: str) -> tuple[int, ...]:
    """Starts of each ticket of a round: all in one or, on a fleet, in as few as most nodes finish
    in the time that the shortest-lived should take for one. Any node may take any ticket, so they
    fit all."""
    pairs, game = state.settings.evaluation.starts_per_ticket, _of(state, config).seconds
    if not state.evaluators or not game.count:
        return (pairs,)
    seconds = pairs * int(config[-2]) * game.careful
    tickets = min(
        max(math.ceil(seconds / min(state.evaluators.values())), 1), ROUND_TICKETS_MAX, pairs
    )
    return tuple(
        pairs * (number + 1) // tickets - pairs * number // tickets for number in range(tickets)
    )


def _again(
    state: EvaluationState, config: str, model: str, retest: Retest
) -> list[EvaluationRequested]:
    """The matches against the baselines that a network plays once more."""
    if retest.done >= retest.due:
        return []
    settings = state.settings.evaluation
    return [
        EvaluationRequested(
            config=config,
            generation=retest.generation,
            candidate=network_seat(model, settings.simulations),
            opponent=opponent,
            purpose=purpose,
            round=retest.due,
            starts=settings.baseline_starts,
            seed=seed_from(
                state.settings.seed, config, "evaluation", model, purpose, "tainted", retest.due
            ),
            settings_version=state.version,
        )
        for purpose, opponent in BASELINES
    ]


def _open(state: EvaluationState, config: str, trial: Trial) -> bool:
    """Whether the sequential test wants another round."""
    if not trial.starts:
        return True
    return (
        judge(trial.starts, trial.games, state.settings.promotion, first=False, config=config)[0]
        == "open"
    )


def _requested(state: EvaluationState, event: EvaluationRequested) -> EvaluationState:
    item = _of(state, event.config)
    if (
        event.round
        and event.purpose in ("random", "heuristic")
        and (retest := item.retests.get(event.candidate.model or ""))
    ):
        retests = {**item.retests, event.candidate.model or "": replace(retest, done=event.round)}
        return _with(state, event.config, replace(item, retests=retests))
    trial = item.trials.get(event.candidate.model or "")
    if trial is None or event.purpose in MEASURING:
        return state
    promotes = event.purpose == "promotion"
    trial = replace(
        trial, rounds=trial.rounds + promotes, baselines=trial.baselines or not promotes
    )
    return _with(
        state,
        event.config,
        replace(item, trials={**item.trials, event.candidate.model or "": trial}),
    )


def _scored(state: EvaluationState, event: EvaluationScored, now: datetime) -> EvaluationState:
    item = _of(state, event.config)
    if event.games:
        item = replace(item, seconds=item.seconds.after(event.play_seconds / event.games))
        state = _with(state, event.config, item)
    if (
        event.purpose in ("random", "heuristic")
        and event.candidate_model
        and event.candidate_model == item.current
    ):
        return _with(state, event.config, replace(item, measured_at=now))
    trial = item.trials.get(event.candidate_model or "")
    if trial is None or event.purpose != "promotion" or not plays_as(event.opponent, trial.rival):
        return state
    trial = replace(trial, answered=trial.answered + 1)
    if event.ticket not in item.left_out:
        trial = replace(
            trial, starts=merged(trial.starts, event.scores), games=trial.games + event.games
        )
    return _with(
        state,
        event.config,
        replace(item, trials={**item.trials, event.candidate_model or "": trial}),
    )


def _ticked(state: EvaluationState, now: datetime) -> EvaluationState:
    """The current networks that were measured too long ago are due once more."""
    for config, item in state.configs.items():
        if item.current is None or item.measured_at is None:
            continue
        if now - item.measured_at > timedelta(days=state.settings.evaluation.stale_days):
            known = item.retests.get(
                item.current, Retest(generation=item.generations.get(item.current, 0))
            )
            retests = {**item.retests, item.current: replace(known, due=known.due + 1)}
            state = _with(state, config, replace(item, retests=retests, measured_at=now))
    return state


def _judged(
    state: EvaluationState, config: str, model: str, current: str | None
) -> EvaluationState:
    item = _of(state, config)
    trials = {
        name: _against(trial, current) for name, trial in item.trials.items() if name != model
    }
    return _with(state, config, replace(item, current=current, trials=trials))


def _against(trial: Trial, rival: str | None) -> Trial:
    """The trial, begun again if this is another rival."""
    return (
        trial
        if trial.rival == rival
        else Trial(generation=trial.generation, rival=rival, baselines=trial.baselines)
    )


def _emptied(trial: Trial) -> Trial:
    """The trial without its results: the match goes on from nothing, the baselines are asked for
    again."""
    return replace(trial, starts=(), games=0, baselines=False)


def _of(state: EvaluationState, config: str) -> ConfigEvaluation:
    return state.configs.get(config, ConfigEvaluation())


def _with(state: EvaluationState, config: str, item: ConfigEvaluation) -> EvaluationState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="evaluation",
    state=EvaluationState,
    reads=(
        SettingsChanged,
        PipelinePaused,
        PipelineResumed,
        ModelRegistered,
        EvaluationScored,
        EvaluationFailed,
        ModelPromoted,
        PromotionRejected,
        ModelRolledBack,
        GamesRetracted,
        ModelTainted,
        NodeAssigned,
        TickRecorded,
    ),
    writes=(EvaluationRequested, EvaluationBackpressureEngaged, EvaluationBackpressureReleased),
    initial=EvaluationState,
    evolve=evolve,
    decide=decide,
)
