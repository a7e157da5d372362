"""What the pages read: folds of `EVENTS` up to the newest event or an earlier one, and a version
that grows with every change, so that live pages know when to look again."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ringrift.events import EventMeta, Recorded
from ringrift.insight.live import LOOK_SECONDS, Live
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.web.cache import Cache
from ringrift.web.fold import Fold
from ringrift.web.history import History
from ringrift.web.index import Index
from ringrift.web.latest import Changing, Latest

BREATH_EVENTS = 500
"""events folded before others have their turn"""
CHECKPOINTS_MAX = 1024
"""copies of the fold from which an earlier one is made; they share most of what they have"""
CHECKPOINT_EVENTS_MIN = 1000
"""between two of them, doubled whenever there are too many"""
CACHE_EVENTS, CACHE_EVENTS_READING = 20_000, 100_000
"""events after which the cache is written again; and while the log is read after a start"""
PAST_KEPT_MAX = 6
"""earlier folds kept, those looked at last"""
GAMES_KEPT_MAX = 64
"""ended matches whose games are kept"""


class View(Live, Changing):
    """A log as it is now, kept up to date by `run`, and as it was. With a folder `cache` it starts
    from what an earlier one folded.

    fold      projections up to the newest event, of which `loop` and `running` are parts
    history   when the values that a person compares changed
    index     cause, effects, type, scope and time of every event
    version   grows with every change
    games_of  games of ended matches that were looked at, kept by `ringrift.web.matches`
    """

    def __init__(self, log: Log, cache: Path | None = None) -> None:
        self.cache = Cache(log, cache) if cache else None
        Changing.__init__(self)
        super().__init__(log)

    def _reset(self) -> None:
        super()._reset()
        self.fold, self.index, self.history = Fold(), Index(), History()
        self.loop, self.running = self.fold.loop, self.fold.running
        self.games_of = Latest[int, list[Any]](GAMES_KEPT_MAX)
        self._checkpoints: list[Fold] = []
        self._spacing = CHECKPOINT_EVENTS_MIN
        self._past = Latest[int, Fold](PAST_KEPT_MAX)
        self._newest: EventMeta | None = None
        self._cached = 0
        """sequence up to which the cache goes"""

    async def run(self) -> None:
        """Follow the log until cancelled, through outages of the server."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._notice())

    async def catch_up(self) -> None:
        """Fold what is stored now. Raises StreamError."""
        await self._catch_up()
        self.touch()

    async def _catch_up(self) -> None:
        if self.cache and not self.fold.seq and (parts := await self.cache.load()):
            self._restore(parts)
        gc.disable()  # what is folded is kept, and to look through it takes as long as to fold it
        try:
            async for recorded in read.facts(self.log, after=self.fold.seq):
                self.take(recorded)
                if recorded.meta.seq % BREATH_EVENTS == 0:
                    await asyncio.sleep(0)
                    await self.store(CACHE_EVENTS_READING)
        finally:
            gc.enable()
            gc.freeze()
        self.ready = True
        self.touch()

    async def store(self, events: int) -> None:
        """Write the cache if so many events were folded since it was written."""
        if self.cache and self.fold.seq - self._cached >= max(events, 1):
            seq = self.fold.seq
            await self.cache.store(self._parts)
            self._cached = seq

    def _parts(self) -> tuple[EventMeta, list[Any]]:
        newest = self._newest
        assert newest is not None
        rest = newest, self.index, self.history, self.recent, self._open, self._spacing
        return newest, [rest, *self._checkpoints, self.fold.copy()]

    def _restore(self, parts: list[Any]) -> None:
        rest, *self._checkpoints, self.fold = parts
        self._newest, self.index, self.history, self.recent, self._open, self._spacing = rest
        self.loop, self.running = self.fold.loop, self.fold.running
        self.promotion = self.fold.in_force.settings.promotion
        self._cached = self.fold.seq

    async def _notice(self) -> None:
        """Wake those who wait when heartbeats, the cluster or the outage are others than before."""
        seen: Any = None
        while True:
            reading = None if self.ready else self.fold.seq
            missing = *self.missing.names, *self.vacant.names
            silent = self.silent_seconds > 0
            now = reading, self.beats, self.cluster, self.problem, silent, missing
            if now != seen:
                seen = now
                self.touch()
            if self.ready:
                await self.store(CACHE_EVENTS)
            await asyncio.sleep(LOOK_SECONDS)

    def take(self, recorded: Recorded) -> None:
        """Fold an event into the newest fold and the index."""
        super().take(recorded)
        self._newest = recorded.meta
        self.index.add(type(recorded.event).__name__, recorded.meta)
        self.history.take(recorded.event, self.fold)
        if self.fold.seq % self._spacing == 0:
            self._checkpoints.append(self.fold.copy())
            if len(self._checkpoints) > CHECKPOINTS_MAX:
                self._checkpoints = self._checkpoints[1::2]
                self._spacing *= 2
        if self.ready:
            self.touch()

    def _fold(self, recorded: Recorded) -> None:
        self.fold.take(recorded)

    def count(self, entry: Entry) -> None:
        """Count a game once."""
        super().count(entry)
        self.touch()

    async def at(self, seq: int) -> Fold:
        """Return the fold as it was after `EVENTS/<seq>`."""
        if seq >= self.fold.seq:
            return self.fold
        if (found := self._past.get(seq)) is None:
            kept = [*self._checkpoints, *self._past.values()]
            before = (one for one in kept if one.seq <= seq)
            found = max(before, key=lambda one: one.seq, default=Fold()).copy()
            async for recorded in read.facts(self.log, after=found.seq, until=seq):
                found.take(recorded)
            self._past.put(seq, found)
        return found

    def in_hand(self, config: str) -> int:
        """Return the games of self-play of a config in tickets without an outcome."""
        return self.games(config) - self.loop.of(config).games

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)
