"""A log as it is now: the loop, matches and games as they are played, heartbeats, and the cluster;
kept up to date through outages of the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct

from ringrift.events import Recorded, facts as f
from ringrift.events.settings import PromotionSettings
from ringrift.events.tickets import tickets_of
from ringrift.insight.absences import Absences
from ringrift.insight.generations import LoopView
from ringrift.insight.running import Played, Running
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import LogRewound, StreamError
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.processes import EXPECTED, LEASED

LOOK_SECONDS = 2.0
"""between two looks at the heartbeats"""
CLUSTER_SECONDS = 10.0
"""between two looks at voters, queues and breakers"""
RETRY_SECONDS = 1.0
SILENT_SECONDS = 6.0
"""without any answer, after which the server counts as silent: three looks"""
RATE_SECONDS, RATE_GAMES_MAX = 600.0, 60_000
"""games of this time give the games an hour"""
RATE_SECONDS_MIN = 20.0
RECENT_KEPT = 100
"""newest events"""
GAMES_BACK_MAX = 20_000
"""games before the newest one that are counted after a start"""


class _Envelope(Struct, frozen=True):
    data: Played


_DECODER = msgspec.json.Decoder(_Envelope)


class Live:
    """The newest state of a log, kept up to date by `run`.

    loop       generations, ratings, pauses and troubles by config
    running    matches, with those that are being played
    promotion  settings of the sequential test
    beats      heartbeats of the running processes; None before the first look
    tail       sequence at which `EVENTS` ended when it was last asked
    cluster    voters, nodes, queues and advice, as `ringrift status` shows them; None at first
    missing    kinds of processes without a heartbeat
    vacant     leased roles without a holder
    recent     the newest events but for the ticks of every minute
    problem    why the log could not be read the last time, empty if it could
    """

    def __init__(
        self,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.log, self.clock, self.wall = log, clock, wall
        self.beats: list[Heartbeat] | None = None
        self.cluster: ClusterView | None = None
        self.tail = 0
        self.problem = ""
        self.heard = clock()
        self.missing = Absences(EXPECTED, self.heard)
        self.vacant = Absences(LEASED, self.heard)
        self._reset()

    def _reset(self) -> None:
        self.loop, self.running = LoopView(), Running()
        self.promotion = PromotionSettings()
        self.ready = False
        self.recent: deque[Recorded] = deque(maxlen=RECENT_KEPT)
        self._open: dict[str, tuple[str, datetime]] = {}
        self._played = Counter[str]()
        self._ended: deque[tuple[float, Played]] = deque(maxlen=RATE_GAMES_MAX)
        self._game_seq = 0

    @property
    def silent_seconds(self) -> float:
        """Time since the server last answered; 0 while it does."""
        silent = self.clock() - self.heard
        return silent if silent > SILENT_SECONDS else 0.0

    def games(self, config: str) -> int:
        """Games of self-play of a config so far, those of tickets in hand included."""
        in_hand = sum(
            self._played[ticket] for ticket, (of, _) in self._open.items() if of == config
        )
        return self.loop.of(config).games + in_hand

    def games_an_hour(self, config: str) -> float | None:
        """Games of self-play of a config an hour, in the last minutes; None without enough."""
        return self._an_hour(lambda game: game.config == config and game.origin == "selfplay")

    def games_an_hour_on(self, node: str) -> float | None:
        """Games that a node played an hour, in the last minutes; None without enough."""
        return self._an_hour(lambda game: game.node == node)

    def _an_hour(self, counted: Callable[[Played], bool]) -> float | None:
        now = self.wall()
        times = [at for at, game in self._ended if now - at <= RATE_SECONDS and counted(game)]
        span = now - min(times, default=now)
        return len(times) / span * 3600 if span >= RATE_SECONDS_MIN else None

    async def run(self) -> None:
        """Follow the log until cancelled, through outages of the server."""
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._look())
                    await self._catch_up()
                    group.create_task(self._follow())
                    group.create_task(self._follow_games())
            except* LogRewound:
                self._reset()  # some events that were folded are lost
            except* (StreamError, TimeoutError) as errors:
                self.problem = str(errors.exceptions[0])
            await asyncio.sleep(RETRY_SECONDS)

    async def _catch_up(self) -> None:
        async for recorded in read.facts(self.log, after=self.loop.seq):
            self.take(recorded)
        self.ready = True

    async def _follow(self) -> None:
        async for recorded in read.follow(self.log, after=self.loop.seq):
            self.take(recorded)

    async def _follow_games(self) -> None:
        start = self._game_seq + 1 if self._game_seq else await self._first_game()
        async for entry in self.log.follow(GAMES, start_seq=start):
            self.count(entry)

    async def _first_game(self) -> int:
        """Sequence of the first game that a ticket in hand may have, but not too far back."""
        tail = await self.log.tail(GAMES)
        since = [match.since for match in self.running.open()]
        since += [planned for _, planned in self._open.values()]
        first = tail + 1
        if since:
            async for batch in self.log.read(GAMES, start_time=min(since), headers_only=True):
                first = batch[0].seq
                break
        return max(first, tail - GAMES_BACK_MAX, 1)

    async def _look(self) -> None:
        """Look at heartbeats and the cluster again and again; an outage ends nothing here."""
        presence, due = Presence(self.log), self.clock()
        while True:
            with contextlib.suppress(StreamError, TimeoutError):
                self.beats, self.tail = await presence.all(), await self.log.tail(EVENTS)
                self._answered()
                self.missing.look({beat.consumer for beat in self.beats}, self.clock())
                if self.clock() >= due:
                    self.cluster = await cluster_view(self.log)
                    due = self.clock() + CLUSTER_SECONDS
                    held = [role for role, holder in self.cluster.roles.items() if holder]
                    self.vacant.look(held, self.clock())
            await asyncio.sleep(LOOK_SECONDS)

    def _answered(self) -> None:
        self.heard, self.problem = self.clock(), ""

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        if not isinstance(event, f.TickRecorded):
            self.recent.append(recorded)
        self._fold(recorded)
        self._answered()
        match event:
            case f.SettingsChanged():
                self.promotion = event.settings.promotion
            case f.SelfplayPlanned():
                for ticket in tickets_of(event, meta.position):
                    self._open[ticket.ticket] = event.config, meta.time
            case f.SelfplayFinished():
                self._open.pop(event.ticket, None)
                self._played.pop(event.ticket, None)

    def _fold(self, recorded: Recorded) -> None:
        self.loop.take(recorded)
        self.running.take(recorded)

    def count(self, entry: Entry) -> None:
        """Count a game once."""
        if entry.seq <= self._game_seq:
            return
        self._game_seq = entry.seq
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            game = _DECODER.decode(entry.body).data
            self._answered()
            self.running.count(game)
            self._ended.append((entry.time.timestamp(), game))
            if game.origin == "selfplay" and game.ticket in self._open:
                self._played[game.ticket] += 1
