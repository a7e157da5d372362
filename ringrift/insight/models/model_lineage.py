"""Lineage: the ancestors and descendants of a network.

Also: which networks learned from the games of a node or of another network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct
from rich.table import Table

from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.insight.describe import completed, plural, short, shorts, table
from ringrift.insight.models.model_history import ModelHistory
from ringrift.insight.why.references import HEURISTIC, GameGroup, GameIndex, HistoryIndex
from ringrift.log.protocol import Log, Progress

SHARDS_SHOWN_MAX = 12


class ShardUse(Struct, frozen=True):
    """One shard that a network was trained on, and the games in it."""

    digest: str
    position: str
    games: int
    samples: int
    groups: tuple[GameGroup, ...]


class LineageMatch(Struct, frozen=True):
    """One match of a network."""

    position: str
    opponent: str
    purpose: str
    games: int
    wins: float


class ModelLineage(Struct, frozen=True, kw_only=True):
    """The origin of a network, and its effects.

    ancestors   networks whose weights it started from, nearest first
    shards      its training data; `games_by_*` count the games in them by who played them
    children    networks that started from its weights
    pupils      networks trained on games that it played
    games       games that it played, by origin
    verdict     `ModelPromoted` or `PromotionRejected` with its position, None before one
    current     whether no other network of the config was promoted since
    elsewhere   its state in the configs that adopted it
    tainted     positions of the retractions of games that it, or an ancestor, learned from"""

    model: str
    config: str
    generation: int
    position: str
    architecture: str
    training: str | None
    ancestors: tuple[str, ...]
    shards: tuple[ShardUse, ...]
    games_by_node: dict[str, int]
    games_by_model: dict[str, int]
    games_by_origin: dict[str, int]
    children: tuple[str, ...]
    pupils: tuple[str, ...]
    plans: tuple[str, ...]
    games: dict[str, int]
    results: tuple[LineageMatch, ...]
    verdict: str | None
    current: bool
    elsewhere: dict[str, str]
    tainted: tuple[str, ...]


class Exposure(Struct, frozen=True):
    """A network that learned from games in question: `games` of its own `of` training games, or
    `inherited` from ancestors through their weights."""

    model: str
    config: str
    generation: int
    games: int
    of: int
    inherited: tuple[str, ...]


class Archive:
    """The indexes that lineages are read from."""

    def __init__(self, models: ModelHistory, games: GameIndex) -> None:
        self.models, self.games, self.history = models, games, models.history

    @classmethod
    async def open(cls, log: Log, progress: Progress | None = None) -> Archive:
        """Index the whole log."""
        history = await HistoryIndex.read(log, progress=progress)
        return cls(ModelHistory(history), await GameIndex.read(log, history, None, progress))

    def model(self, prefix: str) -> str:
        """Return the digest that starts with `prefix`. Raises CommandError."""
        return completed(prefix, self.history.models)

    def player(self, name: str) -> str:
        """Return `heuristic`, or the digest that starts with `name`. Raises CommandError."""
        return name if name == HEURISTIC else self.model(name)

    def of(self, model: str) -> ModelLineage:
        """Return the lineage of a registered network. Raises KeyError."""
        event, meta = self.history.models[model]
        models, history = self.models, self.history
        request, verdict = models.request(model), models.verdicts.get(model)
        shards = self._shards(model)
        groups = [group for shard in shards for group in shard.groups]
        played = [group for group in self.games.by_request.values() if model in group.models]
        pupils = self.exposed(lambda group: group.models.get(model, 0))
        plans = history.all(facts.SelfplayPlanned)
        taints = history.all(facts.ModelTainted)
        return ModelLineage(
            model=model,
            config=event.config,
            generation=event.generation,
            position=meta.position,
            architecture=event.architecture,
            training=request.meta.position if request else None,
            ancestors=models.ancestors(event.parents),
            shards=shards,
            games_by_node=_counted(group.nodes for group in groups),
            games_by_model=_counted(group.models for group in groups),
            games_by_origin=_counted({group.origin: group.count} for group in groups),
            children=models.children(model),
            pupils=tuple(row.model for row in pupils if row.games),
            plans=tuple(item.meta.position for item in plans if item.event.model == model),
            games=_counted({group.origin: group.models[model]} for group in played),
            results=tuple(
                LineageMatch(meta.position, row.opponent, row.purpose, row.games, row.wins)
                for scores in history.scores.values()
                for row, meta in scores
                if row.candidate_model == model
            ),
            verdict=f"{type(verdict.event).__name__} {verdict.meta.position}" if verdict else None,
            current=models.state(event) == "current",
            elsewhere=models.elsewhere(model),
            tainted=tuple(taint.retraction for taint, _ in taints if taint.model == model),
        )

    def exposed(self, count: Callable[[GameGroup], int]) -> list[Exposure]:
        """Return the networks that learned from games, themselves or through an ancestor, oldest
        first. `count` returns how many games of a group are in question."""
        shards = {model: self._shards(model) for model in self.history.models}
        own = {
            model: sum(count(group) for shard in used for group in shard.groups)
            for model, used in shards.items()
        }
        rows = []
        for model, (event, _) in self.history.models.items():
            ancestors = self.models.ancestors(event.parents)
            inherited = tuple(parent for parent in ancestors if own.get(parent))
            if own[model] or inherited:
                of = sum(shard.games for shard in shards[model])
                number = event.generation
                rows.append(Exposure(model, event.config, number, own[model], of, inherited))
        return rows

    def exposed_to(self, *, node: str | None = None, player: str | None = None) -> list[Exposure]:
        """Return the networks that learned from games of a node, or of a network (its digest or
        `heuristic`). Raises CommandError if the node played no game of a shard."""
        if player is not None:
            return self.exposed(lambda group: group.models.get(player, 0))
        if node not in (known := self.games.nodes()):
            nodes = ", ".join(known) or "none"
            raise CommandError(
                f"no game of node {node!r} is in a shard; there are those of {nodes}"
            )
        return self.exposed(lambda group: group.nodes.get(node, 0))

    def _shards(self, model: str) -> tuple[ShardUse, ...]:
        return tuple(
            ShardUse(
                shard.digest,
                meta.position,
                shard.games,
                shard.samples,
                self.games.of_shard(shard.digest),
            )
            for shard, meta in self.models.shards(model)
        )


def _counted(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts, the largest first."""
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(total.most_common())


