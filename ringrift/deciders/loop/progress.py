"""Running counts of a config: games planned, played and exported, and new samples."""

import math

from ringrift.deciders.kit import Context, Fold, Struct, noted, replace
from ringrift.deciders.loop.repeats import BASELINES
from ringrift.events import facts as f
from ringrift.events.settings import TrainingSettings

AHEAD_FACTOR_MAX = 4
"""times the games of a generation that may be played ahead, should they hold no samples"""
UNEXPORTED_SHARDS_MAX = 4
"""shards of games that wait to be exported, at which no more are played ahead"""


class Progress(Struct, frozen=True, kw_only=True):
    """Counts since the beginning; those named `..._new` since the last request of a training."""

    games_planned: int = 0
    games_played: int = 0
    spare_planned: int = 0
    spare_played: int = 0
    """spare games, which no generation waits for"""
    games_evaluated: int = 0
    games_exported: int = 0
    baseline_games: int = 0
    """games against baselines since the last other game or shard: they make no shard"""
    samples_new: int = 0
    wins_new: tuple[int, ...] = ()
    """games won by seat 1, 2, ... in the shards that have a summary"""
    generation: int = 0
    """in play"""
    wanted: int = 0
    """games of its plans, without those that could not be played"""
    own_new: int = 0
    """games of its plans that are played"""
    ahead_new: int = 0
    """other self-play games since the last request"""
    samples_asked: int = 0
    """new samples of the newest training that was requested"""
    asked: int = 0
    """its generation"""
    passed: float = 0.0
    """samples that it passes over"""
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
        return 0 < self.games_planned <= self.games_played and self._cut(shard_games)

    def suffices(self, shard_games: int) -> bool:
        """Whether the games of a generation are played, or half of them and as many ahead as the
        others, and the rest does not fill another shard."""
        played = self.own_new >= -(-self.wanted // 2) and self.games_planned > 0
        all_in_all = self.own_new + self.ahead_new >= self.wanted
        return self.idle(shard_games) or (played and all_in_all and self._cut(shard_games))

    def _cut(self, shard_games: int, shards: int = 1) -> bool:
        waiting = self.games_played + self.spare_played + self.games_evaluated - self.games_exported
        return waiting - self.baseline_games < shards * shard_games

    def may_play_ahead(self, settings: TrainingSettings, shard_games: int) -> bool:
        """Whether few enough new samples wait to be learned from, and games to be exported."""
        few = self.samples_new < settings.ahead_samples * self.passed
        fewer = self.ahead_new < AHEAD_FACTOR_MAX * self.wanted
        return few and fewer and self._cut(shard_games, UNEXPORTED_SHARDS_MAX)


PROGRESS = Fold(Progress)


@PROGRESS.evolves
def planned(item: Progress, fact: f.SelfplayPlanned) -> Progress:
    if fact.spare:
        return replace(item, spare_planned=item.spare_planned + fact.games)
    goes_on = fact.generation == item.generation and not item.training
    return replace(
        item,
        games_planned=item.games_planned + fact.games,
        generation=fact.generation,
        wanted=fact.games + (item.wanted if goes_on else 0),
        own_new=item.own_new if goes_on else 0,
        training=False,
    )


@PROGRESS.evolves
def played(item: Progress, fact: f.SelfplayFinished) -> Progress:
    if fact.ticket in item.tickets:
        return item
    item = replace(item, tickets=noted(item.tickets, fact.ticket), baseline_games=0)
    own = not fact.spare and fact.generation == item.generation and not item.training
    if own:
        wanted, new = max(0, item.wanted - fact.lost), item.own_new + fact.games
        item = replace(item, wanted=wanted, own_new=new)
    else:
        item = replace(item, ahead_new=item.ahead_new + fact.games)
    if fact.spare:
        left, played = item.spare_planned - fact.lost, item.spare_played + fact.games
        return replace(item, spare_planned=left, spare_played=played)
    left, played = item.games_planned - fact.lost, item.games_played + fact.games
    return replace(item, games_planned=left, games_played=played)


@PROGRESS.evolves
def evaluated(item: Progress, fact: f.EvaluationScored | f.EvaluationAbandoned) -> Progress:
    if fact.purpose in f.MEASURING or fact.ticket in item.tickets:
        return item  # no shard holds its games
    against_baseline = fact.purpose in BASELINES
    return replace(
        item,
        games_evaluated=item.games_evaluated + fact.games,
        baseline_games=item.baseline_games + fact.games if against_baseline else 0,
        tickets=noted(item.tickets, fact.ticket),
    )


@PROGRESS.evolves
def exported(item: Progress, fact: f.ShardExported) -> Progress:
    if fact.supersedes:  # its games were counted before; imported ones had no samples then
        return replace(item, samples_new=item.samples_new + fact.samples_added)
    uncounted = fact.imported + len(fact.people) + len(fact.tournaments)
    wins = fact.summary.wins if fact.summary else ()
    if wins and item.wins_new:
        wins = tuple(map(sum, zip(wins, item.wins_new, strict=True)))
    return replace(
        item,
        games_exported=item.games_exported + fact.games - uncounted,
        baseline_games=0,
        samples_new=item.samples_new + fact.samples,
        wins_new=wins or item.wins_new,
    )


@PROGRESS.evolves
def requested(item: Progress, fact: f.TrainingRequested, context: Context) -> Progress:
    if fact.arm == "b":
        return item  # of an experiment: on the samples of arm a
    again = item.samples_asked if fact.generation == item.asked else 0
    epochs = context.settings.training.epochs
    return replace(
        item,
        samples_new=0,
        wins_new=(),
        own_new=0,
        ahead_new=0,
        samples_asked=item.samples_new + again,
        asked=fact.generation,
        passed=min(fact.samples * epochs * fact.intensity, f.VALUE_MAX),
        training=True,
    )


@PROGRESS.evolves
def assessed(item: Progress, fact: f.QualityChange) -> Progress:
    return replace(item, degraded=isinstance(fact, f.QualityDegraded))
