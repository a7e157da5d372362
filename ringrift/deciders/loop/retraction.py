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
def requested(item: Retraction, fact: f.TrainingRequested, context: Context) -> Retraction:
    spans = [item.shards[digest] for digest in fact.shards if digest in item.shards]
    if not spans:
        return item
    first, last = min(one.first_seq for one in spans), max(one.last_seq for one in spans)
    trainings = {**item.trainings, context.position: Span(first_seq=first, last_seq=last)}
    return replace(item, trainings=dict(list(trainings.items())[-TRAININGS_MAX:]))


@DECIDER.evolves
def registered(
    item: Retraction, fact: f.ModelRegistered | f.ModelAdopted, context: Context
) -> Retraction:
    span = item.trainings.get(context.cause or "")
    new = Trained(generation=fact.generation, parents=fact.parents, span=span)
    return replace(item, models={**item.models, fact.model: new})


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
    bad = {one.model for one in found}
    for config, other in state.configs.items():
        if config != fact.config and bad & other.models.keys():
            yield from _taint(config, other.models, direct, context.cause, bad)


@DECIDER.decides
def on_network(item: Retraction, fact: f.ModelRegistered) -> Tainted:
    """Taint a new network that was in training during a retraction, or whose parent is tainted."""
    models = item.models
    span = models[fact.model].span
    if span and span.retraction:
        yield from _taint(fact.config, models, {fact.model}, span.retraction)
        return
    parents = (models[parent].tainted for parent in fact.parents if parent in models)
    inherited = next((retraction for retraction in parents if retraction), None)
    if inherited:
        yield from _taint(fact.config, models, set(), inherited)


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
        if name in bad and known.tainted != retraction:
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
