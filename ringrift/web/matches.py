"""Matches on the pages: their picture, their games, and the scores by seat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

import msgspec
from markupsafe import Markup
from msgspec import Struct

from ringrift.deciders.stats.wilson import wilson_interval
from ringrift.events.facts import seats_of as seats_in
from ringrift.events.tickets import request_of
from ringrift.insight.running import Match, Played, Standing
from ringrift.log.topology import GAMES
from ringrift.web import drawing
from ringrift.web.fold import Fold
from ringrift.web.view import View

GAMES_MAX = 2000
"""games of a match that are looked at"""
READ_MAX = 20_000
"""games read to find those of a match"""
OPENING_MOVES_MAX = 12


class Trial(NamedTuple):
    """A match as it stands, its test as a picture, the 95 % interval of its score by games."""

    match: Match
    now: Standing
    bar: Markup | None
    interval: tuple[float, float] | None


class Game(Struct, frozen=True, kw_only=True):
    """A game of a match: `seq` in `GAMES`, number, seat of the candidate (from 1), its score."""

    seq: int
    ticket: str
    number: int
    seat: int
    score: float
    winner: int
    plies: int
    reason: str
    moves: tuple[str, ...]
    time: datetime


class Start(NamedTuple):
    """The games of one opening: the moves that they share, and the candidate's mean score."""

    ticket: str
    number: int
    opening: str
    games: list[Game]
    score: float


class _Head(Played, frozen=True):
    plies: int = 0
    reason: str = ""
    moves: str = ""


class _Envelope(Struct, frozen=True):
    data: _Head


_DECODER = msgspec.json.Decoder(_Envelope)

BySeat = tuple[int, int, float]
"""seat, games, mean score of the candidate on it"""


def trial_of(match: Match, fold: Fold) -> Trial:
    """Return a match as it stands by the settings in force."""
    now = match.standing(fold.in_force.settings.promotion)
    bar = drawing.trial_bar(now.evidence) if now.evidence else None
    interval = wilson_interval(now.score, now.games) if now.score is not None else None
    return Trial(match, now, bar, interval)


def classes_of(trial: Trial) -> Markup:
    """Draw how many starts ended with each mean score of the candidate."""
    steps = len(trial.now.counts) - 1
    labels = ["0", "½", "1", "1½", "2"]
    if trial.match.seats > 2:
        each = range(steps + 1)
        labels = [f"{number / steps:.0%}" if number % 3 == 0 else "" for number in each]
    return drawing.class_bars(trial.now.counts, labels)


async def games_of(view: View, match: Match, until: int | None = None) -> list[Game]:
    """Return the games of a match that are in the log, in the order in which they were stored;
    with `until`, only those before that event of `EVENTS`. Those of ended matches are kept."""
    if (kept := view.games_of.get(match.seq)) is not None:
        return kept
    wanted = sum(ticket.starts for ticket in match.tickets.values()) * match.seats
    end = view.index.time_of(until) if until else None
    found: dict[str, Game] = {}
    looked = 0
    filters = [f"ringrift.game.{match.config}.completed"]
    async for batch in view.log.read(GAMES, filters=filters, start_time=match.since):
        for entry in batch:
            looked += 1
            game = _game(entry.body, entry.seq, entry.time, match)
            if game is not None and (end is None or entry.time <= end):
                found.setdefault(f"{game.ticket}-{game.number}", game)
        if len(found) >= min(wanted, GAMES_MAX) or looked >= READ_MAX:
            break
    games = list(found.values())
    if not match.open and until is None:
        view.games_of.put(match.seq, games)
    return games


def _game(body: bytes, seq: int, time: datetime, match: Match) -> Game | None:
    if not any(request_of(ticket).encode() in body for ticket in match.tickets):
        return None
    try:
        head = _DECODER.decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    number = head.game.rpartition("-")[2]
    if head.ticket not in match.tickets or not number.isdecimal() or len(head.ranks) != match.seats:
        return None
    seat = int(number) % match.seats
    return Game(
        seq=seq,
        ticket=head.ticket,
        number=int(number),
        seat=seat + 1,
        score=(match.seats - head.ranks[seat]) / (match.seats - 1),
        winner=head.winner,
        plies=head.plies,
        reason=head.reason,
        moves=tuple(head.moves.split(" ", OPENING_MOVES_MAX + 1)[:OPENING_MOVES_MAX]),
        time=time,
    )


def starts_of(games: Sequence[Game], seats: int) -> list[Start]:
    """Return the starts of a match with their games, newest first."""
    found: dict[tuple[str, int], list[Game]] = {}
    for game in games:
        found.setdefault((game.ticket, game.number // seats), []).append(game)
    starts = []
    for (ticket, number), group in found.items():
        group.sort(key=lambda game: game.number)
        columns = zip(*(game.moves for game in group), strict=False)
        shared = takewhile(lambda moves: len(set(moves)) == 1, columns)
        opening = " ".join(moves[0] for moves in shared) if len(group) > 1 else ""
        score = sum(game.score for game in group) / len(group)
        starts.append(Start(ticket, number, opening, group, score))
    return starts[::-1]


async def seats_of(
    view: View, match: Match, until: int | None = None
) -> list[tuple[int, int, float]]:
    """Return the scores of the candidate by its seat, of the games that are in the log."""
    games = await games_of(view, match, until)
    found = []
    for seat in range(1, seats_in(match.config) + 1):
        scores = [game.score for game in games if game.seat == seat]
        if scores:
            found.append((seat, len(scores), sum(scores) / len(scores)))
    return found