def lineage_lines(found: ModelLineage) -> Iterator[str]:
    """Yield a lineage as text."""
    name = f"{short(found.model)}  {found.config} generation {found.generation}"
    yield f"{name}, {found.architecture}, {found.position}"
    current = ", the current network" if found.current else ""
    yield f"  verdict: {found.verdict or 'none yet'}{current}"
    for config, state in found.elsewhere.items():
        yield f"  in {config}: {state}"
    if found.tainted:
        yield f"  tainted: it learned from games that {', '.join(found.tainted)} retracted"
    yield "origin"
    yield f"  training requested by {found.training or 'nothing in the log'}"
    yield f"  weights from: {shorts(found.ancestors, 'none, it started at random')}"
    games = sum(shard.games for shard in found.shards)
    samples = sum(shard.samples for shard in found.shards)
    yield f"  {len(found.shards)} shards, {games:,} games, {samples:,} samples"
    yield f"    by node: {_counts(found.games_by_node)}"
    yield f"    by player: {_counts(found.games_by_model)}"
    yield f"    by origin: {_counts(found.games_by_origin)}"
    for shard in found.shards[:SHARDS_SHOWN_MAX]:
        ranges = ", ".join(group.position for group in shard.groups)
        what = f"{plural(shard.games, 'game')}, {shard.samples:,} samples"
        yield f"    {shard.position} {short(shard.digest)} {what}: {ranges}"
    if len(found.shards) > SHARDS_SHOWN_MAX:
        yield f"    and {len(found.shards) - SHARDS_SHOWN_MAX} more, see --json"
    yield "effects"
    yield f"  children: {shorts(found.children, 'none')}"
    yield f"  trained on its games: {shorts(found.pupils, 'none')}"
    yield f"  self-play plans: {', '.join(found.plans) or 'none'}"
    played = ", ".join(f"{count:,} {origin}" for origin, count in found.games.items())
    yield f"  games: {played or 'none'}"
    for row in found.results:
        yield f"  {row.position} {row.purpose} against {row.opponent}: {row.wins:g} of {row.games}"


def lineage_rows(found: ModelLineage) -> Iterator[dict[str, str]]:
    """Yield the networks of a lineage and what each is to it."""
    for relation in ("ancestors", "children", "pupils"):
        for model in getattr(found, relation):
            yield {"model": model, "relation": relation, "to": found.model}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{short(name)} {count:,}" for name, count in counts.items()) or "unknown"


def exposure_table(rows: list[Exposure], of: str) -> Table | str:
    """Return the networks that learned from games of a node or player as a table."""
    title = f"networks that learned from games of {of}"
    if not rows:
        return f"{title}: none"
    columns = ("network", "config", ">generation", ">games", ">of", "through the weights of")
    cells = (
        (short(row.model), row.config, row.generation, row.games, row.of, shorts(row.inherited))
        for row in rows
    )
    return table(columns, cells, title)
