"""What is known of a network: what its checkpoint says, and what the log tells of how it was made
and how strong it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.events import Recorded
from ringrift.events.facts import (
    EvaluationScored,
    ModelDerived,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    Rating,
    RatingsUpdated,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
)
from ringrift.insight.generations import Score
from ringrift.nets.checkpoint import Header

LINEAGE_MAX = 1000
"""ancestors followed at most"""


class Ancestor(Struct, frozen=True, kw_only=True):
    """A network this one came from; `generation` and `architecture` are None where the log does not
    know it."""

    model: str
    config: str | None = None
    generation: int | None = None
    architecture: str | None = None
    promoted: bool | None = None


class Training(Struct, frozen=True, kw_only=True):
    """How it was trained: the request, and what came of it."""

    generation: int
    reason: str
    seed: int
    settings_version: int
    teacher: str | None
    steps: int
    samples: int
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    train_seconds: float
    node: str
    device: str | None


class Games(Struct, frozen=True, kw_only=True):
    """The games it learnt from: those of `shards` shards, between these sequences of `GAMES`."""

    shards: int
    games: int
    samples: int
    first_seq: int
    last_seq: int


class Card(Struct, frozen=True, kw_only=True):
    """One network. All but what the checkpoint says is empty where the log does not know it."""

    model: str
    size_bytes: int
    parameters: int
    header: Header
    lineage: tuple[Ancestor, ...] = ()
    children: tuple[str, ...] = ()
    training: Training | None = None
    games: Games | None = None
    scores: dict[str, dict[str, Any]] = {}
    ratings: tuple[Rating, ...] = ()
    promoted: bool | None = None
    why: str = ""


class History:
    """The facts about networks in the log, by network."""

    def __init__(self) -> None:
        self.made: dict[str, ModelRegistered | ModelDerived] = {}
        self.current: dict[str, str] = {}
        self.verdicts: dict[str, ModelPromoted | PromotionRejected] = {}
        self.scores: dict[str, dict[str, Score]] = {}
        self._requests: dict[str, TrainingRequested] = {}
        self._causes: dict[str, str] = {}
        self._finished: dict[str, TrainingFinished] = {}
        self._devices: dict[str, str] = {}
        self._shards: dict[str, ShardExported] = {}
        self._tables: dict[str, RatingsUpdated] = {}

    def fold(self, events: Iterable[Recorded]) -> None:
        """Take in events in the order of the log."""
        for event, meta in events:
            match event:
                case TrainingRequested():
                    self._requests[meta.position] = event
                case TrainingStarted():
                    self._devices[event.ticket] = event.device
                case TrainingFinished():
                    self._finished[event.model] = event
                case ModelRegistered() | ModelDerived():
                    self.made[event.model] = event
                    self._causes[event.model] = meta.cause or ""
                case ShardExported():
                    self._shards[event.digest] = event
                case EvaluationScored() if event.candidate_model:
                    self.scores.setdefault(event.candidate_model, {}).setdefault(
                        event.purpose, Score()
                    ).add(event)
                case RatingsUpdated():
                    self._tables[event.config] = event
                case ModelPromoted() | PromotionRejected():
                    self.verdicts[event.model] = event
                    if isinstance(event, ModelPromoted):
                        self.current[event.config] = event.model

    def promoted(self, model: str) -> bool | None:
        """Whether a network became current; None while nobody has judged."""
        return isinstance(self.verdicts[model], ModelPromoted) if model in self.verdicts else None

    def ratings(self, model: str) -> tuple[Rating, ...]:
        """Rows of the newest rating tables that are of this network."""
        rows = (row for table in self._tables.values() for row in table.ratings)
        return tuple(row for row in rows if row.participant.startswith(f"{model[:12]}:"))

    def card(self, model: str, data: bytes, header: Header, parameters: int) -> Card:
        """All that is known of the network with these bytes."""
        verdict = self.verdicts.get(model)
        scores = {
            purpose: score.document() for purpose, score in self.scores.get(model, {}).items()
        }
        return Card(
            model=model,
            size_bytes=len(data),
            parameters=parameters,
            header=header,
            lineage=self._lineage(header.parents),
            children=tuple(other for other, made in self.made.items() if model in made.parents),
            training=self._training(model),
            games=self._games(model),
            scores=scores,
            ratings=self.ratings(model),
            promoted=self.promoted(model),
            why=verdict.why if verdict else "",
        )

    def _lineage(self, parents: tuple[str, ...]) -> tuple[Ancestor, ...]:
        """Parents, their parents and so on, the nearest first."""
        found: dict[str, Ancestor] = {}
        waiting = list(parents)
        while waiting and len(found) < LINEAGE_MAX:
            model = waiting.pop(0)
            made = self.made.get(model)
            if model in found:
                continue
            found[model] = (
                Ancestor(model=model)
                if made is None
                else Ancestor(
                    model=model,
                    config=made.config,
                    generation=getattr(made, "generation", None),
                    architecture=made.architecture,
                    promoted=self.promoted(model),
                )
            )
            waiting += made.parents if made else ()
        return tuple(found.values())

    def _request(self, model: str) -> TrainingRequested | None:
        return self._requests.get(self._causes.get(model, ""))

    def _training(self, model: str) -> Training | None:
        request, finished = self._request(model), self._finished.get(model)
        if request is None or finished is None:
            return None
        return Training(
            generation=request.generation,
            reason=request.reason,
            seed=request.seed,
            settings_version=request.settings_version,
            teacher=request.teacher,
            steps=finished.steps,
            samples=finished.samples,
            loss=finished.loss,
            policy_loss=finished.policy_loss,
            value_loss=finished.value_loss,
            validation_loss=finished.validation_loss,
            train_seconds=finished.train_seconds,
            node=finished.node,
            device=self._devices.get(finished.ticket),
        )

    def _games(self, model: str) -> Games | None:
        request = self._request(model)
        shards = (
            [self._shards[digest] for digest in request.shards if digest in self._shards]
            if request
            else []
        )
        if not shards:
            return None
        return Games(
            shards=len(shards),
            games=sum(shard.games for shard in shards),
            samples=sum(shard.samples for shard in shards),
            first_seq=min(shard.first_seq for shard in shards),
            last_seq=max(shard.last_seq for shard in shards),
        )


def document(card: Card) -> bytes:
    """The card as JSON."""
    return msgspec.json.encode(card)
