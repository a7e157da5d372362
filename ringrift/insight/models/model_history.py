"""The history of networks in the log: how each was made, its strength and its verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from rich.table import Table

from ringrift.events import EventMeta, Recorded, facts
from ringrift.insight.describe import short, table
from ringrift.insight.elo import elo_label, elo_text
from ringrift.insight.scores import Score
from ringrift.insight.why.references import HistoryIndex
from ringrift.log.protocol import Log

VERDICTS = {None: "", True: "promoted", False: "rejected"}


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

    def __init__(self, history: HistoryIndex) -> None:
        self.history = history
        self.made: dict[str, Recorded[facts.ModelMade]] = {}
        self.adopted: list[facts.ModelAdopted] = []
        self.scores: dict[str, dict[str, Score]] = {}
        """By digest and purpose."""
        self.verdicts: dict[str, Recorded[facts.ModelPromoted | facts.PromotionRejected]] = {}
        self._judged: dict[tuple[str, str], bool] = {}
        """Whether a network was promoted, by config and network."""
        self._current: dict[str, str] = {}
        """By config."""
        self._finished: dict[str, facts.TrainingFinished] = {}
        self._devices: dict[str, str] = {}
        """By ticket."""
        self._ratings: dict[str, facts.RatingsUpdated] = {}
        """By config."""
        for event, meta in history.at.values():
            self._fold(event, meta)

    @classmethod
    async def read(cls, log: Log | None) -> ModelHistory:
        """Fold the whole log; without a log nothing is known."""
        return cls(await HistoryIndex.read(log) if log else HistoryIndex())

    def _fold(self, event: facts.Fact, meta: EventMeta) -> None:
        match event:
            case facts.TrainingStarted():
                self._devices[event.ticket] = event.device
            case facts.TrainingFinished():
                self._finished.setdefault(event.model, event)  # its own config comes first
            case facts.ModelRegistered() | facts.ModelDerived():
                self.made[event.model] = Recorded(event, meta)
            case facts.ModelAdopted():
                self.adopted.append(event)
            case facts.EvaluationScored() if self._is_own(event.candidate_model, event.config):
                scores = self.scores.setdefault(event.candidate_model or "", {})
                scores.setdefault(event.purpose, Score()).add(event)
            case facts.RatingsUpdated():
                self._ratings[event.config] = event
            case facts.PromotionRejected() | facts.ModelPromoted():
                promoted = isinstance(event, facts.ModelPromoted)
                self._judged[event.config, event.model] = promoted
                if self._is_own(event.model, event.config):
                    self.verdicts[event.model] = Recorded(event, meta)
                self._current[event.config] = event.current or ""
            case facts.ModelRolledBack():
                self._current[event.config] = event.current

    def _is_own(self, model: str | None, config: str) -> bool:
        """Whether a network was made for a config, and not adopted there; so is one of which only
        results are known."""
        made = self.made.get(model or "")
        return model is not None and (made is None or made.event.config == config)

    def promoted(self, model: str) -> bool | None:
        """Whether a network was promoted; None before its verdict."""
        verdict = self.verdicts.get(model)
        return None if verdict is None else isinstance(verdict.event, facts.ModelPromoted)

    def state(self, made: facts.ModelMade | facts.ModelAdopted) -> str:
        """Return `current`, `promoted`, `rejected` or nothing; `adopted` of another config."""
        if self._current.get(made.config) == made.model:
            return "current"
        if isinstance(made, facts.ModelAdopted):
            judged = self._judged.get((made.config, made.model)) if made.generation else None
            return "adopted" if judged is None else VERDICTS[judged]
        return VERDICTS[self.promoted(made.model)]

    def elsewhere(self, model: str) -> dict[str, str]:
        """Return the state of a network in the configs that adopted it."""
        adopted = [item for item in self.adopted if item.model == model]
        return {item.config: self.state(item) or "on trial" for item in adopted}

    def ratings(self, model: str, config: str) -> tuple[facts.Rating, ...]:
        """Return the rows of a network in the newest rating table of a config."""
        rows = self._ratings[config].ratings if config in self._ratings else ()
        return tuple(row for row in rows if row.participant.startswith(f"{short(model)}:"))

    def anchor(self, config: str) -> str | None:
        """Return the participant of a config whose Elo is 0."""
        return self._ratings[config].anchor if config in self._ratings else None

    def parents(self, model: str) -> tuple[str, ...]:
        """Return the networks from whose weights a network started."""
        return self.made[model].event.parents if model in self.made else ()

    def children(self, model: str) -> tuple[str, ...]:
        """Return the networks that started from the weights of a network."""
        return tuple(other for other in self.made if model in self.parents(other))

    def ancestors(self, parents: Iterable[str]) -> tuple[str, ...]:
        """Return parents and their ancestors, the nearest first."""
        found: dict[str, None] = {}
        waiting = deque(parents)
        while waiting:
            model = waiting.popleft()
            if model not in found:  # else it was reached by a shorter path
                found[model] = None
                waiting += self.parents(model)
        return tuple(found)

    def request(self, model: str) -> Recorded[facts.TrainingRequested] | None:
        """Return the request that a network was trained for."""
        made = self.made.get(model)
        found = self.history.at.get(made.meta.cause or "") if made else None
        if found is None or not isinstance(found.event, facts.TrainingRequested):
            return None
        return Recorded(found.event, found.meta)

    def training(self, model: str) -> TrainingRun | None:
        """Return how a network was trained."""
        request, finished = self.request(model), self._finished.get(model)
        if request is None or finished is None:
            return None
        device = self._devices.get(finished.ticket)
        return TrainingRun(request=request.event, finished=finished, device=device)

    def shards(self, model: str) -> list[Recorded[facts.ShardExported]]:
        """Return the shards that a network was trained on, those of its own config first."""
        request = self.request(model)
        digests = [name for one in request.event.windows for name in one.shards] if request else []
        return [self.history.shards[name] for name in digests if name in self.history.shards]

    def games(self, model: str) -> TrainingGames | None:
        """Return the games a network was trained on."""
        shards = [shard for shard, _ in self.shards(model)]
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
        every = (*(item for item, _ in self.made.values()), *self.adopted)
        made = [item for item in every if config in (None, item.config)]
        return [{**msgspec.to_builtins(item), "state": self.state(item)} for item in made]

    def table(self, config: str | None = None) -> Table | str:
        """Return all networks, or those of a config, as a table."""
        rows, anchors = [], set[str | None]()
        for made in self.documents(config):
            origin = made.get("method") or made.get("origin") or made["generation"]
            ratings = self.ratings(made["model"], made["config"])
            elos = [f"{elo_text(row)} ({row.participant.partition(':')[2]})" for row in ratings]
            anchors.update([self.anchor(made["config"])] if elos else ())
            first = short(made["model"]), made["config"], origin, made["architecture"]
            last = " ".join(map(short, made["parents"])), made["state"], ", ".join(elos)
            rows.append((*first, made["parameters"], *last))
        if not rows:
            return f"no networks{f' for {config}' if config else ''} in the log"
        columns = "model config >generation architecture >parameters parent state"
        rating = " or ".join(sorted(map(elo_label, anchors))) or "rating"
        return table((*columns.split(), rating), rows, plain=True)
