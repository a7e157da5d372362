"""Plays the matches of the strength commands (against baselines, ladders, gauntlets, tiers): writes
requests into the log and waits for their results.

A request that is already in the log is not repeated, as the same pairing, starts and seed are the
same request. A command that was interrupted therefore continues where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, NamedTuple

from ringrift.deciders.kit import replace, seed_from
from ringrift.errors import CommandError
from ringrift.events import draft, facts
from ringrift.events.participants import kind_of, network_seat
from ringrift.insight.rebuild import rebuild_elo
from ringrift.insight.strength.measurements import (
    MatchResult,
    Measurements,
    highest_beaten,
    identity,
)
from ringrift.learning import pairings
from ringrift.learning.pairings import TIERS, Pairing
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.rules.config import Config
from ringrift.runtime.host import node_name

Evaluators = Callable[[], AbstractAsyncContextManager[None]]
"""Ensures that a dispatcher and evaluators run until the block ends."""
ProgressBar = Callable[[str], AbstractContextManager[Progress]]


STRENGTH_STARTS = 200
"""With 400 games of two seats, the interval of a score of 60 % begins at 55 %."""
LADDER_GAMES = 100
"""Games per rung at least; the interval of a score of 60 % then begins at 50 %."""
TOURNAMENT_MODELS_MIN = 2


Rated = tuple[list[MatchResult], facts.RatingsUpdated]
"""Results, and the ratings of their players and the anchor as derived from the log."""


class Arena:
    """Plays matches of one config; the evaluators start with the first match that needs them, and
    stop when the block of the arena ends. Another `seed` gives new games."""

    def __init__(
        self, log: Log, config: str, seed: int, evaluators: Evaluators, progress: ProgressBar
    ) -> None:
        self.log, self.seed, self.known = log, seed, Measurements(config=config)
        self._evaluators, self._progress = evaluators, progress
        self._leaving = contextlib.AsyncExitStack()
        self._started = False

    async def __aenter__(self) -> Arena:
        await self._read()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._leaving.__aexit__(*error)

    async def _read(self) -> None:
        with self._progress("folding EVENTS") as report:
            self.known = await Measurements.read(self.log, self.known.config, report)

    async def play(
        self, purpose: facts.Purpose, matches: Sequence[Pairing], starts: int
    ) -> list[MatchResult]:
        """Play `starts` starts of each match, except those in the log already, and return the
        results of the matches. Raises CommandError if a match failed."""
        requests = await self._requests(purpose, matches, starts)
        await self._write([one for one in requests if identity(one) not in self.known.asked])
        tickets = {self.known.asked[identity(request)] for request in requests}
        if waiting := tickets - self.known.scored.keys() - self.known.failed.keys():
            if not self._started:
                await self._leaving.enter_async_context(self._evaluators())
                self._started = True
            await self._await_results(waiting)
        await self._read()  # from the log, so that a report is the same in every later run
        known = self.known
        for ticket in sorted(tickets & known.failed.keys()):
            request = known.tickets[ticket]
            who = f"{request.candidate.participant} against {request.opponent.participant}"
            raise CommandError(f"{who} failed: {known.failed[ticket]}; try another --seed")
        found = {(row.candidate, row.opponent): row for row in known.results(purpose)}
        return [found[one.candidate.participant, one.opponent.participant] for one in matches]

    async def _write(self, requests: Sequence[facts.EvaluationRequested]) -> None:
        drafts = []
        for request in requests:
            key = f"{request.purpose}-{request.seed}-{request.starts}"
            drafts.append(draft(request, cause=None, source=f"ringrift@{node_name()}", key=key))
        seqs = await self.log.append_each(drafts) if drafts else []
        for request, seq in zip(requests, seqs, strict=True):
            self.known.ask(request, f"{EVENTS}/{seq}")

    async def _requests(
        self, purpose: facts.Purpose, matches: Iterable[Pairing], starts: int
    ) -> list[facts.EvaluationRequested]:
        """Return the requests of matches, small enough for several evaluators to share one."""
        settings, version = await read.settings_in_force(self.log)
        config, size = self.known.config, settings.evaluation.starts_per_ticket
        found = []
        for candidate, opponent in matches:
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
                    seed=seed_from(self.seed, config, purpose, *names, number),
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


class Climb(NamedTuple):
    """The tiers a player met, and the highest that it beat."""

    player: str
    highest_tier_beaten: str | None
    results: list[MatchResult]


def opponents_of(against: Sequence[str]) -> Sequence[str]:
    """Return the named opponents of `pairings.AGAINST`, all if none is named. Raises
    CommandError."""
    if unknown := sorted(set(against) - set(pairings.AGAINST)):
        known = ", ".join(pairings.AGAINST)
        raise CommandError(f"no opponent is called {', '.join(unknown)}; there are {known}")
    return against or pairings.AGAINST


async def play_strength(
    arena: Arena, digest: str, simulations: int, opponents: Sequence[str], starts: int | None
) -> None:
    """Play a network against `opponents`."""
    asked = pairings.strength(
        digest, simulations, opponents, kind=_kind(arena, digest), seats=_seats(arena)
    )
    await arena.play("strength", asked, starts or STRENGTH_STARTS)


async def play_ladder(
    arena: Arena, model: str | None, budgets: Sequence[int], starts: int | None
) -> None:
    """Play every searching harness against itself with the next lower budget, with the heuristic
    and with a network: `model`, else the current one if there is one. Raises CommandError."""
    wanted = model or ("current" if arena.known.view.current else None)
    digest = arena.known.model(wanted) if wanted else None
    kind = _kind(arena, digest) if digest else "network"
    config = Config.parse(arena.known.config)
    asked = pairings.ladder(config, sorted(budgets), model=digest, kind=kind)
    if not asked:
        raise CommandError(f"give at least two budgets for a ladder, not {list(budgets)}")
    await arena.play("ladder", asked, starts or -(-LADDER_GAMES // config.seats))


async def play_gauntlet(arena: Arena, model: str, simulations: int, starts: int) -> Rated:
    """Play a network under every compatible harness against both baselines."""
    digest, config = arena.known.model(model), Config.parse(arena.known.config)
    asked = pairings.gauntlet(config, digest, simulations, kind=_kind(arena, digest))
    return await _rated(arena, "gauntlet", asked, starts)


async def play_round_robin(
    arena: Arena, models: Sequence[str], simulations: int, starts: int
) -> Rated:
    """Play every two of several networks. Raises CommandError for fewer than two."""
    digests = list(dict.fromkeys(arena.known.model(name) for name in models))
    if len(digests) < TOURNAMENT_MODELS_MIN:
        raise CommandError("a round robin needs two different networks: give --models A,B,...")
    kinds = {digest: _kind(arena, digest) for digest in digests}
    asked = pairings.round_robin(kinds, simulations, seats=_seats(arena))
    return await _rated(arena, "tournament", asked, starts)


async def climb_tiers(arena: Arena, model: str, simulations: int, starts: int) -> Climb:
    """Play the tiers from D1 up to the first that is not beaten: the higher ones are expensive."""
    digest = arena.known.model(model)
    me = network_seat(digest, simulations, kind=_kind(arena, digest), seats=_seats(arena))
    results: list[MatchResult] = []
    for opponent in TIERS.values():
        results += await arena.play("tier", [Pairing(me, opponent)], starts)
        if results[-1].verdict != "stronger":
            break
    names = [(name, opponent.participant) for name, opponent in TIERS.items()]
    return Climb(me.participant, highest_beaten(results, names), results)


async def _rated(
    arena: Arena, purpose: facts.Purpose, asked: Sequence[Pairing], starts: int
) -> Rated:
    results = await arena.play(purpose, asked, starts)
    players = {one.participant for pairing in asked for one in pairing}
    tables = {item.config: item.table for item in await rebuild_elo(arena.log)}
    table = tables[arena.known.config]
    players.add(table.anchor or "")
    rows = tuple(row for row in table.ratings if row.participant in players)
    unrated = tuple(name for name in table.unrated if name in players)
    return results, replace(table, ratings=rows, unrated=unrated)


def _kind(arena: Arena, digest: str) -> str:
    return kind_of(arena.known.models[digest].architecture)


def _seats(arena: Arena) -> int:
    return Config.parse(arena.known.config).seats
