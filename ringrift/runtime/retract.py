"""Retraction: excludes games from ratings and training, as a fact that all consumers follow."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import Any

from ringrift.deciders.loop.rating import gathered
from ringrift.deciders.loop.retraction import GameHead, retracted
from ringrift.errors import CommandError
from ringrift.events import draft, facts
from ringrift.events.tickets import tickets_of
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect, Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.runtime.game_heads import game_heads

RESULTS = "ringrift.evaluation.>"
TRIES_MAX = 5
TICKETS_MAX = 10_000
"""Tickets of one fact: half a megabyte, well below the maximum size of a message."""
MATCHES = ("evaluation", "tournament")
"""Origins of games that belong to a match."""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


class NothingFound(CommandError):
    """No game is selected, or all are already retracted."""


Games = list[tuple[int, GameHead]]
"""Sequences in `GAMES`, and heads."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The games to retract: those that meet every criterion given."""

    node: str | None = None
    model: str | None = None
    """The first digits of the digest of a network that played."""
    games: tuple[str, ...] = ()
    """Ids."""
    first_seq: int = 1
    last_seq: int | None = None
    config: str | None = None
    why: str

    @classmethod
    def of(cls, games: str | None, **criteria: Any) -> Selection:
        """Return a selection whose games are given as `A..B` (sequences of `GAMES`) or as ids
        separated by commas. Raises CommandError for a range that ends before it starts."""
        if span := _RANGE.fullmatch(games or ""):
            first, last = int(span[1]), int(span[2])
            if not 1 <= first <= last:
                raise CommandError(f"{games!r} is not a range: give the smaller sequence first")
            return cls(first_seq=first, last_seq=last, **criteria)
        ids = sorted({word for word in (games or "").split(",") if word})
        return cls(games=tuple(ids), **criteria)

    def includes(self, head: GameHead, model: str | None) -> bool:
        """Whether a game in the range is selected; `model` is the whole digest."""
        return (
            self.node in (None, head.node)
            and (model is None or any(seat.model == model for seat in head.seats))
            and (not self.games or head.game in self.games)
        )


@dataclass(kw_only=True)
class _Matches:
    """Results and earlier retractions, up to `seq`, the newest event of a match."""

    seq: int = 0
    scored: dict[str, facts.EvaluationScored] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)
    """Candidates by ticket."""
    retractions: list[facts.GamesRetracted] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    def model(self, prefix: str) -> str:
        """The network whose digest starts with `prefix`. Raises CommandError."""
        found = [model for model in dict.fromkeys(self.models) if model.startswith(prefix)]
        if len(found) != 1:
            what = f"{len(found) or 'no'} networks in the log start with {prefix!r}"
            raise CommandError(f"{what}: `ringrift model list` shows them")
        return found[0]

    def retraction(self, asked: Selection, model: str | None, games: Games) -> facts.GamesRetracted:
        """Return the retraction of games of one config, with all matches that any of them belongs
        to. Raises CommandError."""
        config = games[0][1].config
        earlier = {
            name
            for event in self.retractions
            for name in (*event.scored_tickets, *event.unscored_tickets)
        }
        touched = dict.fromkeys(head.ticket for _, head in games if head.origin in MATCHES)
        tickets = [ticket for ticket in touched if ticket not in earlier]
        if len(tickets) > TICKETS_MAX:
            what = f"{len(tickets):,} matches of {config} at once, at most {TICKETS_MAX:,}"
            raise CommandError(f"{what}: retract ranges with --games A..B")
        scored = [self.scored[ticket] for ticket in tickets if ticket in self.scored]
        candidates = [self.candidates[name] for name in tickets if name in self.candidates]
        return facts.GamesRetracted(
            config=config,
            node=asked.node,
            model=model,
            games=tuple(sorted(head.game for _, head in games)) if asked.games else (),
            first_seq=games[0][0],
            last_seq=games[-1][0],
            count=len(games),
            scored_tickets=tuple(event.ticket for event in scored),
            unscored_tickets=tuple(ticket for ticket in tickets if ticket not in self.scored),
            candidates=tuple(dict.fromkeys(candidates)),
            rankings=gathered(row for event in scored for row in event.rankings),
            scored_games=sum(event.games for event in scored),
            why=asked.why,
        )


