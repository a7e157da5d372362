"""What the pages read: folds of `EVENTS` up to the newest event or an earlier one, heartbeats, and
a version that grows with every change, so that live pages know when to look again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ringrift.events import Recorded
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import LogRewound, StreamError
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.web.fold import Fold
from ringrift.web.index import Index
from ringrift.web.played import Played, head_of

BEAT_SECONDS = 2.0
"""between two looks at the heartbeats"""
CLUSTER_SECONDS = 15.0
"""between two looks at voters, queues and breakers"""
RETRY_SECONDS = 1.0
GAMES_BACK_MAX = 20_000
"""games before the newest one that are counted after a start"""
BREATH_EVENTS = 500
"""events folded before others have their turn"""
CHECKPOINTS_MAX = 24
"""copies of the fold, at growing distances, from which an earlier one is made"""
CHECKPOINT_EVENTS_MIN = 1000
"""between two of them, doubled whenever there are too many"""
PAST_KEPT_MAX = 6
"""earlier folds kept, those looked at last"""


class View:
    """The newest fold, kept up to date by `run`, and earlier ones.

    version   grows with every change
    ready     whether the log was read to its end once
    tail      sequence at which the log ended when it was last asked
    problem   why the log cannot be read now, empty if it can
    beats     heartbeats of the running processes
    index     cause, effects, type, scope and time of every event
    played    games in tickets in hand, games an hour
    games_of  games of ended matches that were looked at, kept by `ringrift.web.matches`
    cluster   voters, nodes, queues and advice, as `ringrift status` shows them; None at first
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.version, self.tail = 0, 0
        self.closed = False
        self.problem = ""
        self.beats: list[Heartbeat] = []
        self.cluster: ClusterView | None = None
        self._changed = asyncio.Event()
        self._reset()

    def _reset(self) -> None:
        self.fold, self.index, self.played = Fold(), Index(), Played()
        self.ready = False
        self._counted = 0
        """sequence of the newest game that is counted"""
        self.games_of: OrderedDict[int, list[Any]] = OrderedDict()
        self._checkpoints: list[Fold] = []
        self._spacing = CHECKPOINT_EVENTS_MIN
        self._past: OrderedDict[int, Fold] = OrderedDict()

    async def run(self) -> None:
        """Follow the log until cancelled, through outages of the server."""
        while True:
            with contextlib.suppress(StreamError, TimeoutError):
                await self.catch_up()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow())
                    group.create_task(self._follow_games())
                    group.create_task(self._watch())
            except* LogRewound:
                self._reset()  # some events that were folded are lost
            except* (StreamError, TimeoutError) as errors:
                self.problem = str(errors.exceptions[0])
                self.touch()
                await asyncio.sleep(RETRY_SECONDS)

    async def catch_up(self) -> None:
        """Fold what is stored now. Raises StreamError."""
        self.tail = await self.log.tail(EVENTS)
        async for recorded in read.facts(self.log, after=self.fold.seq):
            self.take(recorded)
            if recorded.meta.seq % BREATH_EVENTS == 0:
                await asyncio.sleep(0)
        self.ready, self.problem = True, ""
        self.touch()

    async def _follow(self) -> None:
        async for recorded in read.follow(self.log, after=self.fold.seq):
            self.take(recorded)
            self.problem = ""
            self.touch()

    async def _follow_games(self) -> None:
        async for entry in self.log.follow(GAMES, start_seq=await self._first_game()):
            self.count(entry)

    async def _first_game(self) -> int:
        """Sequence of the first game not yet counted that a ticket in hand may have, but not too
        far back."""
        tail = await self.log.tail(GAMES)
        since = [match.since for match in self.fold.running.open()]
        since += [pace.since for pace in self.fold.paces.values()]
        first = tail + 1
        if since:
            async for batch in self.log.read(GAMES, start_time=min(since), headers_only=True):
                first = batch[0].seq
                break
        return max(first, tail - GAMES_BACK_MAX, self._counted + 1)

    def count(self, entry: Entry) -> None:
        """Count a game."""
        self._counted = entry.seq
        if head := head_of(entry):
            self.played.count(head, entry.time)
            self.fold.running.count(head)
            self.touch()

    async def _watch(self) -> None:
        presence, due = Presence(self.log), 0.0
        while True:
            beats, self.tail = await presence.all(), await self.log.tail(EVENTS)
            if beats != self.beats or self.problem:
                self.beats, self.problem = beats, ""
                self.touch()
            if time.monotonic() >= due:
                self.cluster, due = await cluster_view(self.log), time.monotonic() + CLUSTER_SECONDS
                self.touch()
            await asyncio.sleep(BEAT_SECONDS)

    def take(self, recorded: Recorded) -> None:
        """Fold an event into the newest fold and the index."""
        self.fold.take(recorded)
        self.played.take(recorded.event)
        self.index.add(type(recorded.event).__name__, recorded.meta)
        if self.fold.seq % self._spacing == 0:
            self._checkpoints.append(self.fold.copy())
            if len(self._checkpoints) > CHECKPOINTS_MAX:
                self._checkpoints = self._checkpoints[1::2]
                self._spacing *= 2

    def touch(self) -> None:
        """Wake those who wait for a change."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, since: int) -> int:
        """Return the version once it is another than `since`."""
        while self.version == since and not self.closed:
            await self._changed.wait()
        return self.version

    def close(self) -> None:
        """End every wait for a change."""
        self.closed = True
        self.touch()

    async def at(self, seq: int) -> Fold:
        """Return the fold as it was after `EVENTS/<seq>`."""
        if seq >= self.fold.seq:
            return self.fold
        if seq not in self._past:
            kept = [*self._checkpoints, *self._past.values()]
            start = max((one for one in kept if one.seq <= seq), key=_seq, default=Fold()).copy()
            async for recorded in read.facts(self.log, after=start.seq, until=seq):
                start.take(recorded)
            self._past[seq] = start
            while len(self._past) > PAST_KEPT_MAX:
                self._past.popitem(last=False)
        self._past.move_to_end(seq)
        return self._past[seq]

    def beats_of(self, consumer: str) -> Iterator[Heartbeat]:
        """Yield the heartbeats of the running processes of a kind."""
        return (beat for beat in self.beats if beat.consumer == consumer)

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.fromtimestamp(time.time(), UTC)


def _seq(fold: Fold) -> int:
    return fold.seq
