"""Recounts scores as they are written: a score counts once its games were found in `GAMES`, played
again by the rules and counted the same."""

import asyncio

from msgspec.structs import asdict

from ringrift.consumers.verification.games import COUNTED
from ringrift.events import EventMeta, Fact, UndecodableEvent, facts as f
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.matches import score_of
from ringrift.learning.play import Host
from ringrift.learning.shards import GameRejected, check_game
from ringrift.log import read
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.controls import quarantines_in_force
from ringrift.runtime.process import Process

MISSED_SECONDS = (0.5, 2.0, 5.0)
"""between two looks for games that are missing: they were acknowledged before the score, but a copy
of the stream may be late"""
REASON_CHARS_MAX = 2_000
Games = dict[int, f.GameCompleted]
"""The first game with each number of a match."""


async def keep_recounting(process: Process, fence: Expect) -> None:
    """Recount every new score once, while the setting `evaluation.recount` or `trust.required` is
    on, until cancelled."""
    log, kinds = process.log, (f.EvaluationRecounted, f.EvaluationRefuted)
    tail = await log.tail(EVENTS)
    done = {meta.cause async for _, meta in read.facts(log, *kinds, until=tail)}
    async for score, meta in read.follow(log, f.EvaluationScored):
        if meta.position in done:
            continue
        settings, _ = await read.settings_in_force(log)
        if settings.recounts:
            fact = await recounted(process, score, meta)
            await process.append(fact, cause=meta.position, expect=fence)


async def recounted(process: Process, score: f.EvaluationScored, meta: EventMeta) -> Fact:
    """The fact that a score counts, or does not. Raises StreamError."""
    guilty = await quarantines_in_force(process.log, meta.seq)
    if score.node in guilty:
        return _refuted(score, meta, "its node is quarantined", forged=False)
    ticket = await _ticket(process, score, meta)
    if ticket is None:
        return _refuted(score, meta, "no request asks for it", forged=False)
    request = ticket.request
    games: Games = {}
    for pause in (*MISSED_SECONDS, None):
        games = await _games(process, ticket)
        missing = request.starts * f.seats_of(request.config) - len(games)
        if not missing:
            break
        if pause is None:
            return _refuted(score, meta, f"{missing} of its games are missing", forged=False)
        await process.wait(pause)
    reason = await asyncio.to_thread(_difference, ticket, score, games)
    if reason:
        own = all(game.node == score.node for game in games.values())
        return _refuted(score, meta, reason, forged=own)
    return f.EvaluationRecounted(**asdict(score))


async def _ticket(
    process: Process, score: f.EvaluationScored, meta: EventMeta
) -> EvaluationTicket | None:
    try:
        found = await read.fact_at(process.log, meta.cause or "")
    except UndecodableEvent:
        return None
    if found is None or not isinstance(found.event, f.EvaluationRequested):
        return None
    (ticket,) = tickets_of(found.event, found.meta.position)
    assert isinstance(ticket, EvaluationTicket)
    same = ticket.ticket == score.ticket and found.event.config == score.config
    return ticket if same else None


async def _games(process: Process, ticket: EvaluationTicket) -> Games:
    """The games of a match that are stored, by their numbers."""
    request, log = ticket.request, process.log
    asked = await log.get(EVENTS, int(ticket.cause.partition("/")[2]))
    numbers = range(request.starts * f.seats_of(request.config))
    names = {f"{ticket.ticket}-{number}": number for number in numbers}
    found: Games = {}
    since = asked.time if asked else None
    mark = ticket.ticket.encode()
    games = read.search(log, [mark], f.GameCompleted, scope=request.config, since=since)
    async for game, meta in games:
        number = names.get(game.game)
        if number is not None and meta.cause == ticket.cause and game.ticket == ticket.ticket:
            found.setdefault(number, game)
    return found


def _difference(ticket: EvaluationTicket, score: f.EvaluationScored, games: Games) -> str:
    """How a score differs from its games; empty if it does not."""
    request, match = ticket.request, list[tuple[f.GameCompleted, int]]()
    for number, game in sorted(games.items()):
        candidate = number % len(game.seats)
        seats = [request.opponent] * len(game.seats)
        seats[candidate] = request.candidate
        if list(game.seats) != seats:
            return f"the players of game {game.game} are not those of its match"
        try:
            check_game(game)
        except GameRejected as error:
            return f"game {game.game}: {error}"
        match.append((game, candidate))
    counted = score_of(ticket, Host(node=score.node), match)
    wrong = [name for name in COUNTED if getattr(score, name) != getattr(counted, name)]
    return f"its games give other {', '.join(wrong)}" if wrong else ""


def _refuted(
    score: f.EvaluationScored, meta: EventMeta, reason: str, *, forged: bool
) -> f.EvaluationRefuted:
    return f.EvaluationRefuted(
        config=score.config,
        generation=score.generation,
        ticket=score.ticket,
        node=score.node,
        candidate_model=score.candidate_model,
        purpose=score.purpose,
        score=meta.position,
        forged=forged,
        reason=reason[:REASON_CHARS_MAX],
    )
