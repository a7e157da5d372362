"""Which networks learned from retracted games? Those trained on a shard that was recreated without
these games, and those of other configs that adopted one of them.

A retraction says which games; the exporter finds their shards and supersedes them. Each superseding
shard taints the networks whose training saw its range of games, those that started from the weights
of one, and those that were in training at the time.

A window is a run of shards, so the games that a training saw are kept as one range of `GAMES`
rather than as thousands of digests. If a training left a shard of its range out, its network is
tainted without need, which costs one more evaluation."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from ringrift.deciders.kit import Configs, Context, Decider, Struct, changed, replace
from ringrift.events import facts as f

TRAININGS_MAX = 16
"""trainings of a config that may still produce a network; older ones have failed"""


class HeadSeat(Struct, frozen=True):
    """One seat; `model` is None for a player without a network."""

    model: str | None = None


class GameHead(Struct, frozen=True):
    """The fields of `GameCompleted` by which games are counted and selected."""

    game: str
    config: str
    origin: str
    ticket: str
    node: str
    seats: tuple[HeadSeat, ...]


Played = f.GameCompleted | GameHead


class Span(Struct, frozen=True, kw_only=True):
    """Games that a training saw, as sequences of `GAMES`; position of a retraction of some of them
    during the training."""

    first_seq: int
    last_seq: int
    retraction: str | None = None

    def holds(self, shard: f.ShardExported) -> bool:
        """Whether the shard is in this range."""
        return self.first_seq <= shard.first_seq and shard.last_seq <= self.last_seq


class Trained(Struct, frozen=True, kw_only=True):
    """A network: its games, its parents, and the newest retraction that taints it."""

    generation: int
    parents: tuple[str, ...]
    span: Span | None
    tainted: str | None = None
    plays: bool = True
    """not one that learned from this config's games for others only"""


class Retraction(Struct, frozen=True, kw_only=True):
    """Ranges of the shards of a config by digest, its trainings by position of their request, and
    its networks, oldest first."""

    shards: dict[str, Span] = {}
    trainings: dict[str, Span] = {}
    models: dict[str, Trained] = {}


DECIDER = Decider("retraction", Configs[Retraction])
Tainted = Iterator[f.ModelTainted]


@DECIDER.evolves
def exported(item: Retraction, fact: f.ShardExported, context: Context) -> Retraction:
    shards = {key: span for key, span in item.shards.items() if key != fact.supersedes}
    shards[fact.digest] = Span(first_seq=fact.first_seq, last_seq=fact.last_seq)
    trainings = dict(item.trainings)
    if fact.retracted and fact.supersedes:
        for position, span in item.trainings.items():
            if span.holds(fact):
                trainings[position] = replace(span, retraction=context.cause)
    return replace(item, shards=shards, trainings=trainings)


@DECIDER.evolves
def retired(item: Retraction, fact: f.ShardRetired) -> Retraction:
    shards = {key: span for key, span in item.shards.items() if key != fact.digest}
    return replace(item, shards=shards)


@DECIDER.evolves
def requested(
    state: Configs[Retraction], fact: f.TrainingRequested, context: Context
) -> Configs[Retraction]:
    if fact.within:
        return state  # the request with the ticket names its shards
    configs = dict(state.configs)
    for window in fact.windows:
        item = configs.get(window.config, Retraction())
        spans = [item.shards[digest] for digest in window.shards if digest in item.shards]
        if spans:
            first, last = min(one.first_seq for one in spans), max(one.last_seq for one in spans)
            new = {context.position: Span(first_seq=first, last_seq=last)}
            trainings = dict(list({**item.trainings, **new}.items())[-TRAININGS_MAX:])
            configs[window.config] = replace(item, trainings=trainings)
    return replace(state, configs=configs)


@DECIDER.evolves
def registered(
    item: Retraction, fact: f.ModelRegistered | f.ModelAdopted, context: Context
) -> Retraction:
    known = item.models.get(fact.model)
    span = known.span if known else item.trainings.get(context.cause or "")
    new = Trained(generation=fact.generation, parents=fact.parents, span=span)
    return replace(item, models={**item.models, fact.model: new})


