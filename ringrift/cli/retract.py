"""`ringrift retract`: games that count as if they had never come, as a fact that everything else
follows."""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ringrift.cli.control import known_scope
from ringrift.cli.source import opened, progress
from ringrift.deciders.loop.rating import added
from ringrift.deciders.loop.retraction import retracted
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import (
    EvaluationRequested,
    EvaluationScored,
    GamesRetracted,
    ModelDerived,
    ModelRegistered,
    Ranking,
)
from ringrift.events.tickets import tickets_of
from ringrift.insight.heads import GameEnvelope, GameHead
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect, Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.process import node_name

RESULTS = "ringrift.evaluation.>"
TRIES_MAX = 5
TICKETS_MAX = 10_000
"""tickets of one fact: half a megabyte, well below the limit of a message"""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be retracted; each criterion as far as it is given."""

    node: str | None = None
    model: str | None = None
    games: tuple[str, ...] = ()
    first_seq: int = 1
    last_seq: int | None = None
    config: str | None = None
    why: str


@dataclass(kw_only=True)
class Known:
    """What the log says of results and of earlier retractions."""

    scored: dict[str, EvaluationScored] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)
    """network on trial by ticket"""
    retractions: list[GamesRetracted] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    results_seq: int = 0
    """newest event of a match"""

    @property
    def tickets_gone(self) -> set[str]:
        """Tickets that an earlier retraction took back."""
        return {
            ticket
            for event in self.retractions
            for ticket in (*event.scored_tickets, *event.unscored_tickets)
        }


async def retract(options: argparse.Namespace) -> int:
    """Write the facts, one for each config concerned. Raises CommandError if there is no such game
    that still counts."""
    asked = choice(options)
    async with opened(options) as log:
        for _ in range(TRIES_MAX):
            with progress("reading history") as report:
                facts = await retractions(log, asked, report)
            with contextlib.suppress(ConcurrencyError):  # a result came meanwhile
                await log.append(
                    [
                        draft(
                            fact,
                            cause=None,
                            source=f"ringrift@{node_name()}",
                            key=str(time.time_ns()),
                        )
                        for fact in facts[0]
                    ],
                    Expect(RESULTS, facts[1]),
                )
                return _say(options, facts[0])
    raise CommandError(
        f"results of matches kept coming in {TRIES_MAX} tries: `ringrift pause --kind evaluation` first"
    )


def choice(options: argparse.Namespace) -> Choice:
    """What the command line asks for. Raises CommandError."""
    if not (options.node or options.model or options.games):
        raise CommandError("say which games: --node NODE, --model DIGEST or --games A..B|ID,...")
    if options.config:
        known_scope(options.config)
    first, last, ids = 1, None, ()
    if options.games and (span := _RANGE.fullmatch(options.games)):
        first, last = int(span[1]), int(span[2])
        if not 1 <= first <= int(span[2]):
            raise CommandError(f"{options.games!r} is no range: write the smaller sequence first")
    elif options.games:
        ids = tuple(sorted({word for word in options.games.split(",") if word}))
    return Choice(
        node=options.node,
        model=options.model,
        games=ids,
        first_seq=first,
        last_seq=last,
        config=options.config,
        why=options.why,
    )


async def retractions(
    log: Log, asked: Choice, report: Progress | None = None
) -> tuple[list[GamesRetracted], int]:
    """The facts to be written, and the newest event of a match that they know of. Raises
    CommandError."""
    known = await _known(log)
    model = _whole(asked.model, known.models)
    chosen: dict[str, list[tuple[int, GameHead]]] = {}
    decoder = msgspec.json.Decoder(GameEnvelope)
    filters = [f"ringrift.game.{asked.config or '*'}.completed"]
    async for batch in log.read(
        GAMES, filters=filters, start_seq=asked.first_seq, until_seq=asked.last_seq, progress=report
    ):
        for entry in batch:
            with contextlib.suppress(
                msgspec.DecodeError, UnicodeDecodeError
            ):  # is in no shard and no rating
                head = decoder.decode(entry.body).data
                if _chosen(asked, model, head) and not retracted(
                    known.retractions, head, entry.seq
                ):
                    chosen.setdefault(head.config, []).append((entry.seq, head))
    if not chosen:
        raise CommandError("no such game counts: there is none, or it is retracted already")
    return [
        _fact(asked, model, config, games, known) for config, games in sorted(chosen.items())
    ], known.results_seq


def _chosen(asked: Choice, model: str | None, head: GameHead) -> bool:
    return (
        (asked.node is None or head.node == asked.node)
        and (model is None or any(seat.model == model for seat in head.seats))
        and (not asked.games or head.game in asked.games)
    )


def _fact(
    asked: Choice, model: str | None, config: str, games: list[tuple[int, GameHead]], known: Known
) -> GamesRetracted:
    """The retraction of these games: with them go the tickets that any of them belongs to."""
    touched = dict.fromkeys(
        head.ticket for _, head in games if head.origin in ("evaluation", "tournament")
    )
    fresh = [ticket for ticket in touched if ticket not in known.tickets_gone]
    if len(fresh) > TICKETS_MAX:
        raise CommandError(
            f"{len(fresh):,} matches of {config} at once, at most {TICKETS_MAX:,}: retract ranges with --games A..B"
        )
    scored = [known.scored[ticket] for ticket in fresh if ticket in known.scored]
    return GamesRetracted(
        config=config,
        node=asked.node,
        model=model,
        games=tuple(sorted(head.game for _, head in games)) if asked.games else (),
        first_seq=games[0][0],
        last_seq=games[-1][0],
        count=len(games),
        scored_tickets=tuple(event.ticket for event in scored),
        unscored_tickets=tuple(ticket for ticket in fresh if ticket not in known.scored),
        candidates=tuple(
            dict.fromkeys(
                known.candidates[ticket] for ticket in fresh if ticket in known.candidates
            )
        ),
        rankings=_sum(event.rankings for event in scored),
        scored_games=sum(event.games for event in scored),
        why=asked.why,
    )


def _sum(parts: Iterable[tuple[Ranking, ...]]) -> tuple[Ranking, ...]:
    total: tuple[Ranking, ...] = ()
    for rankings in parts:
        total = added(total, rankings)
    return total


async def _known(log: Log) -> Known:
    kinds = (EvaluationRequested, EvaluationScored, GamesRetracted, ModelRegistered, ModelDerived)
    known, last = Known(), await log.last(EVENTS, RESULTS)
    known.results_seq = last.seq if last else 0
    async for event, meta in read.facts(log, *kinds, until=await log.tail(EVENTS)):
        match event:
            case EvaluationRequested() if event.candidate.model:
                known.candidates |= {
                    ticket.ticket: event.candidate.model
                    for ticket in tickets_of(event, meta.position)
                }
            case EvaluationScored():
                known.scored[event.ticket] = event
            case GamesRetracted():
                known.retractions.append(event)
            case ModelRegistered() | ModelDerived():
                known.models.add(event.model)
    return known


def _whole(prefix: str | None, models: set[str]) -> str | None:
    """The digest that begins so. Raises CommandError."""
    if prefix is None:
        return None
    found = sorted(model for model in models if model.startswith(prefix))
    if len(found) != 1:
        raise CommandError(
            f"{len(found) or 'no'} networks begin with {prefix!r}: give more digits of one of `ringrift model list`"
        )
    return found[0]


def _say(options: argparse.Namespace, facts: list[GamesRetracted]) -> int:
    if options.json:
        print(msgspec.json.encode({"retracted": facts}).decode())
        return 0
    for fact in facts:
        matches = (
            f", with {len(fact.scored_tickets) + len(fact.unscored_tickets)} matches"
            if fact.scored_tickets or fact.unscored_tickets
            else ""
        )
        print(f"{fact.config}: {fact.count:,} games are retracted{matches}")
    print("ratings, shards and the next window follow while the consumers run (`ringrift up`)")
    return 0
