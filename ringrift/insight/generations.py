"""The table of generations: what each network was made from, how it scored, and whether it was
promoted. A fold of `EVENTS`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events import Fact, Recorded
from ringrift.events.facts import (
    MEASURING,
    DeadLetterResolved,
    DeadLetterStored,
    EvaluationScored,
    GamesRetracted,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    ModelTainted,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    Rating,
    RatingsUpdated,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingFinished,
    TrainingProgressed,
    TrainingRequested,
    TrainingStarted,
)


@dataclass(kw_only=True)
class Score:
    """Points of a match: `wins` of `games`, which come from `starts`, each played once from every
    seat."""

    wins: float = 0.0
    games: int = 0
    starts: int = 0

    @property
    def share(self) -> float:
        """Share of points, 0..1."""
        return self.wins / self.games

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share (Wilson 1927), a game a sample. The games of one start are not
        independent: where the seat decides they even each other out and the true interval is
        narrower, where the start favours one player it is wider."""
        return wilson_interval(self.share, self.games)

    def document(self) -> dict[str, Any]:
        """The score as `--json` shows it, with the interval as `interval_95`."""
        return {
            "wins": self.wins,
            "games": self.games,
            "share": self.share,
            "interval_95": self.interval,
        }

    def add(self, event: EvaluationScored, sign: int = 1) -> None:
        """Count one more result of the same match, or with the sign -1 one less."""
        self.wins += sign * event.wins
        self.games += sign * event.games
        self.starts += sign * sum(count for _, count in event.scores)


@dataclass(kw_only=True)
class Generation:
    """One network: generation g is trained on the games of generations 0..g-1. Times are those of
    the events (UTC)."""

    number: int
    games: int = 0
    """self-play games that had been finished when its training was requested"""
    samples: int = 0
    steps: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    model: str | None = None
    parameters: int = 0
    scores: dict[str, Score] = field(default_factory=dict)
    """by purpose: promotion, random, heuristic"""
    promoted: bool | None = None
    why: str = ""
    judged_at: datetime | None = None
    tainted: bool = False
    """it learned from games that are retracted"""


