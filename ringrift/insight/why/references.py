"""What an event rests on: its cause, and everything else that it names (shards, networks, settings,
results, games)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ringrift.deciders.loop.retraction import retracted
from ringrift.events import REGISTRY, Fact, Recorded
from ringrift.events.facts import (
    ConsumerStarted,
    ConsumerStopped,
    DeadLetterStored,
    EvaluationScored,
    GameCompleted,
    GamesRetracted,
    LeaseAcquired,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    RatingsUpdated,
    Seat,
    SettingsChanged,
    ShardExported,
    TrainingProgressed,
)
from ringrift.insight.heads import GameEnvelope
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES

CHATTER = (TrainingProgressed, ConsumerStarted, ConsumerStopped, LeaseAcquired, DeadLetterStored)
"""event types that lead to no other"""
HISTORY = tuple(
    kind.fact_type
    for kind in REGISTRY.values()
    if kind.stream == EVENTS and kind.fact_type not in CHATTER
)
MODEL_FIELDS = ("model", "parent", "previous", "current", "candidate_model")
HEURISTIC = "heuristic"
"""what stands in place of a digest where no network played"""


class Reference(NamedTuple):
    """An event that another rests on, and as what: `cause`, `shard`, `model`, `evidence`,
    `retraction`, `settings`."""

    role: str
    recorded: Recorded


class Games(Struct, frozen=True, kw_only=True):
    """Games in `GAMES` from `first_seq` to `last_seq` that were played for the same request (its
    position in the log).

    `nodes` and `models`: games by the node that played them and by the network that did
    (`heuristic` where none did)."""

    config: str
    origin: str
    request: str | None
    first_seq: int
    last_seq: int
    count: int
    nodes: dict[str, int]
    models: dict[str, int]

    @property
    def position(self) -> str:
        """Where they lie."""
        return f"{GAMES}/{self.first_seq}" + (
            f"..{self.last_seq}" if self.last_seq > self.first_seq else ""
        )


class Index:
    """Recorded events by what others name them by."""

    def __init__(self) -> None:
        self.at: dict[str, Recorded] = {}
        """by position"""
        self.models: dict[str, Recorded] = {}
        self.shards: dict[str, Recorded] = {}
        self.settings: dict[int, Recorded] = {}
        self.scores: dict[str, list[Recorded]] = {}
        """by config"""
        self.retractions: list[Recorded] = []

    def add(self, recorded: Recorded) -> None:
        """Take in one event, in the order of the log."""
        event = recorded.event
        self.at[recorded.meta.position] = recorded
        match event:
            case ModelRegistered():
                self.models.setdefault(event.model, recorded)
            case ShardExported():
                self.shards.setdefault(event.digest, recorded)
            case GamesRetracted():
                self.retractions.append(recorded)
            case SettingsChanged():
                self.settings[event.version] = recorded
            case EvaluationScored():
                self.scores.setdefault(event.config, []).append(recorded)

    def references(self, recorded: Recorded) -> list[Reference]:
        """What the event rests on, its cause first; each once, and only what came before it."""
        found: dict[str, Reference] = {}
        for role, other in self._named(recorded):
            if (
                other is not None
                and other.meta.position != recorded.meta.position
                and _before(other, recorded)
            ):
                found.setdefault(other.meta.position, Reference(role, other))
        return list(found.values())

    def _named(self, recorded: Recorded) -> Iterator[tuple[str, Recorded | None]]:
        event, meta = recorded
        yield "cause", self.at.get(meta.cause or "")
        if isinstance(event, ModelPromoted | PromotionRejected):
            results = [
                item
                for item in self.scores.get(event.config, [])
                if _is_of(item.event, event.model)
            ]
            yield from (("evidence", item) for item in results)
        if isinstance(event, RatingsUpdated):
            yield from (("evidence", item) for item in self.scores.get(event.config, []))
        yield "retraction", self.at.get(getattr(event, "retraction", ""))
        yield from (("shard", self.shards.get(digest)) for digest in getattr(event, "shards", ()))
        yield "shard", self.shards.get(getattr(event, "supersedes", None) or "")
        yield from (("model", self.models.get(digest)) for digest in models_in(event))
        yield "settings", self.settings.get(getattr(event, "settings_version", 0))


def _before(other: Recorded, recorded: Recorded) -> bool:
    return other.meta.stream != recorded.meta.stream or other.meta.seq < recorded.meta.seq


def _is_of(event: Fact, model: str) -> bool:
    return isinstance(event, EvaluationScored) and event.candidate_model == model


def models_in(event: Fact) -> list[str]:
    """Digests of the networks an event names, but not the one it registers."""
    found = list(getattr(event, "parents", ()))
    if not isinstance(event, ModelRegistered):
        found += [getattr(event, name, None) for name in MODEL_FIELDS]
    seats = [getattr(event, name, None) for name in ("candidate", "opponent")] + list(
        getattr(event, "seats", ())
    )
    found += [seat.model for seat in seats if isinstance(seat, Seat)]
    return list(dict.fromkeys(digest for digest in found if digest))


async def index(log: Log, until_seq: int | None = None, progress: Progress | None = None) -> Index:
    """Everything that leads to anything, up to a sequence of `EVENTS`."""
    found = Index()
    async for recorded in read.facts(log, *HISTORY, until=until_seq, progress=progress):
        found.add(recorded)
    return found


class GameIndex:
    """Games by the shard they went into and by the request they were played for."""

    def __init__(self) -> None:
        self.by_shard: dict[str, list[Games]] = {}
        self.by_request: dict[str, Games] = {}


async def index_games(
    log: Log,
    shards: Iterable[ShardExported],
    progress: Progress | None = None,
    retractions: Sequence[Recorded] = (),
) -> GameIndex:
    """One pass over the games of the shards' configs; those of a dead letter are left out, as they
    are of shards, and so are those that were retracted when the shard was made."""
    found, decoder = GameIndex(), msgspec.json.Decoder(GameEnvelope)
    ordered = sorted(shards, key=lambda shard: shard.first_seq)
    configs = sorted({shard.config for shard in ordered})
    filters = [f"ringrift.game.{config}.completed" for config in configs]
    open_shards: dict[str, list[ShardExported]] = {
        config: [s for s in ordered if s.config == config] for config in configs
    }
    if not ordered:
        return found
    async for batch in log.read(GAMES, filters=filters, progress=progress):
        for entry in batch:
            try:
                head = decoder.decode(entry.body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if head.cause:
                found.by_request[head.cause] = _joined(
                    found.by_request.get(head.cause), head, entry.seq
                )
            waiting = open_shards.get(head.data.config, [])
            while waiting and waiting[0].last_seq < entry.seq:
                waiting.pop(0)
            for shard in waiting:
                if entry.seq < shard.first_seq:
                    break
                if not retracted(_heeded(shard, retractions), head.data, entry.seq):
                    _add(found.by_shard.setdefault(shard.digest, []), head, entry.seq)
    return found


def _heeded(shard: ShardExported, retractions: Sequence[Recorded]) -> list[GamesRetracted]:
    """The retractions that the shard was made after."""
    return [
        event
        for event, meta in retractions
        if isinstance(event, GamesRetracted)
        and event.config == shard.config
        and meta.seq <= shard.events_seq
    ]


def _add(groups: list[Games], head: GameEnvelope, seq: int) -> None:
    for number, known in enumerate(groups):
        if known.request == head.cause and known.origin == head.data.origin:
            groups[number] = _joined(known, head, seq)
            return
    groups.append(_joined(None, head, seq))


def _joined(known: Games | None, head: GameEnvelope, seq: int) -> Games:
    data = head.data
    nodes, models = dict(known.nodes) if known else {}, dict(known.models) if known else {}
    nodes[data.node] = nodes.get(data.node, 0) + 1
    for model in {seat.model or HEURISTIC for seat in data.seats}:
        models[model] = models.get(model, 0) + 1
    return Games(
        config=data.config,
        origin=data.origin,
        request=head.cause,
        first_seq=known.first_seq if known else seq,
        last_seq=seq,
        count=(known.count if known else 0) + 1,
        nodes=nodes,
        models=models,
    )


def shard_facts(found: Index, until_seq: int | None = None) -> list[ShardExported]:
    """Facts of the shards in an index, up to a sequence of `EVENTS`."""
    return [
        event
        for event, meta in found.shards.values()
        if isinstance(event, ShardExported) and (until_seq is None or meta.seq <= until_seq)
    ]


def game_at(recorded: Recorded) -> Games | None:
    """A single game as a group of one."""
    event, meta = recorded
    if not isinstance(event, GameCompleted):
        return None
    models = {seat.model or HEURISTIC: 1 for seat in event.seats}
    return Games(
        config=event.config,
        origin=event.origin,
        request=meta.cause,
        first_seq=meta.seq,
        last_seq=meta.seq,
        count=1,
        nodes={event.node: 1},
        models=models,
    )
