"""A year of a log in fast motion on a real server: small games, an archiver in a process of its own
whose clock the test moves, and the same log without an archive."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import itertools
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from msgspec.structs import replace

from ringrift.consumers import archiver
from ringrift.consumers.archiving import moving
from ringrift.events import Recorded, UndecodableEvent, draft
from ringrift.events.facts import ConsumerStarted, GameCompleted, MatchesImported, Ranking
from ringrift.log import archive
from ringrift.log.archive import Archive
from ringrift.log.entry import Entry, Refuse
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import BATCH_EVENTS_MAX
from ringrift.log.span import Batches, Span
from ringrift.log.topology import EVENTS, GAMES
from ringrift.rules import Config, Position
from ringrift.runtime.process import Clock, Process
from support.games import recorded_game
from support.system import PLAN

WEEKS = 52
KINDS_OF_GAMES = 1_000
PLIES_MIN, PLIES_MAX = 8, 40
"""before a player resigns"""
MIRRORS = {GAMES: "ALL_GAMES", EVENTS: "ALL_EVENTS"}
"""mirrors keep sequences and times, and what leaves the streams"""
CHECK_SECONDS, GRACE_SECONDS, ROUND_SECONDS = 0.02, 0.06, 0.02
"""instead of 20, 60 and 60 seconds, because a week takes seconds"""


class Whole(JetStreamLog):
    """The log that was never archived: the mirrors in place of the streams."""

    @functools.cached_property
    def archive(self) -> Archive:
        async def nothing(_: str) -> None:
            return None

        return Archive(nothing, lambda *_: self._replay(EVENTS, refuse=_refuse))

    def _read(
        self, stream: str, *, headers_only: bool = False, **span: Unpack[Span]
    ) -> Batches[Entry]:
        return super()._read(MIRRORS.get(stream, stream), headers_only=headers_only, **span)

    async def _replay(
        self, stream: str, *, refuse: Refuse, **span: Unpack[Span]
    ) -> Batches[Recorded]:
        async for entries in self._read(stream, **span):
            await self.know(stream, entries[-1].seq)
            yield self.ring.events(stream, entries, refuse)

    async def _message(self, stream: str, wanted: Any) -> Entry | None:
        return await super()._message(MIRRORS.get(stream, stream), wanted)

    async def call(self, subject: str, request: Any = None, *, retry: bool = True) -> Any:
        head, _, stream = subject.rpartition(".")
        return await super().call(f"{head}.{MIRRORS.get(stream, stream)}", request, retry=retry)


def short_games() -> Iterator[GameCompleted]:
    """Games without end: random moves after which somebody resigns, a thousand different ones."""
    return itertools.cycle(itertools.islice(_played(), KINDS_OF_GAMES))


def _played() -> Iterator[GameCompleted]:
    for number in itertools.count():
        chance, moves = random.Random(number), list[str]()
        position = Position.start(Config.parse("hex8_2p"))
        while not position.over and len(moves) < PLIES_MAX:
            code = int(chance.choice(position.legal_codes()))
            moves.append(position.token(code))
            position.play_code(code)
            if len(moves) < PLIES_MIN or position.over:
                continue
            end = position.copy()
            end.play("resign")
            yield recorded_game(
                0,
                moves=" ".join((*moves, "resign")),
                plies=end.ply,
                winner=end.winner,
                reason=end.reason,
                ranks=end.ranks(),
                removed=end.removed(),
                territory=end.territory(),
            )


async def write_week(
    log: JetStreamLog, games: Iterator[GameCompleted], week: int, count: int
) -> int:
    """Write the plan of a week, its games, and the result of matches; the last sequence in
    `GAMES`."""
    started = ConsumerStarted(node="n", consumer="selfplay", instance=str(week), version="1")
    tickets = max(1, count // 1000)
    plan = replace(PLAN, games=count, games_per_ticket=-(-count // tickets), seed=week)
    result = MatchesImported(
        config="hex8_2p",
        source="year",
        games=1,
        rankings=(Ranking(order=("legacy:a", f"legacy:{week % 7}"), ranks=(1, 2), count=1),),
        ids=week.to_bytes(8, "big"),
    )
    written = {started: "selfplay@n", plan: "planner@n", result: "ringrift"}
    facts = [draft(fact, cause=None, source=by, key=week) for fact, by in written.items()]
    cause = f"{EVENTS}/{(await log.append(facts))[1]}"
    drafts = []
    for number in range(count):
        ticket, index = divmod(number, plan.games_per_ticket)
        name = f"selfplay-{cause.lower().replace('/', '-')}-{ticket}"
        game = replace(next(games), game=f"{name}-{index}", ticket=name)
        drafts.append(draft(game, cause=cause, source="selfplay@n", key=game.game))
    last = 0
    for first in range(0, count, BATCH_EVENTS_MAX):
        last = (await log.append(drafts[first : first + BATCH_EVENTS_MAX]))[-1]
    return last


def memory(pid: int, what: str = "VmRSS") -> float:
    """Memory of a process in MB, now or (`VmHWM`) at most."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def _refuse(_: Entry, error: UndecodableEvent) -> None:
    raise error


class Archiver:
    """The archiver in a process of its own; `wall` is the time that it sees."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.wall = context.Value(ctypes.c_double, time.time())
        self.process = context.Process(target=_archive, args=(url, self.wall), daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it in the block."""
        self.process.start()
        try:
            yield
        finally:
            self.process.kill()
            self.process.join()

    @property
    def memory(self) -> float:
        """The most memory that it has had, in MB."""
        assert self.process.pid is not None
        return memory(self.process.pid, "VmHWM")


def hurry() -> None:
    """Shorten the pauses of archiver and readers in this process."""
    archive.CHECK_SECONDS, archive.GRACE_SECONDS = CHECK_SECONDS, GRACE_SECONDS
    moving.GRACE_SECONDS, archiver.ROUND_SECONDS = GRACE_SECONDS, ROUND_SECONDS


def _archive(url: str, wall: Any) -> None:
    hurry()

    async def work() -> None:
        log = await JetStreamLog.open(url, name="archiver")
        await archiver.main(Process("archiver", "node", log, Clock(wall=lambda: wall.value)))

    asyncio.run(work())
