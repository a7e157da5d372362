"""Where a network comes from and what came of it, and which networks saw the games of a node or of
another network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from ringrift.events import Recorded
from ringrift.events.facts import (
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    ModelTainted,
    PromotionRejected,
    SelfplayPlanned,
    ShardExported,
    TrainingRequested,
)
from ringrift.insight.why.references import GameIndex, Games, Index, index, index_games, shard_facts
from ringrift.log.protocol import Log, Progress

MODEL_DIGITS_MIN = 6


class ShardUse(Struct, frozen=True, kw_only=True):
    """One shard that a network was trained on, and the games in it."""

    digest: str
    position: str
    games: int
    samples: int
    groups: tuple[Games, ...]


class Result(Struct, frozen=True, kw_only=True):
    """One match of a network."""

    position: str
    opponent: str
    purpose: str
    games: int
    wins: float


class Lineage(Struct, frozen=True, kw_only=True):
    """A network both ways.

    ancestors    networks whose weights it began from, nearest first shards       what it was
    trained on; `games_by_*` count the games in them by who made them children     networks that
    began from its weights; `pupils` were trained on games that it played games        games that it
    played, by origin verdict      `ModelPromoted` or `PromotionRejected` with its position, None
    before one; `current` if no other was promoted since tainted      positions of the retractions
    of games that it, or one of its ancestors, learned from"""

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
    results: tuple[Result, ...]
    verdict: str | None
    current: bool
    tainted: tuple[str, ...]


class Exposure(Struct, frozen=True, kw_only=True):
    """A network that saw games in question: `games` of its own `of` training games, `inherited`
    through its ancestors' weights."""

    model: str
    config: str
    generation: int
    games: int
    of: int
    inherited: tuple[str, ...]


class Archive:
    """The indexes that lineage is read from."""

    def __init__(self, known: Index, games: GameIndex) -> None:
        self.known, self.games = known, games

    @classmethod
    async def open(cls, log: Log, progress: Progress | None = None) -> Archive:
        """All of the log."""
        known = await index(log, None, progress)
        return cls(known, await index_games(log, shard_facts(known), progress, known.retractions))

    def named(self, prefix: str) -> list[str]:
        """Digests of the networks that begin so."""
        return [digest for digest in self.known.models if digest.startswith(prefix)]

    def of(self, model: str) -> Lineage:
        """Lineage of a registered network. Raises KeyError."""
        event, meta = self.known.models[model]
        assert isinstance(event, ModelRegistered)
        request = self.known.at.get(meta.cause or "")
        shards = self._shards(model)
        groups = [group for shard in shards for group in shard.groups]
        verdict = self._verdict(model)
        return Lineage(
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
            children=tuple(name for name in self.known.models if model in self._parents(name)),
            pupils=tuple(
                row.model
                for row in self.exposed(lambda group: group.models.get(model, 0))
                if row.games
            ),
            plans=tuple(
                item.meta.position
                for item in self._all(SelfplayPlanned)
                if getattr(item.event, "model", None) == model
            ),
            games=_counted(self._played(model), lambda group: {group.origin: group.models[model]}),
            results=self._results(model),
            verdict=f"{type(verdict.event).__name__} {verdict.meta.position}" if verdict else None,
            current=self._current(event.config) == model,
            tainted=tuple(
                item.event.retraction
                for item in self._all(ModelTainted)
                if isinstance(item.event, ModelTainted) and item.event.model == model
            ),
        )

    def exposed(self, count: Callable[[Games], int]) -> list[Exposure]:
        """Networks trained, themselves or by their ancestors, on games that `count` finds in a
        group, oldest first."""
        own = {
            model: sum(count(group) for shard in self._shards(model) for group in shard.groups)
            for model in self.known.models
        }
        rows = []
        for model, (event, _) in self.known.models.items():
            inherited = tuple(parent for parent in self._ancestors(model) if own.get(parent))
            if isinstance(event, ModelRegistered) and (own[model] or inherited):
                total = sum(shard.games for shard in self._shards(model))
                rows.append(
                    Exposure(
                        model=model,
                        config=event.config,
                        generation=event.generation,
                        games=own[model],
                        of=total,
                        inherited=inherited,
                    )
                )
        return rows

    def nodes(self) -> list[str]:
        """Nodes whose games are in shards."""
        return sorted(
            {
                node
                for groups in self.games.by_shard.values()
                for group in groups
                for node in group.nodes
            }
        )

    def _shards(self, model: str) -> tuple[ShardUse, ...]:
        request = self.known.at.get(self.known.models[model].meta.cause or "")
        if request is None or not isinstance(request.event, TrainingRequested):
            return ()
        found = []
        for digest in request.event.shards:
            item = self.known.shards.get(digest)
            if item is not None and isinstance(item.event, ShardExported):
                groups = tuple(self.games.by_shard.get(digest, ()))
                found.append(
                    ShardUse(
                        digest=digest,
                        position=item.meta.position,
                        games=item.event.games,
                        samples=item.event.samples,
                        groups=groups,
                    )
                )
        return tuple(found)

    def _parents(self, model: str) -> tuple[str, ...]:
        recorded = self.known.models.get(model)
        return (
            recorded.event.parents
            if recorded and isinstance(recorded.event, ModelRegistered)
            else ()
        )

    def _ancestors(self, model: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        waiting = list(self._parents(model))
        while waiting:
            parent = waiting.pop(0)
            if parent not in found:
                found[parent] = None
                waiting += self._parents(parent)
        return tuple(found)

    def _played(self, model: str) -> list[Games]:
        return [group for group in self.games.by_request.values() if model in group.models]

    def _results(self, model: str) -> tuple[Result, ...]:
        return tuple(
            Result(
                position=meta.position,
                opponent=event.opponent,
                purpose=event.purpose,
                games=event.games,
                wins=event.wins,
            )
            for event, meta in self._all(EvaluationScored)
            if isinstance(event, EvaluationScored) and event.candidate_model == model
        )

    def _verdict(self, model: str) -> Recorded | None:
        return next(
            (item for item in self._verdicts() if getattr(item.event, "model", None) == model), None
        )

    def _current(self, config: str) -> str | None:
        promoted = [
            event
            for event, _ in self._all(ModelPromoted)
            if isinstance(event, ModelPromoted) and event.config == config
        ]
        return promoted[-1].model if promoted else None

    def _verdicts(self) -> list[Recorded]:
        return self._all(ModelPromoted, PromotionRejected)

    def _all(self, *kinds: type) -> list[Recorded]:
        return [item for item in self.known.at.values() if isinstance(item.event, kinds)]


def _counted(
    groups: Iterable[Games], counts_of: Callable[[Games], dict[str, int]]
) -> dict[str, int]:
    total: Counter[str] = Counter()
    for group in groups:
        total.update(counts_of(group))
    return dict(total.most_common())
