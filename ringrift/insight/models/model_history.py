"""The history of networks in the log: how each was made, its strength and its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from rich.table import Table

from ringrift.events import facts
from ringrift.insight.describe import table
from ringrift.insight.digests import short
from ringrift.insight.generations import Score
from ringrift.log import read
from ringrift.log.protocol import Log

ANCESTORS_MAX = 1000
Made = facts.ModelRegistered | facts.ModelDerived
VERDICTS = {None: "", True: "promoted", False: "rejected"}


class Ancestor(Struct, frozen=True, kw_only=True):
    """A network that this one started from; only its digest is known if it is not in the log."""

    model: str
    config: str | None = None
    generation: int | None = None
    architecture: str | None = None
    promoted: bool | None = None


class TrainingRun(Struct, frozen=True, kw_only=True):
    """A training: its request, its result, and the device that ran it."""

    request: facts.TrainingRequested
    finished: facts.TrainingFinished
    device: str | None


class TrainingGames(Struct, frozen=True, kw_only=True):
    """The games a network was trained on: those in `shards` shards, between two sequences of
    `GAMES`."""

    shards: int
    games: int
    samples: int
    first_seq: int
    last_seq: int


class ModelHistory:
    """Facts about networks, by digest."""

    def __init__(self) -> None:
        self.made: dict[str, Made] = {}
        self.scores: dict[str, dict[str, Score]] = {}
        """By digest and purpose."""
        self.verdicts: dict[str, facts.ModelPromoted | facts.PromotionRejected] = {}
        self._current: dict[str, str] = {}
        self._requests: dict[str, facts.TrainingRequested] = {}
        self._causes: dict[str, str] = {}
        self._finished: dict[str, facts.TrainingFinished] = {}
        self._devices: dict[str, str] = {}
        self._shards: dict[str, facts.ShardExported] = {}
        self._ratings: dict[str, tuple[facts.Rating, ...]] = {}

    @classmethod
    async def read(cls, log: Log | None) -> ModelHistory:
        """Fold the whole log; without a log nothing is known."""
        found = cls()
        if log is not None:
            async for event, meta in read.facts(log):
                found._fold(event, meta.position, meta.cause or "")
        return found

    def _fold(self, event: facts.Fact, position: str, cause: str) -> None:
        match event:
            case facts.TrainingRequested():
                self._requests[position] = event
            case facts.TrainingStarted():
                self._devices[event.ticket] = event.device
            case facts.TrainingFinished():
                self._finished[event.model] = event
            case facts.ModelRegistered() | facts.ModelDerived():
                self.made[event.model] = event
                self._causes[event.model] = cause
            case facts.ShardExported():
                self._shards[event.digest] = event
            case facts.EvaluationScored() if event.candidate_model:
                scores = self.scores.setdefault(event.candidate_model, {})
                scores.setdefault(event.purpose, Score()).add(event)
            case facts.RatingsUpdated():
                self._ratings[event.config] = event.ratings
            case facts.ModelPromoted() | facts.PromotionRejected():
                self.verdicts[event.model] = event
                if isinstance(event, facts.ModelPromoted):
                    self._current[event.config] = event.model

    def promoted(self, model: str) -> bool | None:
        """Whether a network was promoted; None before its verdict."""
        verdict = self.verdicts.get(model)
        return None if verdict is None else isinstance(verdict, facts.ModelPromoted)

    def state(self, made: Made) -> str:
        """Return `current`, `promoted`, `rejected` or nothing."""
        if self._current.get(made.config) == made.model:
            return "current"
        return VERDICTS[self.promoted(made.model)]

    def ratings(self, model: str) -> tuple[facts.Rating, ...]:
        """Return the rows of a network in the newest rating tables."""
        rows = (row for table in self._ratings.values() for row in table)
        return tuple(row for row in rows if row.participant.startswith(f"{short(model)}:"))

    def children(self, model: str) -> tuple[str, ...]:
        """Return the networks that started from the weights of a network."""
        return tuple(other for other, made in self.made.items() if model in made.parents)

    def ancestors(self, parents: Iterable[str]) -> tuple[Ancestor, ...]:
        """Return parents and their ancestors, the nearest first."""
        found: dict[str, Ancestor] = {}
        waiting = list(parents)
        while waiting and len(found) < ANCESTORS_MAX:
            model = waiting.pop(0)
            if model in found:
                continue  # reached by a shorter path
            found[model] = Ancestor(model=model)
            if made := self.made.get(model):
                found[model] = Ancestor(
                    model=model,
                    config=made.config,
                    generation=getattr(made, "generation", None),
                    architecture=made.architecture,
                    promoted=self.promoted(model),
                )
                waiting += made.parents
        return tuple(found.values())

    def training(self, model: str) -> TrainingRun | None:
        """Return how a network was trained."""
        request = self._requests.get(self._causes.get(model, ""))
        finished = self._finished.get(model)
        if request is None or finished is None:
            return None
        device = self._devices.get(finished.ticket)
        return TrainingRun(request=request, finished=finished, device=device)

    def games(self, model: str) -> TrainingGames | None:
        """Return the games a network was trained on."""
        request = self._requests.get(self._causes.get(model, ""))
        digests = request.shards if request else ()
        shards = [self._shards[digest] for digest in digests if digest in self._shards]
        if not shards:
            return None
        return TrainingGames(
            shards=len(shards),
            games=sum(shard.games for shard in shards),
            samples=sum(shard.samples for shard in shards),
            first_seq=min(shard.first_seq for shard in shards),
            last_seq=max(shard.last_seq for shard in shards),
        )

    def documents(self, config: str | None = None) -> list[dict[str, Any]]:
        """Return all networks, or those of a config, as plain values, the oldest first."""
        made = [item for item in self.made.values() if config in (None, item.config)]
        return [{**msgspec.to_builtins(item), "state": self.state(item)} for item in made]

    def table(self, config: str | None = None) -> Table | str:
        """Return all networks, or those of a config, as a table."""
        rows = [self._row(made) for made in self.made.values() if config in (None, made.config)]
        if not rows:
            return f"no networks{f' for {config}' if config else ''} in the log"
        columns = "model config >generation architecture >parameters parent state rating"
        return table(columns.split(), rows, plain=True)

    def _row(self, made: Made) -> tuple[Any, ...]:
        origin = made.method if isinstance(made, facts.ModelDerived) else made.generation
        ratings = (
            f"{row.elo:+.0f} ({row.participant.partition(':')[2]})"
            for row in self.ratings(made.model)
        )
        return (
            short(made.model),
            made.config,
            origin,
            made.architecture,
            made.parameters,
            " ".join(map(short, made.parents)),
            self.state(made),
            ", ".join(ratings),
        )
