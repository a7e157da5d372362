"""Plays measuring matches: writes requests into the log and waits for their results.

A request that is already in the log is not repeated, as the same pairing, starts and seed are the
same request. A command that was interrupted therefore continues where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from ringrift.deciders.kit import seed_from
from ringrift.errors import CommandError
from ringrift.events import draft, facts
from ringrift.insight.strength.measurements import MatchResult, Measurements, identity
from ringrift.learning.pairings import Pairing
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.host import node_name

Evaluators = Callable[[], AbstractAsyncContextManager[None]]
"""Ensures that a dispatcher and evaluators run until the block ends."""
ProgressBar = Callable[[str], AbstractContextManager[Progress]]


async def measurements(log: Log, config: str, progress: Progress | None = None) -> Measurements:
    """Fold what the log holds about the strength of a config."""
    known = Measurements(config=config)
    async for recorded in read.facts(log, progress=progress):
        known.fold([recorded])
    return known


class Arena:
    """Plays matches of one config; the evaluators start with the first match that needs them."""

    def __init__(
        self, log: Log, known: Measurements, evaluators: Evaluators, progress: ProgressBar
    ) -> None:
        self.log, self.known = log, known
        self._evaluators, self._progress = evaluators, progress
        self._leaving = contextlib.AsyncExitStack()
        self._started = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, log: Log, config: str, evaluators: Evaluators, progress: ProgressBar
    ) -> AsyncIterator[Arena]:
        """Read the measurements; evaluators that were started stop when the block ends."""
        with progress("folding EVENTS") as report:
            known = await measurements(log, config, report)
        arena = cls(log, known, evaluators, progress)
        async with arena._leaving:
            yield arena

    async def play(
        self, purpose: facts.Purpose, pairings: Sequence[Pairing], *, starts: int, seed: int
    ) -> list[MatchResult]:
        """Play `starts` starts of each pairing, except those in the log already, and return the
        results of the pairings. Raises CommandError if a match failed."""
        tickets = await self._request(purpose, pairings, starts, seed)
        known = self.known
        if waiting := tickets - known.scored.keys() - known.failed.keys():
            if not self._started:
                await self._leaving.enter_async_context(self._evaluators())
                self._started = True
            await self._await_results(waiting)
        # folded from the log, so that a report is the same in every later run
        with self._progress("folding EVENTS") as report:
            self.known = known = await measurements(self.log, known.config, report)
        for ticket in sorted(tickets & known.failed.keys()):
            request = known.tickets[ticket]
            who = f"{request.candidate.participant} against {request.opponent.participant}"
            raise CommandError(f"{who} failed: {known.failed[ticket]}; try another --seed")
        found = {(row.candidate, row.opponent): row for row in known.results(purpose)}
        return [found[one.candidate.participant, one.opponent.participant] for one in pairings]

    async def _request(
        self, purpose: facts.Purpose, pairings: Iterable[Pairing], starts: int, seed: int
    ) -> set[str]:
        """Write the requests that are not in the log; return the tickets of all."""
        known = self.known
        requests = await self._rounds(purpose, pairings, starts, seed)
        fresh = [request for request in requests if identity(request) not in known.asked]
        drafts = []
        for request in fresh:
            key = f"{purpose}-{request.seed}-{request.starts}"
            drafts.append(draft(request, cause=None, source=f"ringrift@{node_name()}", key=key))
        seqs = await self.log.append_each(drafts) if drafts else []
        for request, seq in zip(fresh, seqs, strict=True):
            known.ask(request, f"{EVENTS}/{seq}")
        return {known.asked[identity(request)] for request in requests}

    async def _rounds(
        self, purpose: facts.Purpose, pairings: Iterable[Pairing], starts: int, seed: int
    ) -> list[facts.EvaluationRequested]:
        """Return the requests of matches, small enough for several evaluators to share one."""
        settings, version = await read.settings_in_force(self.log)
        config, size = self.known.config, settings.evaluation.starts_per_ticket
        found = []
        for candidate, opponent in pairings:
            registered = self.known.models.get(candidate.model or "")
            names = candidate.participant, opponent.participant
            for number, first in enumerate(range(0, starts, size)):
                request = facts.EvaluationRequested(
                    config=config,
                    generation=registered.generation if registered else 0,
                    candidate=candidate,
                    opponent=opponent,
                    purpose=purpose,
                    round=number,
                    starts=min(size, starts - first),
                    seed=seed_from(seed, config, purpose, *names, number),
                    settings_version=version,
                )
                found.append(request)
        return found

    async def _await_results(self, waiting: set[str]) -> None:
        """Wait until every ticket is scored or failed; show how many games have been played."""
        log, known = self.log, self.known
        left = {ticket: known.tickets[ticket].starts * known.seats for ticket in waiting}
        total, open_tickets = sum(left.values()), set(waiting)
        with self._progress("games") as report:

            def played(ticket: str, games: int) -> None:
                if ticket in left:
                    left[ticket] = max(0, left[ticket] - games)
                    report(total - sum(left.values()), total)

            async def count(after: int) -> None:
                kind = facts.GameCompleted
                async for game, _ in read.follow(log, kind, scope=known.config, after=after):
                    played(game.ticket, 1)

            report(0, total)
            counting = asyncio.create_task(count(await log.tail(GAMES)))
            try:
                outcomes = facts.EvaluationScored, facts.EvaluationFailed
                async for event, _ in read.follow(log, *outcomes, scope=known.config):
                    assert isinstance(event, outcomes)
                    played(event.ticket, total)
                    open_tickets.discard(event.ticket)
                    if not open_tickets:
                        return
                    if counting.done():
                        counting.result()  # raises its error
            finally:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)
