"""Plays evaluation matches: each game is a fact, and so is the score.

Of a trial that is split so that no node decides it, it leaves the next ticket of a round to other
nodes once it has played one, for a while."""

import asyncio
from collections import Counter
from functools import partial
from typing import get_args

from ringrift.consumers.games.playing import played
from ringrift.consumers.networks.fetching import Networks
from ringrift.events import Fact
from ringrift.events.facts import (
    EvaluationAbandoned,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    EvaluationStarted,
    GameCompleted,
    ModelPromoted,
    ModelRolledBack,
    PromotionRejected,
)
from ringrift.events.tickets import EvaluationTicket
from ringrift.learning.matches import play_match
from ringrift.log import read
from ringrift.rules import Config
from ringrift.runtime.process import Process, cancel
from ringrift.runtime.run import run
from ringrift.runtime.work import LeftToOthers, conclude, fields_of, is_done, work

Judgement = ModelPromoted | PromotionRejected | ModelRolledBack
JUDGEMENTS: tuple[type[Judgement], ...] = get_args(Judgement)
LEFT_TIMES_MAX = 12
"""times that a ticket of a split trial is left to other nodes: they may all be gone"""
Played = Counter[str]
"""tickets of split trials that this process answered, by candidate"""


class Abandoned(Exception):
    """The result of a match is not needed any more."""


async def main(process: Process) -> None:
    """Work on evaluation tickets."""
    play = partial(_play, networks=Networks(process), played_here=Played())
    await work(process, "evaluation", play, failed)


def failed(process: Process, ticket: EvaluationTicket, reason: str) -> Fact:
    """The outcome of a match that failed for good."""
    request = ticket.request
    return EvaluationFailed(
        **fields_of(process, ticket),
        generation=request.generation,
        candidate_model=request.candidate.model,
        purpose=request.purpose,
        reason=reason,
    )


async def _play(
    process: Process,
    ticket: EvaluationTicket,
    deliveries: int,
    networks: Networks,
    played_here: Played,
) -> None:
    request, candidate = ticket.request, ticket.request.candidate.participant
    if await is_done(process, ticket, EvaluationScored, EvaluationAbandoned):
        return
    its_turns = request.round // request.split if request.split else 0
    if request.split and deliveries <= LEFT_TIMES_MAX and played_here[candidate] > its_turns:
        raise LeftToOthers
    opponent = request.opponent.participant
    process.doing = f"evaluating {request.config} generation {request.generation} vs {opponent}"
    settings, _ = await process.settings(request.settings_version)
    digests = {seat.model for seat in (request.candidate, request.opponent) if seat.model}
    models = {digest: await networks.get(digest, request.config) for digest in sorted(digests)}
    games = request.starts * Config.parse(request.config).seats
    started = EvaluationStarted(
        **fields_of(process, ticket),
        generation=request.generation,
        candidate=candidate,
        opponent=opponent,
        purpose=request.purpose,
        games=games,
    )
    await process.append(started, cause=ticket.cause, key=f"{ticket.ticket}.{deliveries}")
    playing = partial(
        play_match,
        ticket,
        settings.evaluation,
        model_of=models.__getitem__,
        plies_max=settings.selfplay.max_moves,
    )
    decided, done = asyncio.Event(), 0

    def between() -> None:
        if decided.is_set():
            raise Abandoned

    watching = asyncio.create_task(_watch_for_judgement(process, ticket, decided))
    outcome: Fact
    try:
        async for fact in played(process, ticket, games, deliveries, playing, between):
            done += isinstance(fact, GameCompleted)
            outcome = fact
    except Abandoned:
        outcome = EvaluationAbandoned(
            **fields_of(process, ticket),
            generation=request.generation,
            candidate_model=request.candidate.model,
            purpose=request.purpose,
            games=done,
        )
    finally:
        await cancel(watching)
    await conclude(process, ticket, outcome)
    if request.split:
        played_here[candidate] += 1


async def _watch_for_judgement(
    process: Process, ticket: EvaluationTicket, decided: asyncio.Event
) -> None:
    """Set the event once the log has decided a trial without this ticket."""
    request, after = ticket.request, int(ticket.cause.partition("/")[2])
    if request.purpose != "promotion" and not request.split:
        return
    async for fact, _ in read.follow(process.log, *JUDGEMENTS, scope=request.config, after=after):
        if _is_decided(request, fact):
            decided.set()
            return


def _is_decided(request: EvaluationRequested, fact: Judgement) -> bool:
    """Whether the candidate was judged, or its rival is not current any more."""
    return fact.model == request.candidate.model or fact.current != request.opponent.model


if __name__ == "__main__":
    run("evaluator", main)
