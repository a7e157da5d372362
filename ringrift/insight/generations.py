"""The table of generations: training data, scores and verdict of each network. A fold of
`EVENTS`."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ringrift.deciders.fleet.troubles import Troubles
from ringrift.deciders.loop.adoption import awaited
from ringrift.deciders.loop.attempts import ATTEMPTS_MAX
from ringrift.deciders.loop.repeats import BASELINES
from ringrift.events import Recorded, facts
from ringrift.insight.scores import Score
from ringrift.log import read
from ringrift.log.protocol import Log, Progress


@dataclass(kw_only=True)
class Generation:
    """One network: generation g is trained on the games of generations 0..g-1."""

    number: int
    games: int = 0
    """Self-play games finished when its training was requested."""
    samples: int = 0
    steps: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    model: str | None = None
    parameters: int = 0
    scores: dict[str, Score] = field(default_factory=dict)
    """By purpose: promotion, random, heuristic."""
    evaluating: bool = False
    """Whether a match of it has begun."""
    evaluation_failed: bool = False
    """Whether its newest evaluation failed."""
    failures: dict[str, int] = field(default_factory=dict)
    """Failed evaluations by purpose."""
    promoted: bool | None = None
    why: str = ""
    judged_at: datetime | None = None
    tainted: bool = False
    """Whether it learned from games that are retracted."""

    def measured_against(self, baseline: str) -> bool:
        """Whether it has played a baseline, or will not, since these matches failed."""
        return baseline in self.scores or self.failures.get(baseline, 0) >= ATTEMPTS_MAX


@dataclass(kw_only=True)
class ConfigView:
    """One config."""

    config: str
    generations: MutableMapping[int, Generation] = field(default_factory=dict)
    unjudged: dict[int, datetime] = field(default_factory=dict)
    """Generations with a network and without a verdict, and since when."""
    judged: int = 0
    """Number of the newest generation with a verdict, 0 if none."""
    games: int = 0
    plies: int = 0
    play_seconds: float = 0.0
    games_planned: int = 0
    games_before: int = 0
    """Games planned for earlier generations than the one that is played."""
    evaluation_games: int = 0
    shards: int = 0
    samples: int = 0
    rejected: int = 0
    retracted: int = 0
    """Games excluded from ratings and training."""
    playing: int | None = None
    """Generation whose games are being played."""
    training: facts.TrainingProgressed | None = None
    left: dict[str, int] = field(default_factory=lambda: {"own": 0, "ahead": 0})
    """Games to play: those that a generation waits for, those that are played meanwhile."""
    training_now: int | None = None
    """Generation whose network is being trained, or is to be."""
    training_wanted: datetime | None = None
    """Since when it waits for a trainer."""
    delayed: tuple[facts.TrainingDelayed, datetime] | None = None
    """What a due training waits for, and since when."""
    awaited: str | None = None
    """The config with whose network this one may begin."""
    training_failed: int | None = None
    """Generation whose training failed, until another is requested."""
    current: str | None = None
    ratings: tuple[facts.Rating, ...] = ()
    anchor: str | None = None
    """Participant whose Elo is 0."""
    unrated: tuple[str, ...] = ()
    """Participants that no chain of games connects with the anchor."""
    names: MutableMapping[str, str] = field(default_factory=dict)
    """Participant as which the loop evaluated a network, by digest; with other budgets and
    harnesses it has other names."""
    samples_of: MutableMapping[int, int] = field(default_factory=dict)
    """Samples of the newest shard with an index."""

    @property
    def doing(self) -> str:
        """The step of the loop that the config is in, or what it waits for."""
        ahead = ", playing ahead" if self.left["ahead"] > 0 else ""
        if self.training_now is not None:
            if self.training_wanted is None:
                return f"training generation {self.training_now}{ahead}"
            generation = f"generation {self.training_now} {_since(self.training_wanted)}"
            return f"waiting for a trainer for {generation}{ahead}"
        newest = max(self.unjudged, default=-1)
        if self.left["own"] > 0 and newest <= (self.playing or 0) and not self.delayed:
            return f"playing generation {self.playing}"
        if self.training_failed is not None:
            return f"stopped by the failed training of generation {self.training_failed}"
        if any(self.generations[number].evaluation_failed for number in self.unjudged):
            return f"stopped by a failed evaluation of generation {newest}"
        if self.delayed is not None:
            fact, since = self.delayed
            longest = "" if fact.seconds_max is None else f", at most {fact.seconds_max:.0f} s"
            what = f"training with {', '.join(fact.others)}" if fact.others else fact.reason
            return f"waiting for {what} {_since(since)}{longest}{ahead}"
        if self.unjudged:
            if any(self.generations[number].evaluating for number in self.unjudged):
                return f"evaluating generation {newest}{ahead}"
            generation = f"generation {newest} {_since(self.unjudged[newest])}"
            return f"waiting for an evaluator for {generation}{ahead}"
        if self.games:
            return f"waiting for shards of generation {self.playing}"
        return f"waiting for the first network of {self.awaited}" if self.awaited else "starting"

    def generation(self, number: int) -> Generation:
        """Return the row of a generation, created if missing; it may be changed."""
        return self.generations.setdefault(number, Generation(number=number))

    def _trained(self, number: int, model: str, time: datetime) -> Generation:
        row = self.generation(number)
        row.model = row.model if row.promoted else model
        if row.promoted is None:
            self.unjudged.setdefault(number, time)
        return row

    def rating(self, prefix: str) -> facts.Rating | None:
        """Return the rating of the participant whose name starts with `prefix`."""
        rows = (row for row in self.ratings if row.participant.startswith(prefix))
        return next(rows, None)

    def rating_of(self, model: str | None) -> facts.Rating | None:
        """Return the rating of a network, as the participant that the loop evaluated."""
        return self.rating(self.names.get(model, f"{model[:12]}:")) if model else None

    def take(self, event: facts.ConfigFact, time: datetime) -> None:
        """Fold an event of this config."""
        match event:
            case facts.SelfplayPlanned():
                if event.generation != self.playing:
                    self.games_before = self.games_planned
                self.games_planned += event.games
                self.playing = event.generation
                self.left["ahead" if event.spare else "own"] += event.games
            case facts.SelfplayFinished():
                self.games += event.games
                self.games_planned -= event.lost  # they are planned again
                self.left["ahead" if event.spare else "own"] -= event.games + event.lost
                self.plies += event.plies
                self.play_seconds += event.play_seconds
            case facts.ShardExported():
                self.samples += event.samples - self.samples_of.get(event.index, 0)
                self.samples_of[event.index] = event.samples
                if event.supersedes is None:
                    self.shards += 1
                    self.rejected += event.rejected
            case facts.TrainingRequested():
                row = self.generation(event.generation)
                row.games, row.samples = self.games, event.samples
                self.training_now, self.training_failed = event.generation, None
                self.training_wanted, self.delayed = time, None
            case facts.TrainingDelayed():
                self.delayed = event, time
            case facts.TrainingStarted() | facts.TrainingCheckpointed():
                self.training_wanted = None
            case facts.TrainingProgressed():
                self.generation(event.generation)
                self.training, self.training_wanted = event, None
            case facts.TrainingFinished():
                row = self._trained(event.generation, event.model, time)
                row.steps, row.loss = event.steps, event.loss
                row.validation_loss = event.validation_loss
                self.training = self.training_now = self.training_failed = None
            case facts.TrainingFailed() | facts.TrainingTimedOut():
                self.training = self.training_now = None
                self.training_failed = event.generation
            case facts.EvaluationStarted() if event.purpose not in facts.MEASURING:
                self.generation(event.generation).evaluating = True
            case facts.EvaluationFailed():
                row = self.generation(event.generation)
                row.evaluation_failed = True
                row.failures[event.purpose] = row.failures.get(event.purpose, 0) + 1
            case facts.ModelRegistered() | facts.ModelAdopted():
                self._trained(event.generation, event.model, time).parameters = event.parameters
            case facts.ModelPromoted() | facts.PromotionRejected():
                promoted = isinstance(event, facts.ModelPromoted)
                row = self.generation(event.generation)
                if promoted or not row.promoted:  # else the other network of an experiment was
                    row.promoted, row.why, row.judged_at = promoted, event.why, time
                    row.model = event.model
                self.unjudged.pop(event.generation, None)
                self.judged = max(self.judged, event.generation)
                self.current = event.current
            case facts.ModelRolledBack():
                self.current = event.current
            case facts.ModelTainted():
                self.generation(event.generation).tainted = True
            case facts.RatingsUpdated():
                self.ratings, self.anchor = event.ratings, event.anchor
                self.unrated = event.unrated

    def seconds_left(self, wanted: int) -> float | None:
        """Return the time until `wanted` generations are judged, at the pace so far; None before
        two were judged, and if no number is wanted."""
        times = [row.judged_at for row in self.generations.values() if row.judged_at]
        if not wanted or len(times) < 2:
            return None
        each = (max(times) - min(times)).total_seconds() / (len(times) - 1)
        return max(0.0, (wanted - self.judged) * each)

    def complete(self, wanted: int) -> bool:
        """Whether this many generations have a verdict, and scores against both baselines unless
        these matches have failed as often as they are tried."""
        rows = [self.generations.get(number) for number in range(1, wanted + 1)]
        return all(
            row and row.promoted is not None and all(map(row.measured_against, BASELINES))
            for row in rows
        )


def _since(time: datetime) -> str:
    return f"since {time:%H:%M:%S} UTC"


@dataclass(kw_only=True)
class LoopView:
    """Every config, and the settings in force; `table` makes the dictionaries that grow with the
    log."""

    table: Callable[[], MutableMapping[Any, Any]] = dict
    configs: dict[str, ConfigView] = field(default_factory=dict)
    on: tuple[str, ...] = ()
    """Configs of the settings in force."""
    settings_version: int = 0
    generations_wanted: int = 0
    dead_letters: int = 0
    """Unresolved ones."""
    paused: dict[str, str] = field(default_factory=dict)
    """Reasons by `<scope>/<kind>`."""
    seq: int = 0
    scored: MutableMapping[str, facts.EvaluationScored] = field(init=False)
    """Results of the loop's own evaluations by ticket."""
    left_out: set[str] = field(default_factory=set)
    """Retracted tickets."""
    troubles: Troubles = field(default_factory=Troubles)
    used: facts.UtilisationSampled | None = None
    """How the machines were used in the last minute."""

    def __post_init__(self) -> None:
        self.scored = self.table()

    def of(self, config: str) -> ConfigView:
        """Return the view of a config, created if missing."""
        if config not in self.configs:
            self.configs[config] = ConfigView(
                config=config, generations=self.table(), names=self.table(), samples_of=self.table()
            )
        return self.configs[config]

    def finished(self) -> bool:
        """Whether all wanted generations of all configs that are on are complete."""
        views, wanted = [self.of(config) for config in self.on], self.generations_wanted
        return bool(wanted and views) and all(view.complete(wanted) for view in views)

    @classmethod
    async def read(cls, log: Log, progress: Progress | None = None) -> LoopView:
        """Fold the whole log."""
        view = cls()
        async for recorded in read.facts(log, progress=progress):
            view.take(recorded)
        return view

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        self.seq = max(self.seq, meta.seq)
        self.troubles.take(recorded)
        match event:
            case facts.SettingsChanged():
                self.settings_version = event.version
                self.generations_wanted = event.settings.generations
                self.on = event.settings.configs
                for config in event.settings.configs:
                    self.of(config).awaited = awaited(config, event.settings)
            case facts.UtilisationSampled():
                self.used = event
            case facts.DeadLetterStored():
                self.dead_letters += 1
            case facts.DeadLetterResolved():
                self.dead_letters = max(0, self.dead_letters - 1)
            case facts.PipelinePaused():
                self.paused[f"{event.scope}/{event.kind}"] = event.why
            case facts.PipelineResumed():
                self.paused.pop(f"{event.scope}/{event.kind}", None)
            case facts.EvaluationScored():
                self._score(event)
            case facts.EvaluationRefuted():
                self._leave_out(event.ticket)
            case facts.GamesRetracted():
                self._retract(event)
            case facts.ModelDerived():
                pass  # may be of a config that is not trained
            case facts.ConfigFact():
                self.of(event.config).take(event, meta.time)

    def _score(self, event: facts.EvaluationScored) -> None:
        view = self.of(event.config)
        view.evaluation_games += event.games
        if event.purpose in facts.MEASURING or event.ticket in self.left_out:
            return
        self.scored[event.ticket] = event
        if event.candidate_model:
            view.names[event.candidate_model] = event.candidate
        row = view.generation(event.generation)
        row.evaluating, row.evaluation_failed = True, False
        row.scores.setdefault(event.purpose, Score()).add(event)

    def _retract(self, event: facts.GamesRetracted) -> None:
        view = self.of(event.config)
        view.retracted += event.count
        self.left_out.update(event.unscored_tickets)
        for ticket in event.scored_tickets:
            self._leave_out(ticket)

    def _leave_out(self, ticket: str) -> None:
        """Take a score back that counts no more."""
        if (result := self.scored.pop(ticket, None)) is not None:
            scores = self.of(result.config).generation(result.generation).scores
            scores[result.purpose].add(result, -1)
            if scores[result.purpose].games == 0:
                del scores[result.purpose]
