"""Do the parts of a config's loop wait for each other? If they wait in a circle, none of them will
ever move.

    self-play waits for training     once the training of its generation was requested
    self-play waits for evaluation   while a network is on trial
    training waits for self-play     after its last attempt failed, until the next generation
    evaluation waits for training    while there is no network to measure

A request that workers have not finished ends the waiting, so circles are searched for only while
there is none. It must have lasted for some recorded time, since shards are cut and networks
published without a ticket. Breaking it plays the same generation on (requirement G14.20)."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted, replace, tick_seconds
from ringrift.events import facts as f

KINDS = ("selfplay", "training", "evaluation")


class Loop(Struct, frozen=True, kw_only=True):
    """Unfinished requests of a config, the progress of its loop, and recorded time without
    requests."""

    games: int = 0
    """requested for generations and not played; spare games do not count"""
    trainings: int = 0
    matches: int = 0
    generation: int = 0
    asked: bool = False
    """the training of the generation in play was requested"""
    given_up: bool = False
    """that training failed"""
    trials: int = 0
    suspended: bool = False
    """it is retried by `ringrift.deciders.feedback.suspension`"""
    idle_seconds: float = 0.0
    tickets: tuple[str, ...] = ()
    """with an outcome"""

    @property
    def busy(self) -> bool:
        """Whether a request is unfinished."""
        return bool(self.games or self.trainings or self.matches)


class Loops(Configs[Loop], frozen=True, kw_only=True):
    """Every config that has played, and the newest tick."""

    ticked: datetime | None = None


DECIDER = Decider("waiting", Loops)
DECIDER.keeps(f.SelfplaySuspended, suspended=lambda fact: True)
DECIDER.keeps(f.SelfplayRestored, suspended=lambda fact: False)


def _moved(item: Loop, **changes: int) -> Loop:
    """The item with these changes, and counts at least 0; the loop is not idle."""
    for name in ("games", "trainings", "matches", "trials"):
        changes[name] = max(0, changes.get(name, getattr(item, name)))
    return replace(item, idle_seconds=0.0, **changes)


def _answered(item: Loop, ticket: str, **changes: int) -> Loop:
    """`_moved`, once for each ticket."""
    if ticket in item.tickets:
        return item
    return replace(_moved(item, **changes), tickets=noted(item.tickets, ticket))


@DECIDER.evolves
def paused(state: Loops, fact: f.PipelinePaused | f.PipelineResumed) -> Loops:
    idle = {name: replace(item, idle_seconds=0.0) for name, item in state.configs.items()}
    return replace(state, configs=idle)


@DECIDER.evolves
def ticked(state: Loops, fact: f.TickRecorded, context: Context) -> Loops:
    passed, configs = tick_seconds(state.ticked, context.time), {}
    for name, item in state.configs.items():
        idle = 0.0 if item.busy else item.idle_seconds + passed
        configs[name] = replace(item, idle_seconds=idle)
    return replace(state, ticked=context.time, configs=configs)


@DECIDER.evolves
def planned(item: Loop, fact: f.SelfplayPlanned) -> Loop:
    if fact.spare:
        return item
    games = item.games + fact.games
    return _moved(item, games=games, generation=fact.generation, asked=False, given_up=False)


@DECIDER.evolves
def played(item: Loop, fact: f.SelfplayFinished) -> Loop:
    return (
        item
        if fact.spare
        else _answered(item, fact.ticket, games=item.games - fact.games - fact.lost)
    )


@DECIDER.evolves
def exported(item: Loop, fact: f.ShardExported) -> Loop:
    # once the training was requested, more shards do not move the loop
    return item if item.asked else _moved(item)


@DECIDER.evolves
def requested(item: Loop, fact: f.TrainingRequested) -> Loop:
    return _moved(item, trainings=item.trainings + 1, asked=True, given_up=False)


@DECIDER.evolves
def trained(item: Loop, fact: f.TrainingFinished) -> Loop:
    return _answered(item, fact.ticket, trainings=item.trainings - 1)


@DECIDER.evolves
def failed(item: Loop, fact: f.TrainingFailed | f.TrainingTimedOut) -> Loop:
    return _answered(item, fact.ticket, trainings=item.trainings - 1, given_up=True)


@DECIDER.evolves
def registered(item: Loop, fact: f.ModelRegistered | f.ModelAdopted) -> Loop:
    return _moved(item, trials=item.trials + 1)


@DECIDER.evolves
def match_requested(item: Loop, fact: f.EvaluationRequested) -> Loop:
    # the loop waits for no match that only measures
    return item if fact.purpose in f.MEASURING else _moved(item, matches=item.matches + 1)


@DECIDER.evolves
def measured(item: Loop, fact: f.EvaluationEnded) -> Loop:
    if fact.purpose in f.MEASURING:
        return item
    return _answered(item, fact.ticket, matches=item.matches - 1)


@DECIDER.evolves
def judged(item: Loop, fact: f.Verdict) -> Loop:
    # a network that a person imported or promoted is of an earlier generation
    generation = max(item.generation, fact.generation)
    return _moved(item, trials=item.trials - 1, generation=generation)


@DECIDER.evolves
def stirred(item: Loop, fact: f.TrainingBlocked | f.ModelRolledBack | f.DeadlockBroken) -> Loop:
    return _moved(item)


@DECIDER.decides
def unlock(state: Loops, fact: f.TickRecorded, context: Context) -> Iterator[f.DeadlockBroken]:
    """Each minute, break the circles that have lasted for too long."""
    settings = context.settings
    for config, item in state.configs.items():
        idle_seconds = item.idle_seconds
        finished = settings.generations and item.generation >= settings.generations
        if (
            idle_seconds < settings.scheduling.deadlock_seconds
            or config not in settings.configs
            or item.suspended
            or finished
            or any(context.pauses.stops(config, kind) for kind in KINDS)
        ):
            continue
        if cycle := circle(waits_of(item)):
            yield f.DeadlockBroken(
                **context.basis(config), cycle=cycle, waited_seconds=idle_seconds
            )


def waits_of(item: Loop) -> dict[str, str]:
    """What each part of an idle loop waits for."""
    waits = {"evaluation": "training"}
    if item.trials:
        waits |= {"self-play": "evaluation", "evaluation": "verdict", "verdict": "evaluation"}
    elif item.asked:
        waits["self-play"] = "training"
    if item.given_up:
        waits["training"] = "self-play"
    return waits


def circle(waits: Mapping[str, str]) -> tuple[str, ...]:
    """The first circle, from its alphabetically first member on; empty if there is none."""
    for start in sorted(waits):
        seen = [start]
        while (following := waits.get(seen[-1])) is not None:
            if following == start:
                return tuple(seen)
            if following in seen:
                break
            seen.append(following)
    return ()
