"""Having measuring matches played: requests into the log, and their results back from it.

Matches are played by the evaluators that run. Where none does (or no dispatcher), some are started
for the purpose and drained afterwards; where no server runs over the data directory, that is
started too. A match asked for before is not played again: the same pairing, pairs and seed are the
same request, so a command that was interrupted goes on where it was."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from ringrift.cli import source
from ringrift.cli.source import progress
from ringrift.cluster.supervisor import Child, supervise
from ringrift.deciders.kit import seed_from
from ringrift.errors import CommandError
from ringrift.events import Settings, UndecodableEvent, decode, draft, type_of
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    Purpose,
    SettingsChanged,
)
from ringrift.insight.strength.measurements import Measurements, identity
from ringrift.learning.pairings import Pairing
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.rules import Config, RulesError
from ringrift.runtime.process import node_name
from ringrift.runtime.process import threads as process_threads
from ringrift.server.ensure import ensure

STREAM = "EVENTS"


@dataclass(kw_only=True)
class Arena:
    """A log, and players for its matches: those that run, else some that are started when the first
    match needs them."""

    log: JetStreamLog
    data: Path
    leaving: contextlib.AsyncExitStack
    staffed: bool = False

    async def staff(self) -> None:
        """See to it that a dispatcher and evaluators run, until the arena is left."""
        if not self.staffed:
            await self.leaving.enter_async_context(players(self.log, self.data))
            self.staffed = True


@contextlib.asynccontextmanager
async def opened(options: argparse.Namespace, *, create: bool) -> AsyncIterator[Arena]:
    """The log of `--server`, or of the server over `--data`, started if none runs. Without `create`
    the directory must hold a log.

    Raises StreamError, CommandError."""
    async with contextlib.AsyncExitStack() as leaving:
        log = await leaving.enter_async_context(source.opened(options, create=create))
        await ensure(log.ask)
        yield Arena(log=log, data=options.data, leaving=leaving)


async def measurements(log: JetStreamLog, config: str) -> Measurements:
    """What the log knows of the strength of `config`. Raises CommandError for a config that does
    not exist."""
    try:
        Config.parse(config)
    except RulesError as error:
        raise CommandError(str(error)) from error
    known = Measurements(config=config)
    with progress("folding EVENTS") as report:
        async for batch in log.replay(STREAM, refuse=lambda *_: None, progress=report):
            known.fold(batch)
    return known


def chosen_model(known: Measurements, wanted: str) -> str:
    """The digest of `current` or of the network that begins so. Raises CommandError if there is
    none, or more than one."""
    if wanted == "current":
        if known.view.current is None:
            raise CommandError(
                f"{known.config} has no current network yet: run `ringrift up --config {known.config}`, or name one"
            )
        return known.view.current
    found = [model for model in known.models if model.startswith(wanted)]
    if len(found) != 1:
        what = (
            f"{len(found)} networks of {known.config} begin"
            if found
            else f"no network of {known.config} begins"
        )
        raise CommandError(
            f"{what} with {wanted!r}: give more digits of one that is in the log, or current"
        )
    return found[0]


async def play(
    arena: Arena,
    known: Measurements,
    purpose: Purpose,
    pairings: Sequence[Pairing],
    *,
    pairs: int,
    seed: int,
) -> Measurements:
    """Have each pairing play `pairs` starts, those not in the log already; what is known then.

    Raises CommandError if a match was given up."""
    log = arena.log
    settings, version = await settings_in_force(log)
    requests = [
        request
        for pairing in pairings
        for request in rounds(
            known, purpose, pairing, pairs, settings.evaluation.starts_per_ticket, seed, version
        )
    ]
    fresh = [request for request in requests if identity(request) not in known.asked]
    if fresh:
        names = [f"{purpose}-{request.seed}-{request.starts}" for request in fresh]
        drafts = [
            draft(request, cause=None, source=f"ringrift@{node_name()}", key=name)
            for request, name in zip(fresh, names, strict=True)
        ]
        for request, seq in zip(fresh, await log.append_each(drafts), strict=True):
            known.ask(request, f"{STREAM}/{seq}")
    tickets = {known.asked[identity(request)] for request in requests}
    if waiting := tickets - known.scored.keys() - known.failed.keys():
        await arena.staff()
        await _await_results(log, known, waiting)
    known = await measurements(log, known.config)
    for ticket in sorted(tickets & known.failed.keys()):
        request = known.tickets[ticket]
        who = f"{request.candidate.participant} against {request.opponent.participant}"
        raise CommandError(
            f"{who} was given up: {known.failed[ticket]}; ask again with another --seed"
        )
    return known


def rounds(
    known: Measurements,
    purpose: Purpose,
    pairing: Pairing,
    pairs: int,
    starts_per_ticket: int,
    seed: int,
    version: int,
) -> list[EvaluationRequested]:
    """The requests of one match: tickets small enough for several evaluators to share it."""
    registered = known.models.get(pairing.candidate.model or "")
    names = pairing.candidate.participant, pairing.opponent.participant
    return [
        EvaluationRequested(
            config=known.config,
            generation=registered.generation if registered else 0,
            candidate=pairing.candidate,
            opponent=pairing.opponent,
            purpose=purpose,
            round=number,
            starts=min(starts_per_ticket, pairs - first),
            seed=seed_from(seed, known.config, purpose, *names, number),
            settings_version=version,
        )
        for number, first in enumerate(range(0, pairs, starts_per_ticket))
    ]


async def settings_in_force(log: JetStreamLog) -> tuple[Settings, int]:
    """The settings the log says are in force and their version; the defaults, version 0, before
    there are any."""
    last = await log.last(STREAM, type_of(SettingsChanged).subject_filter)
    if last is None:
        return Settings(), 0
    event = decode(last.body, stream=STREAM, seq=last.seq).event
    assert isinstance(event, SettingsChanged)
    return event.settings, event.version


@contextlib.asynccontextmanager
async def players(log: JetStreamLog, data: Path) -> AsyncIterator[None]:
    """Sees to it that a dispatcher and evaluators run until the block ends: one a core, or one for
    the GPU; logs under `data`."""
    running = {beat.consumer for beat in await Presence(log).all()}
    logs = data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    gpu = torch.cuda.is_available()
    wanted = {"dispatcher": 1, "evaluator": 1 if gpu else process_threads()}
    children = [
        Child(name, log.servers[0], logs / f"{name}-{number}.log", None if gpu else 1)
        for name, count in wanted.items()
        if name not in running
        for number in range(count)
    ]
    stopping = asyncio.Event()
    supervising = asyncio.create_task(supervise(children, stopping, _say))
    try:
        yield
    finally:
        stopping.set()
        await supervising


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _await_results(log: JetStreamLog, known: Measurements, waiting: set[str]) -> None:
    """Until every ticket of `waiting` is scored or given up; shows how many games have been
    played."""
    left = {ticket: known.tickets[ticket].starts * known.seats for ticket in waiting}
    total, open_ = sum(left.values()), set(waiting)
    with progress("games") as report:

        def played(ticket: str, games: int) -> None:
            if ticket in left:
                left[ticket] = max(0, left[ticket] - games)
                report(total - sum(left.values()), total)

        report(0, total)
        start = await log.tail("GAMES") + 1
        games = asyncio.create_task(_count_games(log, known.config, start, played))
        try:
            async for ticket in _outcomes(log, known.config):
                played(ticket, total)
                open_.discard(ticket)
                if not open_:
                    return
                if games.done():
                    games.result()
        finally:
            games.cancel()
            await asyncio.gather(games, return_exceptions=True)


async def _outcomes(log: JetStreamLog, config: str) -> AsyncIterator[str]:
    """Tickets that are scored or given up, those that are and those to come."""
    filters = [f"ringrift.evaluation.{config}.{fact}" for fact in ("scored", "failed")]
    async for entry in log.follow(STREAM, filters=filters):
        with contextlib.suppress(UndecodableEvent):  # dead-lettered by the deciders
            event = decode(entry.body, stream=STREAM, seq=entry.seq).event
            if isinstance(event, EvaluationScored | EvaluationFailed):
                yield event.ticket


async def _count_games(
    log: JetStreamLog, config: str, start: int, played: Callable[[str, int], None]
) -> None:
    """Tell whose game has been played, of each as it comes."""
    async for entry in log.follow(
        "GAMES", filters=[f"ringrift.game.{config}.completed"], start_seq=start
    ):
        with contextlib.suppress(msgspec.DecodeError):  # dead-lettered by the exporter
            played(msgspec.json.decode(entry.body, type=_Envelope).data.ticket, 1)


class _Game(msgspec.Struct):
    """Of a game, only whose it is: its moves need not be decoded to count it."""

    ticket: str


class _Envelope(msgspec.Struct):
    data: _Game