@dataclass(kw_only=True)
class ConfigView:
    """One config as an operator sees it."""

    config: str
    generations: dict[int, Generation] = field(default_factory=dict)
    games: int = 0
    plies: int = 0
    play_seconds: float = 0.0
    games_planned: int = 0
    evaluation_games: int = 0
    shards: int = 0
    samples: int = 0
    rejected: int = 0
    retracted: int = 0
    """games that count as if they had never come"""
    playing: int | None = None
    """generation whose games are being played"""
    training: TrainingProgressed | None = None
    current: str | None = None
    ratings: tuple[Rating, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    """participant as which the loop measured a network, by its digest: with other budgets and
    harnesses it has more names"""
    training_now: int | None = None
    """generation whose network is being trained"""
    samples_of: dict[int, int] = field(default_factory=dict)
    """samples in force by index of the shard"""

    @property
    def doing(self) -> str:
        """The step of the loop that the config is in."""
        if self.training_now is not None:
            return f"training generation {self.training_now}"
        if self.games < self.games_planned:
            return f"playing generation {self.playing}"
        if any(row.model and row.promoted is None for row in self.generations.values()):
            return f"measuring generation {max(self.generations)}"
        return "exporting" if self.games else "starting"

    def generation(self, number: int) -> Generation:
        """Row of a generation, made when first asked for."""
        return self.generations.setdefault(number, Generation(number=number))

    def rating(self, participant_prefix: str) -> Rating | None:
        """Rating of the participant whose name begins so."""
        return next(
            (row for row in self.ratings if row.participant.startswith(participant_prefix)), None
        )

    def rating_of(self, model: str | None) -> Rating | None:
        """Rating of a network, as the player that the loop measured."""
        return self.rating(self.names.get(model, f"{model[:12]}:")) if model else None

    @property
    def judged(self) -> int:
        """Number of the newest judged generation, 0 if none."""
        return max(
            (row.number for row in self.generations.values() if row.promoted is not None), default=0
        )


@dataclass(kw_only=True)
class LoopView:
    """Every config, and the settings in force."""

    configs: dict[str, ConfigView] = field(default_factory=dict)
    settings_version: int = 0
    generations_wanted: int = 0
    dead_letters: int = 0
    """that nobody has resolved"""
    paused: dict[str, str] = field(default_factory=dict)
    """why, by `<scope>/<kind>`"""
    seq: int = 0
    scored: dict[str, EvaluationScored] = field(default_factory=dict)
    """results of the loop's own matches by ticket"""
    left_out: set[str] = field(default_factory=set)
    """retracted tickets"""

    def of(self, config: str) -> ConfigView:
        """View of a config, made when first asked for."""
        return self.configs.setdefault(config, ConfigView(config=config))

    def fold(self, events: Iterable[Recorded]) -> None:
        """Take in events in the order of the log."""
        for event, meta in events:
            self.seq = max(self.seq, meta.seq)
            self._take(event, meta.time)

    def finished(self) -> bool:
        """All wanted generations are judged and measured against both baselines."""
        wanted = self.generations_wanted
        return bool(wanted and self.configs) and all(
            _complete(view, wanted) for view in self.configs.values()
        )

    def _take(self, event: Fact, time: datetime) -> None:
        match event:
            case SettingsChanged():
                self.settings_version, self.generations_wanted = (
                    event.version,
                    event.settings.generations,
                )
                for config in event.settings.configs:
                    self.of(config)
            case SelfplayPlanned() | SelfplayFinished() | ShardExported():
                _take_games(self.of(event.config), event)
            case (
                TrainingRequested()
                | TrainingStarted()
                | TrainingProgressed()
                | TrainingFinished()
                | ModelRegistered()
            ):
                _take_training(self.of(event.config), event)
            case EvaluationScored():
                view = self.of(event.config)
                view.evaluation_games += event.games
                if event.purpose in MEASURING or event.ticket in self.left_out:
                    return
                self.scored[event.ticket] = event
                if event.candidate_model:
                    view.names[event.candidate_model] = event.candidate
                view.generation(event.generation).scores.setdefault(event.purpose, Score()).add(
                    event
                )
            case ModelPromoted() | PromotionRejected():
                view, promoted = self.of(event.config), isinstance(event, ModelPromoted)
                row = view.generation(event.generation)
                row.promoted, row.why, row.judged_at = promoted, event.why, time
                view.current = event.model if isinstance(event, ModelPromoted) else event.current
            case ModelRolledBack():
                self.of(event.config).current = event.current
            case GamesRetracted():
                self._retract(event)
            case ModelTainted():
                self.of(event.config).generation(event.generation).tainted = True
            case RatingsUpdated():
                self.of(event.config).ratings = event.ratings
            case DeadLetterStored():
                self.dead_letters += 1
            case DeadLetterResolved():
                self.dead_letters = max(0, self.dead_letters - 1)
            case PipelinePaused():
                self.paused[f"{event.scope}/{event.kind}"] = event.why
            case PipelineResumed():
                self.paused.pop(f"{event.scope}/{event.kind}", None)

    def _retract(self, event: GamesRetracted) -> None:
        """Take the results of the retracted tickets back."""
        view = self.of(event.config)
        view.retracted += event.count
        self.left_out.update(event.unscored_tickets)
        for ticket in event.scored_tickets:
            if (result := self.scored.pop(ticket, None)) is not None:
                scores = view.generation(result.generation).scores
                scores[result.purpose].add(result, -1)
                if scores[result.purpose].games == 0:
                    del scores[result.purpose]


def _take_games(
    view: ConfigView, event: SelfplayPlanned | SelfplayFinished | ShardExported
) -> None:
    match event:
        case SelfplayPlanned():
            view.games_planned += event.games
            view.playing = event.generation
        case SelfplayFinished():
            view.games += event.games
            view.games_planned -= event.lost
            view.plies += event.plies
            view.play_seconds += event.play_seconds
        case ShardExported():
            view.shards += event.supersedes is None
            view.samples += event.samples - view.samples_of.get(event.index, 0)
            view.samples_of[event.index] = event.samples
            view.rejected += event.rejected if event.supersedes is None else 0


def _take_training(
    view: ConfigView,
    event: TrainingRequested
    | TrainingStarted
    | TrainingProgressed
    | TrainingFinished
    | ModelRegistered,
) -> None:
    row = view.generation(event.generation)
    match event:
        case TrainingRequested():
            row.games, row.samples = view.games, event.samples
            view.training_now = event.generation
        case TrainingProgressed():
            view.training = event
        case TrainingFinished():
            row.steps, row.loss, row.validation_loss, row.model = (
                event.steps,
                event.loss,
                event.validation_loss,
                event.model,
            )
            view.training, view.training_now = None, None
        case ModelRegistered():
            row.model, row.parameters = event.model, event.parameters


def _complete(view: ConfigView, wanted: int) -> bool:
    rows = [view.generations.get(number) for number in range(1, wanted + 1)]
    return all(
        row and row.promoted is not None and {"random", "heuristic"} <= row.scores.keys()
        for row in rows
    )
