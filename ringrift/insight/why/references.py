"""The references of an event: its cause, and everything else that it names (shards, networks,
settings, results, games)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import Struct

from ringrift.deciders.loop.retraction import retracted
from ringrift.events import REGISTRY, EventMeta, Fact, Recorded, facts
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.game_heads import GameAt, game_heads

F = TypeVar("F", bound=Fact)
LEAVES = (
    facts.TrainingProgressed,
    facts.ConsumerStarted,
    facts.ConsumerStopped,
    facts.LeaseAcquired,
    facts.DeadLetterStored,
)
"""Event types that no other event rests on."""
HISTORY = tuple(
    kind.fact_type
    for kind in REGISTRY.values()
    if kind.stream == EVENTS and kind.fact_type not in LEAVES
)
MODEL_FIELDS = ("model", "parent", "previous", "current", "candidate_model")
HEURISTIC = "heuristic"
"""Takes the place of a digest where no network played."""


class GameGroup(Struct, kw_only=True):
    """Games between two sequences of `GAMES` that were played for the same request.

    `request` is a position. `nodes` and `models` count games by node and by network (`heuristic`
    if none played)."""

    config: str
    origin: str
    request: str | None
    first_seq: int
    last_seq: int = 0
    count: int = 0
    nodes: dict[str, int] = {}
    models: dict[str, int] = {}

    @property
    def position(self) -> str:
        """Such as `GAMES/7` or `GAMES/7..9`."""
        end = f"..{self.last_seq}" if self.last_seq > self.first_seq else ""
        return f"{GAMES}/{self.first_seq}{end}"

    def add(self, game: GameAt) -> None:
        """Count one more game."""
        self.last_seq, self.count = game.seq, self.count + 1
        self.nodes[game.head.node] = self.nodes.get(game.head.node, 0) + 1
        for model in dict.fromkeys(seat.model or HEURISTIC for seat in game.head.seats):
            self.models[model] = self.models.get(model, 0) + 1


class HistoryIndex:
    """Recorded events by what other events name them by."""

    def __init__(self) -> None:
        self.at: dict[str, Recorded] = {}
        """By position."""
        self.models: dict[str, Recorded[facts.ModelMade]] = {}
        self.shards: dict[str, Recorded[facts.ShardExported]] = {}
        self.settings: dict[int, Recorded] = {}
        self.scores: dict[str, list[Recorded[facts.EvaluationScored]]] = {}
        """By config."""
        self.retractions: list[Recorded[facts.GamesRetracted]] = []

    @classmethod
    async def read(
        cls, log: Log, until: int | None = None, progress: Progress | None = None
    ) -> HistoryIndex:
        """Index everything that other events can rest on, up to a sequence of `EVENTS`."""
        found = cls()
        async for event, meta in read.facts(log, *HISTORY, until=until, progress=progress):
            found._add(event, meta)
        return found

    def _add(self, event: Fact, meta: EventMeta) -> None:
        self.at[meta.position] = Recorded(event, meta)
        match event:
            # a rebuilt network or shard has the same digest: its first event counts
            case facts.ModelRegistered() | facts.ModelDerived():
                self.models.setdefault(event.model, Recorded(event, meta))
            case facts.ShardExported():
                self.shards.setdefault(event.digest, Recorded(event, meta))
            case facts.GamesRetracted():
                self.retractions.append(Recorded(event, meta))
            case facts.SettingsChanged():
                self.settings[event.version] = Recorded(event, meta)
            case facts.EvaluationScored():
                self.scores.setdefault(event.config, []).append(Recorded(event, meta))

    def all(self, kind: type[F]) -> Iterator[Recorded[F]]:
        """Yield the events of a kind in the order of the log."""
        for event, meta in self.at.values():
            if isinstance(event, kind):
                yield Recorded(event, meta)

    def references(self, recorded: Recorded) -> Iterator[tuple[str, Recorded]]:
        """Yield the earlier events that an event rests on, its cause first, each once, as its
        `cause`, `shard`, `model`, `evidence`, `retraction` or `settings`."""
        seen: set[str] = set()
        for role, other in self._named(recorded):
            if other is None or other.meta.position in seen or not _before(other, recorded):
                continue
            seen.add(other.meta.position)
            yield role, other

    def _named(self, recorded: Recorded) -> Iterator[tuple[str, Recorded | None]]:
        event, meta = recorded
        yield "cause", self.at.get(meta.cause or "")
        if isinstance(event, facts.ModelPromoted | facts.PromotionRejected):
            for item in self.scores.get(event.config, ()):
                if item.event.candidate_model == event.model:
                    yield "evidence", item
        if isinstance(event, facts.RatingsUpdated):
            yield from (("evidence", item) for item in self.scores.get(event.config, ()))
        experiment = self.at.get(getattr(event, "experiment", None) or "")
        if isinstance(event, facts.ExperimentEnded) and experiment:
            for item in self.scores.get(event.config, ()):
                if item.event.purpose == "experiment" and _before(experiment, item):
                    yield "evidence", item
        yield "experiment", experiment
        yield "retraction", self.at.get(getattr(event, "retraction", ""))
        yield from (("shard", self.shards.get(digest)) for digest in getattr(event, "shards", ()))
        yield "shard", self.shards.get(getattr(event, "supersedes", None) or "")
        yield from (("model", self.models.get(digest)) for digest in _models_in(event))
        yield "settings", self.settings.get(getattr(event, "settings_version", 0))


def _before(other: Recorded, recorded: Recorded) -> bool:
    # sequences of different streams cannot be compared
    return other.meta.stream != recorded.meta.stream or other.meta.seq < recorded.meta.seq


def _models_in(event: Fact) -> dict[str, None]:
    """Return the digests of the networks an event names, except of the one that it registers."""
    found = list(getattr(event, "parents", ()))
    if not isinstance(event, facts.ModelMade):
        found += [getattr(event, name, None) for name in MODEL_FIELDS]
    seats = [getattr(event, name, None) for name in ("candidate", "opponent")]
    seats += getattr(event, "seats", ())
    found += [seat.model for seat in seats if isinstance(seat, facts.Seat)]
    return dict.fromkeys(filter(None, found))


class GameIndex:
    """Groups of games, by the digest of their shard and by the request they were played for."""

    def __init__(self) -> None:
        self._by_shard: dict[str, dict[tuple[str | None, str], GameGroup]] = {}
        self.by_request: dict[str, GameGroup] = {}

    @classmethod
    async def read(
        cls, log: Log, history: HistoryIndex, until: int | None, progress: Progress | None
    ) -> GameIndex:
        """Index the games of all configs with a shard exported up to a sequence of `EVENTS`.

        Dead letters are in no group. Games that were retracted before their shard was exported are
        not counted for it."""
        found = cls()
        shards: dict[str, list[facts.ShardExported]] = {}
        for event, meta in history.shards.values():
            if until is None or meta.seq <= until:
                shards.setdefault(event.config, []).append(event)
        for waiting in shards.values():
            waiting.sort(key=lambda shard: shard.first_seq)
        if shards:
            async for game in game_heads(log, *sorted(shards), progress=progress):
                found._add(game, shards[game.head.config], history.retractions)
        return found

    def of_shard(self, digest: str) -> tuple[GameGroup, ...]:
        """Return the games of a shard, grouped by request."""
        return tuple(self._by_shard.get(digest, {}).values())

    def nodes(self) -> list[str]:
        """Return the nodes that played games of shards."""
        groups = (group for found in self._by_shard.values() for group in found.values())
        return sorted({node for group in groups for node in group.nodes})

    def _add(
        self,
        game: GameAt,
        waiting: list[facts.ShardExported],
        retractions: Sequence[Recorded[facts.GamesRetracted]],
    ) -> None:
        """Count a game; shards that end before it are removed from `waiting`."""
        if game.cause:
            self.by_request.setdefault(game.cause, _group(game)).add(game)
        while waiting and waiting[0].last_seq < game.seq:
            waiting.pop(0)
        for shard in waiting:
            if game.seq < shard.first_seq:
                break  # so do all later ones
            earlier = [event for event, meta in retractions if meta.seq <= shard.events_seq]
            if not retracted(earlier, game.head, game.seq):
                groups = self._by_shard.setdefault(shard.digest, {})
                groups.setdefault((game.cause, game.head.origin), _group(game)).add(game)


def _group(game: GameAt) -> GameGroup:
    head = game.head
    return GameGroup(config=head.config, origin=head.origin, request=game.cause, first_seq=game.seq)
