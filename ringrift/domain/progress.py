"""How far one config has come between planned, played, exported and trained: four running counts."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events.facts import MEASURING, EvaluationScored, SelfplayFinished, SelfplayPlanned, ShardExported, TrainingRequested


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of one config since the beginning, but `samples_new`, which counts since the last training request."""

    games_planned: int = 0
    games_played: int = 0
    games_evaluated: int = 0
    games_exported: int = 0
    samples_new: int = 0
    training: bool = False
    """a training of the generation in play has been requested"""

    def after(self, event: SelfplayPlanned | SelfplayFinished | EvaluationScored | ShardExported | TrainingRequested) -> Progress:
        """Counts once `event` has happened."""
        match event:
            case SelfplayPlanned():
                return replace(self, games_planned=self.games_planned + event.games, training=False)
            case SelfplayFinished():
                planned, played = self.games_planned - event.lost, self.games_played + event.games
                return replace(self, games_planned=planned, games_played=played)
            case EvaluationScored() if event.purpose in MEASURING:
                return self  # its games go into no shard
            case EvaluationScored():
                return replace(self, games_evaluated=self.games_evaluated + event.games)
            case ShardExported():
                exported, samples = self.games_exported + event.games, self.samples_new + event.samples
                return replace(self, games_exported=exported, samples_new=samples)
            case TrainingRequested():
                return replace(self, samples_new=0, training=True)

    def idle(self, shard_games: int) -> bool:
        """All planned games are played, and what is not exported does not fill another shard."""
        waiting = self.games_played + self.games_evaluated - self.games_exported
        return 0 < self.games_planned <= self.games_played and waiting < shard_games
