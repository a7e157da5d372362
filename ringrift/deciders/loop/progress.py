"""How far one config has come between planned, played, exported and trained: running counts."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events.facts import (
    MEASURING,
    EvaluationScored,
    QualityDegraded,
    QualityRecovered,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings

Z_95 = 1.959963984540054


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of one config since the beginning, but `..._new`, which count since the last training
    request."""

    games_planned: int = 0
    games_played: int = 0
    spare_planned: int = 0
    spare_played: int = 0
    """games that no generation waits for"""
    games_evaluated: int = 0
    games_exported: int = 0
    samples_new: int = 0
    wins_new: tuple[int, ...] = ()
    """games won by seat 1, 2, ... in the shards since the last training request, where they tell"""
    training: bool = False
    """a training of the generation in play has been requested"""
    degraded: bool = False
    """the quality of the data is"""

    def after(
        self,
        event: SelfplayPlanned
        | SelfplayFinished
        | EvaluationScored
        | ShardExported
        | TrainingRequested
        | QualityDegraded
        | QualityRecovered,
    ) -> Progress:
        """Counts once `event` has happened."""
        match event:
            case SelfplayPlanned() if event.spare:
                return replace(self, spare_planned=self.spare_planned + event.games)
            case SelfplayFinished() if event.spare:
                spare, played = self.spare_planned - event.lost, self.spare_played + event.games
                return replace(self, spare_planned=spare, spare_played=played)
            case SelfplayPlanned():
                return replace(self, games_planned=self.games_planned + event.games, training=False)
            case SelfplayFinished():
                planned, played = self.games_planned - event.lost, self.games_played + event.games
                return replace(self, games_planned=planned, games_played=played)
            case EvaluationScored() if event.purpose in MEASURING:
                return self  # its games go into no shard
            case EvaluationScored():
                return replace(self, games_evaluated=self.games_evaluated + event.games)
            case ShardExported() if event.supersedes:
                return self  # games that were counted already
            case ShardExported():
                exported, samples = (
                    self.games_exported + event.games,
                    self.samples_new + event.samples,
                )
                wins = event.summary.wins if event.summary else ()
                wins = (
                    tuple(map(sum, zip(wins, self.wins_new, strict=True)))
                    if wins and self.wins_new
                    else wins or self.wins_new
                )
                return replace(self, games_exported=exported, samples_new=samples, wins_new=wins)
            case TrainingRequested():
                return replace(self, samples_new=0, wins_new=(), training=True)
            case QualityDegraded() | QualityRecovered():
                return replace(self, degraded=isinstance(event, QualityDegraded))

    def enough(self, settings: TrainingSettings) -> bool:
        """The new samples make a training: enough of them, or fewer that are telling."""
        return self.samples_new >= self.needed(settings) or self.telling(settings)

    def needed(self, settings: TrainingSettings) -> int:
        """New samples that make a training; fewer while the data are poor, for a newer network
        plays better ones."""
        return math.ceil(
            settings.min_samples * (settings.degraded_samples if self.degraded else 1.0)
        )

    def telling(self, settings: TrainingSettings) -> bool:
        """The outcome is known closely from few samples (requirement G08.03): 1.96 sqrt(p (1 - p) /
        n) within the bound, with p the strongest seat's share of wins and n the samples. Samples of
        one game are not independent, so this is a generous bound."""
        games = sum(self.wins_new)
        if not games or self.samples_new < settings.early_samples:
            return False
        p = max(self.wins_new) / games
        return Z_95 * math.sqrt(p * (1.0 - p) / self.samples_new) <= settings.early_half_width

    @property
    def games_outstanding(self) -> int:
        """Games asked for and not played, those that nobody waits for included."""
        return max(0, self.games_planned - self.games_played) + max(
            0, self.spare_planned - self.spare_played
        )

    def idle(self, shard_games: int) -> bool:
        """All planned games are played, and what is not exported does not fill another shard."""
        waiting = self.games_played + self.spare_played + self.games_evaluated - self.games_exported
        return 0 < self.games_planned <= self.games_played and waiting < shard_games
