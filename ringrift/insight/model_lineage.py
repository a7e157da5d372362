"""Lineage: the ancestors and descendants of a network.

Also: which networks learned from the games of a node or of another network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec import Struct
from rich.table import Table

from ringrift.errors import CommandError
from ringrift.events import EventMeta, Fact, facts
from ringrift.insight.describe import plural, table
from ringrift.insight.digests import completed, short, shorts
from ringrift.insight.why.references import HEURISTIC, GameGroup, GameIndex, HistoryIndex
from ringrift.log.protocol import Log, Progress

F = TypeVar("F", bound=Fact)
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

    def __init__(self, history: HistoryIndex, games: GameIndex) -> None:
        self.history, self.games = history, games

    @classmethod
    async def open(cls, log: Log, progress: Progress | None = None) -> Archive:
        """Index the whole log."""
        history = await HistoryIndex.read(log, progress=progress)
        return cls(history, await GameIndex.read(log, history, progress=progress))

    def model(self, prefix: str) -> str:
        """Return the digest that starts with `prefix`. Raises CommandError."""
        return completed(prefix, self.history.models)

    def player(self, name: str) -> str:
        """Return `heuristic`, or the digest that starts with `name`. Raises CommandError."""
        return name if name == HEURISTIC else self.model(name)

    def of(self, model: str) -> ModelLineage:
        """Return the lineage of a registered network. Raises KeyError."""
        event, meta = self.history.models[model]
        assert isinstance(event, facts.ModelRegistered)
        request = self.history.at.get(meta.cause or "")
        shards = self._shards(model)
        groups = [group for shard in shards for group in shard.groups]
        played = [group for group in self.games.by_request.values() if model in group.models]
        pupils = self.exposed(lambda group: group.models.get(model, 0))
        verdict, current = self._verdict(event)
        return ModelLineage(
            model=model,
            config=event.config,
            generation=event.generation,
            position=meta.position,
            architecture=event.architecture,
            training=request.meta.position if request else None,
            ancestors=self._ancestors(model),
            shards=shards,
            games_by_node=_counted(groups, lambda group: group.nodes),
            games_by_model=_counted(groups, lambda group: group.models),
            games_by_origin=_counted(groups, lambda group: {group.origin: group.count}),
            children=tuple(name for name in self.history.models if model in self._parents(name)),
            pupils=tuple(row.model for row in pupils if row.games),
            plans=tuple(
                meta.position
                for plan, meta in self._all(facts.SelfplayPlanned)
                if plan.model == model
            ),
            games=_counted(played, lambda group: {group.origin: group.models[model]}),
            results=tuple(
                LineageMatch(meta.position, row.opponent, row.purpose, row.games, row.wins)
                for row, meta in self._all(facts.EvaluationScored)
                if row.candidate_model == model
            ),
            verdict=verdict,
            current=current,
            tainted=tuple(
                taint.retraction
                for taint, _ in self._all(facts.ModelTainted)
                if taint.model == model
            ),
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
            inherited = tuple(parent for parent in self._ancestors(model) if own.get(parent))
            if isinstance(event, facts.ModelRegistered) and (own[model] or inherited):
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
        request = self.history.at.get(self.history.models[model].meta.cause or "")
        found = []
        for digest in getattr(request.event, "shards", ()) if request else ():
            if digest in self.history.shards:
                event, meta = self.history.shards[digest]
                assert isinstance(event, facts.ShardExported)
                groups = self.games.of_shard(digest)
                use = ShardUse(digest, meta.position, event.games, event.samples, groups)
                found.append(use)
        return tuple(found)

    def _verdict(self, model: facts.ModelRegistered) -> tuple[str | None, bool]:
        """Return the verdict of a network, and whether it is the current one of its config."""
        found, current = None, False
        for event, meta in self.history.at.values():
            if isinstance(event, facts.ModelPromoted | facts.PromotionRejected):
                if event.model == model.model and found is None:
                    found = f"{type(event).__name__} {meta.position}"
                if isinstance(event, facts.ModelPromoted) and event.config == model.config:
                    current = event.model == model.model
        return found, current

    def _parents(self, model: str) -> tuple[str, ...]:
        recorded = self.history.models.get(model)
        return tuple(getattr(recorded.event, "parents", ())) if recorded else ()

    def _ancestors(self, model: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        waiting = list(self._parents(model))
        while waiting:
            parent = waiting.pop(0)
            if parent not in found:
                found[parent] = None
                waiting += self._parents(parent)
        return tuple(found)

    def _all(self, kind: type[F]) -> Iterator[tuple[F, EventMeta]]:
        for event, meta in self.history.at.values():
            if isinstance(event, kind):
                yield event, meta


def _counted(
    groups: Iterable[GameGroup], counts_of: Callable[[GameGroup], dict[str, int]]
) -> dict[str, int]:
    total: Counter[str] = Counter()
    for group in groups:
        total.update(counts_of(group))
    return dict(total.most_common())


def lineage_lines(found: ModelLineage) -> Iterator[str]:
    """Yield a lineage as text."""
    name = f"{short(found.model)}  {found.config} generation {found.generation}"
    yield f"{name}, {found.architecture}, {found.position}"
    current = ", the current network" if found.current else ""
    yield f"  verdict: {found.verdict or 'none yet'}{current}"
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
