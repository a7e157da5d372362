"""Totals of the decisions about one config, and their costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ringrift.events import Fact, Recorded, facts


@dataclass(kw_only=True)
class Totals:
    """Sums over the decisions about one config. Seconds are None if history has no measurements.

    verdict_seconds   mean time from the registration of a network to its verdict
    worker_seconds    cost of the requested games and samples, at the mean recorded cost of one"""

    decisions: dict[str, int] = field(default_factory=dict)
    """By type."""
    games: int = 0
    evaluation_starts: int = 0
    trainings: int = 0
    samples: int = 0
    promoted: int = 0
    rejected: int = 0
    verdict_seconds: float | None = None
    worker_seconds: float | None = None

    @classmethod
    def of(
        cls, config: str, decisions: Iterable[tuple[Fact, datetime]], history: Sequence[Recorded]
    ) -> Totals:
        """Add up decisions, each with the time of its cause."""
        found, waits = cls(), []
        registered = {
            event.model: meta.time
            for event, meta in history
            if isinstance(event, facts.ModelRegistered)
        }
        for fact, time in decisions:
            if getattr(fact, "config", "all") != config:
                continue
            kind = type(fact).__name__
            found.decisions[kind] = found.decisions.get(kind, 0) + 1
            match fact:
                case facts.SelfplayPlanned():
                    found.games += fact.games
                case facts.EvaluationRequested():
                    found.evaluation_starts += fact.starts
                case facts.TrainingRequested():
                    found.trainings += 1
                    found.samples += fact.samples
                case facts.ModelPromoted() | facts.PromotionRejected():
                    found.promoted += isinstance(fact, facts.ModelPromoted)
                    found.rejected += isinstance(fact, facts.PromotionRejected)
                    if fact.model in registered:
                        waits.append((time - registered[fact.model]).total_seconds())
        found.verdict_seconds = sum(waits) / len(waits) if waits else None
        found.worker_seconds = found._cost(config, history)
        return found

    def _cost(self, config: str, history: Iterable[Recorded]) -> float | None:
        games = samples = 0
        play = train = 0.0
        for event, _ in history:
            match event:
                case facts.SelfplayFinished() if event.config == config:
                    games, play = games + event.games, play + event.play_seconds
                case facts.TrainingFinished() if event.config == config:
                    samples, train = samples + event.samples, train + event.train_seconds
        unknown = (self.games and not games) or (self.samples and not samples)
        if unknown or not (self.games or self.samples):
            return None
        played = self.games * play / games if games else 0.0
        trained = self.samples * train / samples if samples else 0.0
        return played + trained
