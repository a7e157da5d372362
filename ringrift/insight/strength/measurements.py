"""The results of measuring matches, from the log alone: scores with intervals, ladders, tiers, and
the curve over generations. The same log always gives the same report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.errors import CommandError
from ringrift.events import Recorded, facts
from ringrift.events.facts import seats_of
from ringrift.events.tickets import tickets_of
from ringrift.insight.describe import completed, short
from ringrift.insight.generations import ConfigView, LoopView
from ringrift.insight.scores import Score
from ringrift.log import read
from ringrift.log.protocol import Log, Progress

Share = tuple[float, float, float]
"""A share of games won, and the lower and upper limit of its 95 % interval."""


class MatchResult(Struct, frozen=True, kw_only=True):
    """The score of `candidate` against `opponent`.

    score       share of games won, 0..1; a game without a winner counts as not won
    low, high   its 95 % interval (Wilson), each game a sample
    fair        the share that equal strength would win: 1 / seats"""

    candidate: str
    opponent: str
    games: int
    wins: float
    score: float
    low: float
    high: float
    fair: float
    play_seconds: float

    @property
    def verdict(self) -> str:
        """`stronger` or `weaker` if the interval excludes equal strength, else `open`."""
        if self.low > self.fair:
            return "stronger"
        return "weaker" if self.high < self.fair else "open"


class CurvePoint(Struct, frozen=True, kw_only=True):
    """A network of the loop: self-play games before its training, and its scores against both
    baselines."""

    generation: int
    games: int
    promoted: bool | None
    random: Share | None
    heuristic: Share | None


class StrengthReport(Struct, frozen=True, kw_only=True):
    """The measured strength of one network, and the curve of its config."""

    config: str
    model: str
    generation: int
    games_generated: int
    results: tuple[MatchResult, ...]
    curve: tuple[CurvePoint, ...]


class Rung(Struct, frozen=True, kw_only=True):
    """One step of a ladder: a budget against the one below it, with the same harness and
    evaluator."""

    player: str
    budget: int
    below: int
    result: MatchResult


@dataclass(kw_only=True)
class Measurements:
    """A fold of `EVENTS`: the measuring matches of one config, its networks and generations."""

    config: str
    loop: LoopView = field(default_factory=LoopView)
    models: dict[str, facts.ModelMade | facts.ModelAdopted] = field(default_factory=dict)
    tickets: dict[str, facts.EvaluationRequested] = field(default_factory=dict)
    asked: dict[tuple[object, ...], str] = field(default_factory=dict)
    """Tickets by the identity of their request."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by ticket."""
    scored: dict[str, facts.EvaluationScored] = field(default_factory=dict)

    @property
    def view(self) -> ConfigView:
        """The generations of the config."""
        return self.loop.of(self.config)

    @property
    def seats(self) -> int:
        """Seats of a game."""
        return seats_of(self.config)

    @classmethod
    async def read(cls, log: Log, config: str, progress: Progress | None = None) -> Measurements:
        """Fold what the log holds about the strength of a config."""
        known = cls(config=config)
        async for recorded in read.facts(log, progress=progress):
            known.take(recorded)
        return known

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        self.loop.take(recorded)
        event, meta = recorded
        match event:
            case facts.ModelRegistered() | facts.ModelDerived() | facts.ModelAdopted() if (
                event.config == self.config
            ):
                self.models[event.model] = event
            case facts.EvaluationRequested() if event.config == self.config:
                if event.purpose in facts.MEASURING:
                    self.ask(event, meta.position)
            case facts.EvaluationScored() if event.ticket in self.tickets:
                self.scored[event.ticket] = event
            case facts.EvaluationFailed() if event.ticket in self.tickets:
                self.failed[event.ticket] = event.reason

    def ask(self, request: facts.EvaluationRequested, position: str) -> None:
        """Fold a request that is stored at a position."""
        for ticket in tickets_of(request, position):
            self.tickets[ticket.ticket] = request
            self.asked[identity(request)] = ticket.ticket

    def model(self, wanted: str) -> str:
        """Return the digest of the `current` network, or of the one that starts with `wanted`.

        Raises CommandError if there is none, or more than one."""
        if wanted == "current":
            if self.view.current is None:
                remedy = f"run `ringrift up --config {self.config}`, or give --model DIGEST"
                raise CommandError(f"{self.config} has no current network yet: {remedy}")
            return self.view.current
        return completed(wanted, self.models, f"of {self.config}")

    def results(self, purpose: facts.Purpose, candidate: str | None = None) -> list[MatchResult]:
        """Return the scores of the matches of a purpose, or only those of one network."""
        found = self._matches(purpose)
        return [row for asked, row in found if candidate in (None, asked.candidate.model)]

    def rungs(self) -> list[Rung]:
        """Return the ladders, ordered by player and budget."""
        found = []
        for asked, result in self._matches("ladder"):
            budget, below = asked.candidate.simulations, asked.opponent.simulations
            player = _player(asked.candidate)
            found.append(Rung(player=player, budget=budget, below=below, result=result))
        return sorted(found, key=lambda rung: (rung.player, rung.budget, rung.below))

    def report(self, model: str) -> StrengthReport:
        """Return the report on a network."""
        generation = self.models[model].generation
        rows = [row for _, row in sorted(self.view.generations.items()) if row.model]
        return StrengthReport(
            config=self.config,
            model=model,
            generation=generation,
            games_generated=self.view.generation(generation).games,
            results=tuple(self.results("strength", model)),
            curve=tuple(
                CurvePoint(
                    generation=row.number,
                    games=row.games,
                    promoted=row.promoted,
                    random=_share(row.scores.get("random")),
                    heuristic=_share(row.scores.get("heuristic")),
                )
                for row in rows
            ),
        )

    def _matches(
        self, purpose: facts.Purpose
    ) -> Iterator[tuple[facts.EvaluationRequested, MatchResult]]:
        """Yield the first request and the score of each pairing that has games, all rounds and
        seeds added up, in the order of the requests."""
        rounds: dict[tuple[str, str], list[str]] = {}
        for ticket, request in self.tickets.items():
            if request.purpose == purpose and ticket in self.scored:
                names = request.candidate.participant, request.opponent.participant
                rounds.setdefault(names, []).append(ticket)
        for (candidate, opponent), tickets in rounds.items():
            scores = [self.scored[ticket] for ticket in tickets]
            games, wins = sum(row.games for row in scores), sum(row.wins for row in scores)
            low, high = wilson_interval(wins / games, games)
            yield (
                self.tickets[tickets[0]],
                MatchResult(
                    candidate=candidate,
                    opponent=opponent,
                    games=games,
                    wins=wins,
                    score=wins / games,
                    low=max(0.0, low),
                    high=min(1.0, high),
                    fair=1 / self.seats,
                    play_seconds=round(sum(row.play_seconds for row in scores), 3),
                ),
            )


def identity(request: facts.EvaluationRequested) -> tuple[object, ...]:
    """Return what makes a request equal to another, in any round and under any settings."""
    names = request.candidate.participant, request.opponent.participant
    return (request.config, request.purpose, *names, request.starts, request.seed)


def highest_beaten(results: Sequence[MatchResult], tiers: Sequence[tuple[str, str]]) -> str | None:
    """Return the highest of `tiers` (name and participant, ascending) that is beaten with all tiers
    below it."""
    beaten = {result.opponent for result in results if result.verdict == "stronger"}
    highest = None
    for name, participant in tiers:
        if participant not in beaten:
            break
        highest = name
    return highest


def _share(score: Score | None) -> Share | None:
    return (score.share, *score.interval) if score and score.games else None


def _player(seat: facts.Seat) -> str:
    """Return the name of the ladder of a rung: its harness, and its network or evaluator."""
    return f"{seat.harness} with {short(seat.model) if seat.model else f'the {seat.evaluator}'}"
