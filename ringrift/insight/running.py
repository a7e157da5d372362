"""Matches while they are played: their score so far, start by start, and how far the sequential
test is from its thresholds.

A match is all rounds of one pairing for one purpose. What an `EvaluationScored` says counts; until
then the games of a ticket are counted one by one, as `GAMES` has them. Feed `Running` with the
facts of `EVENTS` in order, and with games in any order and as often as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.loop.verdict import Scores, class_counts, judge, merged
from ringrift.events import Recorded, facts as f
from ringrift.events.settings import PromotionSettings
from ringrift.events.tickets import tickets_of

ORIGINS = frozenset({"evaluation", "tournament"})
"""of the games of matches"""


class Played(Struct, frozen=True):
    """The fields of `GameCompleted` that a running score needs: ten times faster to decode than the
    whole game."""

    game: str
    config: str
    origin: str
    ticket: str
    ranks: tuple[int, ...]
    winner: int = 0
    node: str = ""


class Standing(NamedTuple):
    """A match as it stands.

    games, games_wanted    games played; those of all rounds that were requested
    starts, starts_max     starts with all their games; where the test ends at the latest, 0 without
                           a test
    points                 sum of the candidate's scores (1 first, 0 last) over the games played
    scores                 (mean score of a start, number of such starts), worst first
    counts                 starts by score class, worst first: the pentanomial of two seats, the
                           seat rotations of more
    evidence               the sequential test over these starts, None before the first one
    """

    games: int
    games_wanted: int
    starts: int
    starts_max: int
    points: float
    scores: Scores
    counts: tuple[int, ...]
    evidence: f.Evidence | None

    @property
    def score(self) -> float | None:
        """The candidate's mean score over the games played, 0..1."""
        return self.points / self.games if self.games else None


class Ticket(Struct, frozen=True, kw_only=True):
    """One request: `points` has the candidate's score of each of its games, by number. `scored_at`
    is the sequence of `scored`."""

    seq: int
    round: int
    starts: int
    points: dict[int, float] = {}
    scored: f.EvaluationScored | None = None
    scored_at: int = 0
    failed: str = ""
    abandoned: bool = False
    """the match was decided without it"""
    left_out: bool = False
    """its games are retracted, or its score is refuted"""

    @property
    def open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.scored is None and not self.failed and not self.abandoned


class Match(Struct, frozen=True, kw_only=True):
    """A pairing of one purpose, with its rounds by ticket; `seq` is that of its first request."""

    seq: int
    config: str
    generation: int
    purpose: f.Purpose
    candidate: f.Seat
    opponent: f.Seat
    since: datetime
    tickets: dict[str, Ticket] = {}
    ended: Recorded | None = None
    """the verdict on the candidate, or what made another network its rival"""

    @property
    def open(self) -> bool:
        """Whether more games are to come: of a requested round, or of the next one of a test. Once
        a test is decided, its other games are not needed."""
        if self.purpose == "promotion":
            return self.ended is None
        return any(ticket.open for ticket in self.tickets.values())

    @property
    def seats(self) -> int:
        """Number of seats."""
        return f.seats_of(self.config)

    @property
    def verdict(self) -> f.Verdict | None:
        """The verdict on the candidate."""
        event = self.ended.event if self.ended else None
        if isinstance(event, f.Verdict) and event.model == self.candidate.model:
            return event
        return None

    def counted(self, game: Played | f.GameCompleted) -> Match:
        """The match after one more game; the same if it does not wait for this game."""
        ticket, number = self.tickets[game.ticket], game.game.rpartition("-")[2]
        seats, index = len(game.ranks), int(number) if number.isdecimal() else -1
        fits = seats == self.seats and 0 <= index < ticket.starts * seats
        if not (fits and ticket.open) or index in ticket.points:
            return self
        # game `start * seats + rotation`: the candidate has seat `rotation`
        point = (seats - game.ranks[index % seats]) / (seats - 1)
        return self.changed(game.ticket, points={**ticket.points, index: point})

    def changed(self, name: str, **changes: object) -> Match:
        """The match after changes of a ticket."""
        return replace(self, tickets=self.tickets | {name: replace(self.tickets[name], **changes)})

    def standing(self, settings: PromotionSettings) -> Standing:
        """The match as it stands; by these settings if it is a test for promotion."""
        known = [ticket for ticket in self.tickets.values() if not ticket.left_out]
        scores, games, points = Scores(), 0, 0.0
        for ticket in known:
            ours = ticket.scored.scores if ticket.scored else _scores(ticket.points, self.seats)
            scores = merged(scores, ours)
            if ticket.scored:
                games += ticket.scored.games
                points += ticket.scored.games * _mean(ours)
            else:
                games += len(ticket.points)
                points += math.fsum(ticket.points.values())
        starts, tested = sum(count for _, count in scores), self.purpose == "promotion"
        evidence = None
        if tested and starts:
            _, evidence, _ = judge(scores, games, settings, first="", config=self.config)
        return Standing(
            games=games,
            games_wanted=self.seats * sum(ticket.starts for ticket in known),
            starts=starts,
            starts_max=settings.starts_max if tested else 0,
            points=points,
            scores=scores,
            counts=tuple(class_counts(scores, self.seats)),
            evidence=evidence,
        )


