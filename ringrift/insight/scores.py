"""The points of a match, with their interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events import facts


@dataclass(kw_only=True)
class Score:
    """Points of a match: `wins` of `games`, from `starts` that are each played once per seat."""

    wins: float = 0.0
    games: int = 0
    starts: int = 0

    @property
    def share(self) -> float:
        """Share of points, 0..1."""
        return self.wins / self.games

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share (Wilson 1927), each game a sample.

        The games of one start are not independent: if the seat decides, they balance and the true
        interval is narrower; if the start favours one player, it is wider."""
        return wilson_interval(self.share, self.games)

    def document(self) -> dict[str, Any]:
        """Return the score as plain values."""
        share, interval = self.share, self.interval
        return {"wins": self.wins, "games": self.games, "share": share, "interval_95": interval}

    def add(self, event: facts.EvaluationScored, sign: int = 1) -> None:
        """Add a result of the match, or subtract it with sign -1."""
        self.wins += sign * event.wins
        self.games += sign * event.games
        self.starts += sign * sum(count for _, count in event.scores)
