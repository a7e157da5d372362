"""What measuring matches have shown, from the log alone: scores with intervals, the curve over
generations, ladders and tiers.

Two runs over the same log give the same report, whoever played the matches and whenever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ringrift.deciders.loop.promotion import wilson_interval
from ringrift.events import Recorded
from ringrift.events.facts import (
    MEASURING,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ModelRegistered,
    Purpose,
    Seat,
)
from ringrift.events.tickets import tickets_of
from ringrift.insight.generations import ConfigView, LoopView, Score

Identity = tuple[str, str, str, str, int, int]
"""What makes two requests the same: config, purpose, both participants, pairs, seed."""


class Result(Struct, frozen=True, kw_only=True):
    """One line of a report: how `candidate` did against `opponent`.

    score       share of games won, 0..1; a game without a winner counts as not won
    low, high   its 95 % interval (Wilson), a game a sample
    fair        the share that equal strength would win: 1 / seats
    """

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
        """Who is stronger, as far as the interval tells."""
        return "stronger" if self.low > self.fair else "weaker" if self.high < self.fair else "open"


class CurvePoint(Struct, frozen=True, kw_only=True):
    """A network of the loop: self-play games before its training, and its scores (share, low, high)
    against both baselines."""

    generation: int
    games: int
    promoted: bool | None
    random: tuple[float, float, float] | None
    heuristic: tuple[float, float, float] | None


class StrengthReport(Struct, frozen=True, kw_only=True):
    """All that is known of the strength of one network, and the way there."""

    config: str
    model: str
    generation: int
    games_generated: int
    results: tuple[Result, ...]
    curve: tuple[CurvePoint, ...]


class Rung(Struct, frozen=True, kw_only=True):
    """One step of a ladder: a budget against the one below it, of one harness, evaluator and
    network."""

    player: str
    budget: int
    below: int
    result: Result


@dataclass(kw_only=True)
class Match:
    """All rounds of one pairing and purpose, added up."""

    purpose: Purpose
    candidate: Seat
    opponent: Seat
    wins: float = 0.0
    games: int = 0
    play_seconds: float = 0.0

    def result(self, seats: int) -> Result:
        """The line of a report. A match without games has no result."""
        low, high = wilson_interval(self.wins / self.games, self.games)
        return Result(
            candidate=self.candidate.participant,
            opponent=self.opponent.participant,
            games=self.games,
            wins=self.wins,
            score=self.wins / self.games,
            low=max(0.0, low),
            high=min(1.0, high),
            fair=1 / seats,
            play_seconds=round(self.play_seconds, 3),
        )


@dataclass(kw_only=True)
class Measurements:
    """The measuring matches of one config, its networks, and its generations. A fold of
    `EVENTS`."""

    config: str
    loop: LoopView = field(default_factory=LoopView)
    models: dict[str, ModelRegistered] = field(default_factory=dict)
    tickets: dict[str, EvaluationRequested] = field(default_factory=dict)
    asked: dict[Identity, str] = field(default_factory=dict)
    """ticket of each request"""
    failed: dict[str, str] = field(default_factory=dict)
    """reasons by ticket"""
    scored: dict[str, EvaluationScored] = field(default_factory=dict)

    @property
    def view(self) -> ConfigView:
        """The generations."""
        return self.loop.of(self.config)

    @property
    def seats(self) -> int:
        """Seats of a game."""
        return int(self.config[-2])

    def fold(self, events: Iterable[Recorded]) -> None:
        """Take in events in the order of the log."""
        for event, meta in events:
            self.loop.fold([Recorded(event, meta)])
            match event:
                case ModelRegistered() if event.config == self.config:
                    self.models[event.model] = event
                case EvaluationRequested() if (
                    event.config == self.config and event.purpose in MEASURING
                ):
                    self.ask(event, meta.position)
                case EvaluationScored() if event.ticket in self.tickets:
                    self.scored[event.ticket] = event
                case EvaluationFailed() if event.ticket in self.tickets:
                    self.failed[event.ticket] = event.reason

    def ask(self, request: EvaluationRequested, position: str) -> None:
        """Take in a request at its place in the log."""
        for ticket in tickets_of(request, position):
            self.tickets[ticket.ticket] = request
            self.asked[identity(request)] = ticket.ticket

    def matches(self, purpose: Purpose) -> list[Match]:
        """Every pairing of a purpose that has games, rounds and seeds added up, in the order in
        which they were asked for."""
        found: dict[tuple[str, str], Match] = {}
        for ticket, request in self.tickets.items():
            score = self.scored.get(ticket)
            if request.purpose == purpose and score is not None:
                key = request.candidate.participant, request.opponent.participant
                match = found.setdefault(
                    key,
                    Match(purpose=purpose, candidate=request.candidate, opponent=request.opponent),
                )
                match.wins += score.wins
                match.games += score.games
                match.play_seconds += score.play_seconds
        return list(found.values())

    def results(self, purpose: Purpose, candidate: str | None = None) -> list[Result]:
        """Lines of a report; `candidate` picks those of one network, by digest."""
        return [
            match.result(self.seats)
            for match in self.matches(purpose)
            if candidate is None or match.candidate.model == candidate
        ]


def identity(request: EvaluationRequested) -> Identity:
    """See `Identity`."""
    return (
        request.config,
        request.purpose,
        request.candidate.participant,
        request.opponent.participant,
        request.starts,
        request.seed,
    )


def strength_report(known: Measurements, model: str) -> StrengthReport:
    """The report on a network that is registered."""
    generation = known.models[model].generation
    rows = [row for _, row in sorted(known.view.generations.items())]
    return StrengthReport(
        config=known.config,
        model=model,
        generation=generation,
        games_generated=known.view.generation(generation).games,
        results=tuple(known.results("strength", model)),
        curve=tuple(
            CurvePoint(
                generation=row.number,
                games=row.games,
                promoted=row.promoted,
                random=_share(row.scores.get("random")),
                heuristic=_share(row.scores.get("heuristic")),
            )
            for row in rows
            if row.model
        ),
    )


def rungs(known: Measurements) -> list[Rung]:
    """The ladders of a config: players by name, budgets ascending."""
    found = [
        Rung(
            player=_player(match.candidate),
            budget=match.candidate.simulations,
            below=match.opponent.simulations,
            result=match.result(known.seats),
        )
        for match in known.matches("ladder")
    ]
    return sorted(found, key=lambda rung: (rung.player, rung.budget, rung.below))


def highest_beaten(results: Sequence[Result], tiers: Sequence[tuple[str, str]]) -> str | None:
    """The highest of `tiers`, ascending (name, participant), that is beaten beyond doubt and all
    below it as well."""
    beaten = {result.opponent for result in results if result.verdict == "stronger"}
    highest = None
    for name, participant in tiers:
        if participant not in beaten:
            break
        highest = name
    return highest


def markdown(report: StrengthReport, plot: str) -> str:
    """The report as a page; `plot` is the name of the picture beside it."""
    lines = [
        f"# Strength of {report.config}, generation {report.generation}",
        "",
        f"Network `{report.model}`, trained after {report.games_generated:,} self-play games. Every start is played once from each",
        "seat; intervals are Wilson's at 95 %. Built from the log alone: "
        f"`ringrift strength --config {report.config} --model {report.model[:12]} --report`.",
        "",
        "| player | against | games | won | 95 % interval | fair share | verdict |",
        "|---|---|--:|--:|--:|--:|---|",
        *(
            f"| {row.candidate} | {row.opponent} | {row.games} | {row.score:.1%} | {row.low:.1%} to {row.high:.1%} "
            f"| {row.fair:.1%} | {row.verdict} |"
            for row in report.results
        ),
        "",
        f"![score against games generated]({plot})",
        "",
        "| generation | games before | against random | against the heuristic | promoted |",
        "|--:|--:|--:|--:|---|",
        *(
            f"| {point.generation} | {point.games:,} | {_cell(point.random)} | {_cell(point.heuristic)} "
            f"| {'' if point.promoted is None else 'yes' if point.promoted else 'no'} |"
            for point in report.curve
        ),
    ]
    return "\n".join(lines) + "\n"


def _share(score: Score | None) -> tuple[float, float, float] | None:
    return (score.share, *score.interval) if score and score.games else None


def _cell(share: tuple[float, float, float] | None) -> str:
    return f"{share[0]:.1%} ({share[1]:.1%} to {share[2]:.1%})" if share else ""


def _player(seat: Seat) -> str:
    """What the rungs of one ladder share: harness, and network or evaluator."""
    return f"{seat.harness} with {seat.model[:12] if seat.model else f'the {seat.evaluator}'}"