def _mean(scores: Scores) -> float:
    return math.fsum(score * count for score, count in scores) / sum(count for _, count in scores)


def _scores(points: dict[int, float], seats: int) -> Scores:
    """Mean scores of the starts of which all games are played."""
    found = Scores()
    for first in {index - index % seats for index in points}:
        games = [points[index] for index in range(first, first + seats) if index in points]
        if len(games) == seats:
            found = merged(found, ((round(math.fsum(games) / seats, 9), 1),))
    return found


class Running:
    """All matches by the sequence of their first request, the oldest first; `table` makes the
    dictionaries that grow with the log."""

    def __init__(self, table: Callable[[], MutableMapping[Any, Any]] = dict) -> None:
        self.matches: MutableMapping[int, Match] = table()
        self._newest: MutableMapping[tuple[str, str, str, str], int] = table()
        self._of_ticket: MutableMapping[str, int] = table()
        self._of_model: MutableMapping[str, tuple[int, ...]] = table()
        self._open: dict[int, int] = {}

    def open(self, config: str | None = None) -> list[Match]:
        """Matches that wait for games, or for the next round of a test, the oldest first."""
        found = (self.matches[seq] for seq in sorted(self._open))
        return [match for match in found if config in (None, match.config)]

    def newest(self) -> Iterator[Match]:
        """Yield all matches, the newest first."""
        newest: Iterator[int] = reversed(self.matches)  # type: ignore[arg-type]
        return (self.matches[seq] for seq in newest)

    def of_model(self, model: str) -> list[Match]:
        """Matches that a network plays or played, the newest first."""
        return [self.matches[seq] for seq in reversed(self._of_model.get(model, ()))]

    def match_of(self, request: str) -> Match | None:
        """The match that the request at a position such as `EVENTS/12` belongs to."""
        seq = self._of_ticket.get(f"evaluation-{request.replace('/', '-').lower()}")
        return self.matches[seq] if seq else None

    def count(self, game: Played | f.GameCompleted) -> bool:
        """Count a game; say whether a match waited for it."""
        seq = self._of_ticket.get(game.ticket) if game.origin in ORIGINS else None
        if seq is None:
            return False
        before = self.matches[seq]
        self.matches[seq] = before.counted(game)
        return self.matches[seq] is not before

    def take(self, recorded: Recorded) -> None:
        """Fold a fact of `EVENTS`."""
        event, meta = recorded
        match event:
            case f.EvaluationRequested():
                self._requested(recorded)
            case f.EvaluationScored():
                self._change(event.ticket, scored=event, scored_at=meta.seq, points={})
            case f.EvaluationFailed():
                self._change(event.ticket, failed=event.reason or "failed")
            case f.EvaluationAbandoned():
                self._change(event.ticket, abandoned=True)
            case f.EvaluationRefuted():
                self._change(event.ticket, left_out=True)
            case f.GamesRetracted():
                for name in (*event.scored_tickets, *event.unscored_tickets):
                    self._change(name, left_out=True)
            case f.ModelPromoted() | f.PromotionRejected() | f.ModelRolledBack():
                for match in self.open(event.config):
                    if match.purpose == "promotion" and (
                        match.candidate.model == event.model
                        or match.opponent.model != event.current
                    ):
                        self._keep(replace(match, ended=match.ended or recorded))

    def _requested(self, recorded: Recorded) -> None:
        event, meta = recorded
        assert isinstance(event, f.EvaluationRequested)
        names = event.candidate.participant, event.opponent.participant
        key = event.config, event.purpose, *names
        found = self.matches.get(self._newest.get(key, 0))
        if found is None or not found.open:  # a baseline is met again, a test begins again
            found = Match(
                seq=meta.seq,
                config=event.config,
                generation=event.generation,
                purpose=event.purpose,
                candidate=event.candidate,
                opponent=event.opponent,
                since=meta.time,
            )
            self._newest[key] = meta.seq
            models = event.candidate.model, event.opponent.model
            for model in filter(None, dict.fromkeys(models)):
                self._of_model[model] = (*self._of_model.get(model, ()), meta.seq)
        (ticket,) = tickets_of(event, meta.position)
        new = Ticket(seq=meta.seq, round=event.round, starts=event.starts)
        self._of_ticket[ticket.ticket] = found.seq
        self._keep(replace(found, tickets=found.tickets | {ticket.ticket: new}))

    def _change(self, ticket: str, **changes: object) -> None:
        if seq := self._of_ticket.get(ticket):
            match = self.matches[seq]
            if match.tickets[ticket].scored is None or "left_out" in changes:
                self._keep(match.changed(ticket, **changes))

    def _keep(self, match: Match) -> None:
        self.matches[match.seq] = match
        if match.open:
            self._open[match.seq] = match.seq
        else:
            self._open.pop(match.seq, None)