async def retract(
    log: Log,
    asked: Selection,
    source: str,
    progress: Progress | None = None,
    *,
    cause: str | None = None,
) -> list[facts.GamesRetracted]:
    """Write one fact for each config with selected games. Raises CommandError if there are no such
    games, or if results of matches keep arriving."""
    for _ in range(TRIES_MAX):
        found, seq = await retractions(log, asked, progress)
        drafts = [
            draft(fact, cause=cause, source=source, key=fact.config if cause else time.time_ns())
            for fact in found
        ]
        # a result that arrives in the meantime must be retracted as well
        with contextlib.suppress(ConcurrencyError):
            await log.append(drafts, Expect(RESULTS, seq))
            return found
    remedy = "run `ringrift pause --kind evaluation` first"
    raise CommandError(f"results of matches kept arriving in {TRIES_MAX} tries: {remedy}")


async def retractions(
    log: Log, asked: Selection, progress: Progress | None = None
) -> tuple[list[facts.GamesRetracted], int]:
    """Return the facts to write, and the newest event of a match that they take into account.

    Raises CommandError."""
    matches = await _matches(log)
    model = None if asked.model is None else matches.model(asked.model)
    chosen: dict[str, Games] = {}
    configs, after = (asked.config,) if asked.config else (), asked.first_seq - 1
    heads = game_heads(log, *configs, after=after, until=asked.last_seq, progress=progress)
    async for seq, _, head in heads:
        if asked.includes(head, model) and not retracted(matches.retractions, head, seq):
            chosen.setdefault(head.config, []).append((seq, head))
    if not chosen:
        raise NothingFound("no game matches: none exists, or all are already retracted")
    found = [matches.retraction(asked, model, games) for _, games in sorted(chosen.items())]
    return found, matches.seq


async def retract_imported(
    log: Log, imported: str, config: str | None, why: str, source: str
) -> list[facts.MatchesRetracted]:
    """Write one fact for each config with results of matches that were imported from `imported`
    and are not retracted yet."""
    counted: dict[str, list[facts.Ranking]] = {}
    async for fact, _ in read.facts(log, facts.MatchesImported, facts.MatchesRetracted):
        match fact:
            case facts.MatchesImported(source=name) if name == imported:
                counted.setdefault(fact.config, []).extend(fact.rankings)
            case facts.MatchesRetracted(source=name) if name == imported:
                counted.pop(fact.config, None)
    found = [
        facts.MatchesRetracted(
            config=wanted,
            source=imported,
            games=sum(row.count for row in rows),
            rankings=gathered(rows),
            why=why,
        )
        for wanted, rows in sorted(counted.items())
        if config in (None, wanted)
    ]
    key = str(time.time_ns())
    await log.append([draft(fact, cause=None, source=source, key=key) for fact in found])
    return found


async def _matches(log: Log) -> _Matches:
    kinds = (
        facts.EvaluationRequested,
        facts.EvaluationScored,
        facts.GamesRetracted,
        facts.ModelRegistered,
        facts.ModelDerived,
    )
    last = await log.last(EVENTS, RESULTS)
    found = _Matches(seq=last.seq if last else 0)
    async for event, meta in read.facts(log, *kinds, until=await log.tail(EVENTS)):
        match event:
            case facts.EvaluationRequested() if event.candidate.model:
                for ticket in tickets_of(event, meta.position):
                    found.candidates[ticket.ticket] = event.candidate.model
            case facts.EvaluationScored():
                found.scored[event.ticket] = event
            case facts.GamesRetracted():
                found.retractions.append(event)
            case facts.ModelRegistered() | facts.ModelDerived():
                found.models.append(event.model)
    return found
