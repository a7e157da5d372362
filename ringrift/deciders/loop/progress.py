"""Running counts of a config: games planned, played and exported, and new samples."""

import math

from ringrift.deciders.kit import Fold, Struct, noted, replace
from ringrift.events import facts as f
from ringrift.events.settings import TrainingSettings


class Progress(Struct, frozen=True, kw_only=True):
    """Counts since the beginning; those named `..._new` since the last request of a training."""

    games_planned: int = 0
    games_played: int = 0
    spare_planned: int = 0
    spare_played: int = 0
    """spare games, which no generation waits for"""
    games_evaluated: int = 0
    games_exported: int = 0
    samples_new: int = 0
    wins_new: tuple[int, ...] = ()
    """games won by seat 1, 2, ... in the shards that have a summary"""
    training: bool = False
    """a training of the generation in play was requested"""
    degraded: bool = False
    """the quality of the data is degraded"""
    tickets: tuple[str, ...] = ()
    """counted"""

    def enough(self, settings: TrainingSettings) -> bool:
        """Whether there are enough new samples for a training, or fewer with a clear outcome."""
        return self.samples_new >= self.needed(settings) or self.conclusive(settings)

    def needed(self, settings: TrainingSettings) -> int:
        """New samples that a training needs; fewer while the quality is degraded, since a newer
        network plays better games."""
        share = settings.degraded_samples if self.degraded else 1.0
        return math.ceil(settings.min_samples * share)

    def conclusive(self, settings: TrainingSettings) -> bool:
        """Whether few samples have a clear outcome (requirement G08.03).

        1.96 sqrt(p (1 - p) / n) is within the limit, with p the share of wins of the strongest seat
        and n the samples. Samples of one game are not independent, so the limit is generous."""
        games = sum(self.wins_new)
        if not games or self.samples_new < settings.early_samples:
            return False
        p = max(self.wins_new) / games
        return f.Z_95 * math.sqrt(p * (1.0 - p) / self.samples_new) <= settings.early_half_width

    @property
    def games_outstanding(self) -> int:
        """Games planned and not played, spare games included."""
        spare = max(0, self.spare_planned - self.spare_played)
        return max(0, self.games_planned - self.games_played) + spare

    def idle(self, shard_games: int) -> bool:
        """Whether all planned games are played, and the rest does not fill another shard."""
        waiting = self.games_played + self.spare_played + self.games_evaluated - self.games_exported
        return 0 < self.games_planned <= self.games_played and waiting < shard_games


PROGRESS = Fold(Progress)


@PROGRESS.evolves
def planned(item: Progress, fact: f.SelfplayPlanned) -> Progress:
    if fact.spare:
        return replace(item, spare_planned=item.spare_planned + fact.games)
    return replace(item, games_planned=item.games_planned + fact.games, training=False)


@PROGRESS.evolves
def played(item: Progress, fact: f.SelfplayFinished) -> Progress:
    if fact.ticket in item.tickets:
        return item
    item = replace(item, tickets=noted(item.tickets, fact.ticket))
    if fact.spare:
        left, played = item.spare_planned - fact.lost, item.spare_played + fact.games
        return replace(item, spare_planned=left, spare_played=played)
    left, played = item.games_planned - fact.lost, item.games_played + fact.games
    return replace(item, games_planned=left, games_played=played)


@PROGRESS.evolves
def evaluated(item: Progress, fact: f.EvaluationScored) -> Progress:
    if fact.purpose in f.MEASURING or fact.ticket in item.tickets:
        return item  # no shard holds its games
    tickets = noted(item.tickets, fact.ticket)
    return replace(item, games_evaluated=item.games_evaluated + fact.games, tickets=tickets)


@PROGRESS.evolves
def exported(item: Progress, fact: f.ShardExported) -> Progress:
    if fact.supersedes:  # its games were counted before; imported ones had no samples then
        return replace(item, samples_new=item.samples_new + fact.samples_added)
    wins = fact.summary.wins if fact.summary else ()
    if wins and item.wins_new:
        wins = tuple(map(sum, zip(wins, item.wins_new, strict=True)))
    return replace(
        item,
        games_exported=item.games_exported + fact.games - fact.imported,
        samples_new=item.samples_new + fact.samples,
        wins_new=wins or item.wins_new,
    )


@PROGRESS.evolves
def requested(item: Progress, fact: f.TrainingRequested) -> Progress:
    return replace(item, samples_new=0, wins_new=(), training=True)


@PROGRESS.evolves
def assessed(item: Progress, fact: f.QualityChange) -> Progress:
    return replace(item, degraded=isinstance(fact, f.QualityDegraded))