@DECIDER.evolves
def learned(
    state: Configs[Retraction], fact: f.ModelRegistered, context: Context
) -> Configs[Retraction]:
    """Keep which games of other configs it was trained on."""
    configs = dict(state.configs)
    for config, item in state.configs.items():
        span = item.trainings.get(context.cause or "")
        if span and config != fact.config:
            new = Trained(generation=0, parents=fact.parents, span=span, plays=False)
            configs[config] = replace(item, models={**item.models, fact.model: new})
    return replace(state, configs=configs)


@DECIDER.evolves
def tainted(item: Retraction, fact: f.ModelTainted) -> Retraction:
    return replace(item, models=changed(item.models, fact.model, tainted=fact.retraction))


@DECIDER.decides
def on_shard(state: Configs[Retraction], fact: f.ShardExported, context: Context) -> Tainted:
    """Taint the networks that a recreated shard without its retracted games concerns, here and
    where they were adopted."""
    item = state.configs.get(fact.config)
    if item is None or not (fact.retracted and fact.supersedes and context.cause):
        return
    spans = {name: known.span for name, known in item.models.items()}
    direct = {name for name, span in spans.items() if span and span.holds(fact)}
    found = tuple(_taint(fact.config, item.models, direct, context.cause))
    yield from found
    bad = direct.union(one.model for one in found)
    for config, other in state.configs.items():
        if config != fact.config and bad & other.models.keys():
            yield from _taint(config, other.models, direct, context.cause, bad)


@DECIDER.decides
def on_network(state: Configs[Retraction], fact: f.ModelRegistered | f.ModelAdopted) -> Tainted:
    """Taint a new network that was in training during a retraction, or whose parent is tainted, and
    one that is tainted in another config."""
    models = state.configs[fact.config].models
    known = [
        item.models[fact.model] for item in state.configs.values() if fact.model in item.models
    ]
    during = (one.span.retraction for one in known if one.span)
    if retraction := next(filter(None, during), None):
        yield from _taint(fact.config, models, {fact.model}, retraction)
        return
    parents = (models[parent].tainted for parent in fact.parents if parent in models)
    if inherited := next(filter(None, parents), None):
        yield from _taint(fact.config, models, set(), inherited)
    elif elsewhere := next(filter(None, (one.tainted for one in known)), None):
        yield from _taint(fact.config, models, set(), elsewhere, {fact.model})


def covers(retraction: f.GamesRetracted, game: Played, seq: int) -> bool:
    """Whether the game at `seq` of `GAMES` is retracted."""
    model = retraction.model
    return (
        retraction.config == game.config
        and retraction.first_seq <= seq <= retraction.last_seq
        and (retraction.node is None or game.node == retraction.node)
        and (model is None or any(seat.model == model for seat in game.seats))
        and (not retraction.games or game.game in retraction.games)
    )


def retracted(retractions: Iterable[f.GamesRetracted], game: Played, seq: int) -> bool:
    """Whether any of the retractions covers the game."""
    return any(covers(retraction, game, seq) for retraction in retractions)


def _taint(
    config: str,
    models: dict[str, Trained],
    direct: set[str],
    retraction: str,
    others: Collection[str] = (),
) -> Tainted:
    """Taint `direct`, their descendants, and those of networks tainted by the same retraction or
    among `others`, each once."""
    bad = {name for name, known in models.items() if known.tainted == retraction}
    bad |= direct.union(others)
    for name, known in models.items():  # parents come before children
        if bad.intersection(known.parents):
            bad.add(name)
    for name, known in models.items():
        if name in bad and known.plays and known.tainted != retraction:
            yield f.ModelTainted(
                config=config,
                model=name,
                generation=known.generation,
                retraction=retraction,
                inherited=name not in direct,
                clean_ancestor=_clean(models, known.parents, bad),
            )


def _clean(models: dict[str, Trained], parents: Sequence[str], bad: set[str]) -> str | None:
    """The nearest ancestor that no retraction taints."""
    waiting = list(parents)
    while waiting:
        name = waiting.pop(0)
        known = models.get(name)
        if name not in bad and (known is None or known.tainted is None):
            return name
        waiting += known.parents if known else ()
    return None
