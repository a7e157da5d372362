"""What the pages read: folds of `EVENTS` up to the newest event or an earlier one, heartbeats, and
a version that grows with every change, so that live pages know when to look again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ringrift.deciders.context import InForce
from ringrift.deciders.fleet import dead_letters, nodes
from ringrift.deciders.kit import Context, Decider
from ringrift.events import Recorded, facts as f
from ringrift.insight.generations import LoopView
from ringrift.log import read
from ringrift.log.errors import LogRewound, StreamError
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.web.index import Index

BEAT_SECONDS = 2.0
"""between two looks at the heartbeats"""
RETRY_SECONDS = 1.0
BREATH_EVENTS = 500
"""events folded before others have their turn"""
CHECKPOINTS_MAX = 24
"""copies of the fold, at growing distances, from which an earlier one is made"""
CHECKPOINT_EVENTS_MIN = 1000
"""between two of them, doubled whenever there are too many"""
PAST_KEPT_MAX = 6
"""earlier folds kept, those looked at last"""
DECISIONS_KEPT_MAX = 12
"""decisions of a config"""
DECIDERS: tuple[Decider[Any], ...] = (nodes.DECIDER, dead_letters.DECIDER)
"""deciders whose states pages show"""
DECISIONS = (f.ModelPromoted, f.PromotionRejected, f.ModelRolledBack, f.ConfigDecision)


class Fold:
    """Projections of `EVENTS` up to `seq`, which was stored at `time`.

    loop        generations, scores, ratings, pauses and troubles by config
    in_force    settings and pauses
    states      of the deciders in `DECIDERS` by name
    decisions   the newest decisions by config, newest last
    """

    def __init__(self) -> None:
        self.seq = 0
        self.time = datetime.fromtimestamp(0, UTC)
        self.loop = LoopView()
        self.in_force = InForce()
        self.states: dict[str, Any] = {one.name: one.initial() for one in DECIDERS}
        self.decisions: dict[str, deque[Recorded]] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        self.seq, self.time = meta.seq, meta.time
        self.loop.take(recorded)
        self.in_force = self.in_force.after(event)
        for decider in DECIDERS:
            if type(event) in decider.reads or type(event) in decider.writes:
                context = Context.of(meta, self.in_force)
                self.states[decider.name] = decider.evolve(
                    self.states[decider.name], event, context
                )
        if isinstance(event, f.ConfigDecision):
            kept = self.decisions.setdefault(event.config, deque(maxlen=DECISIONS_KEPT_MAX))
            kept.append(recorded)

    def copy(self) -> Fold:
        """Return a fold that changes independently of this one."""
        twin: Fold = copied(self)
        return twin


class View:
    """The newest fold, kept up to date by `run`, and earlier ones.

    version   grows with every change
    ready     whether the log was read to its end once
    tail      sequence at which the log ended when it was last asked
    problem   why the log cannot be read now, empty if it can
    beats     heartbeats of the running processes
    index     cause, effects, type, scope and time of every event
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.version, self.tail = 0, 0
        self.closed = False
        self.problem = ""
        self.beats: list[Heartbeat] = []
        self._changed = asyncio.Event()
        self._reset()

    def _reset(self) -> None:
        self.fold, self.index = Fold(), Index()
        self.ready = False
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

    async def _watch(self) -> None:
        presence = Presence(self.log)
        while True:
            beats, self.tail = await presence.all(), await self.log.tail(EVENTS)
            if beats != self.beats or self.problem:
                self.beats, self.problem = beats, ""
                self.touch()
            await asyncio.sleep(BEAT_SECONDS)

    def take(self, recorded: Recorded) -> None:
        """Fold an event into the newest fold and the index."""
        self.fold.take(recorded)
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


def copied(value: Any) -> Any:
    """Return a copy that shares what cannot change: facts, states of deciders, texts, numbers."""
    if isinstance(value, dict | OrderedDict):
        return type(value)((key, copied(item)) for key, item in value.items())
    if isinstance(value, deque):
        return deque(map(copied, value), value.maxlen)
    if isinstance(value, list | set):
        return type(value)(map(copied, value))
    if hasattr(value, "__dict__") and type(value).__module__.startswith("ringrift."):
        twin = object.__new__(type(value))
        twin.__dict__.update((name, copied(item)) for name, item in vars(value).items())
        return twin
    return value
