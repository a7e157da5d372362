"""Plays evaluation matches: each game is a fact, and so is the score."""

from functools import partial

from ringrift.consumers.games.playing import played
from ringrift.consumers.networks.fetching import Networks
from ringrift.events import Fact
from ringrift.events.facts import EvaluationFailed, EvaluationScored, EvaluationStarted
from ringrift.events.tickets import EvaluationTicket
from ringrift.learning.matches import play_match
from ringrift.rules import Config
from ringrift.runtime.process import Process
from ringrift.runtime.run import run
from ringrift.runtime.work import conclude, fields_of, is_done, work


async def main(process: Process) -> None:
    """Work on evaluation tickets."""
    await work(process, "evaluation", partial(_play, networks=Networks(process)), failed)


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
    process: Process, ticket: EvaluationTicket, deliveries: int, networks: Networks
) -> None:
    request = ticket.request
    if await is_done(process, ticket, EvaluationScored):
        return
    opponent = request.opponent.participant
    process.doing = f"evaluating {request.config} generation {request.generation} vs {opponent}"
    settings, _ = await process.settings(request.settings_version)
    digests = {seat.model for seat in (request.candidate, request.opponent) if seat.model}
    models = {digest: await networks.get(digest, request.config) for digest in sorted(digests)}
    games = request.starts * Config.parse(request.config).seats
    started = EvaluationStarted(
        **fields_of(process, ticket),
        generation=request.generation,
        candidate=request.candidate.participant,
        opponent=opponent,
        purpose=request.purpose,
        games=games,
    )
    await process.append(started, cause=ticket.cause, key=f"{ticket.ticket}.{deliveries}")
    playing = partial(play_match, ticket, settings.evaluation, model_of=models.__getitem__)
    async for fact in played(process, ticket, games, deliveries, playing):
        if isinstance(fact, EvaluationScored):
            score = fact
    await conclude(process, ticket, score)


if __name__ == "__main__":
    run("evaluator", main)
