"""A world with a server and hosts, on each of which a process lives, dies and is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ringrift.log.errors import StreamError
from ringrift.runtime.folds import Folded
from ringrift.runtime.process import Clock, Process
from ringrift.runtime.run import republish_lost
from ringrift.tools.memory_log import MemoryBroker
from ringrift.tools.simulation.world import World

from .checker import Sample
from .faulty import FaultyLog, Network
from .plan import AT_CALL, Fault

SAMPLED_SHARE = 0.2
"""Share of the folds that the checker compares."""
RESTART_SECONDS = (0.2, 5.0)

Main = Callable[[Process], Awaitable[None]]


class Result(NamedTuple):
    """The result of a run; `seconds` of simulated time."""

    violations: list[str]
    events: int
    games: int
    seconds: float


class FaultyWorld(World):
    """A server, the hosts, and what the checker needs to know about their past."""

    def __init__(
        self, seed: int, faults: Sequence[Fault], mains: Mapping[str, tuple[str, Main]]
    ) -> None:
        super().__init__(seed)
        self.faults = faults
        self.broker = MemoryBroker(lambda: self.clock.timestamp)
        self.samples: list[Sample] = []
        self.power_cut = False
        self.accidents: list[str] = []
        """Processes that ended with an unexpected error."""
        self.sent: set[str] = set()
        """Ids that any host has tried to write."""
        self.hosts = {
            name: Host(self, name, consumer, main) for name, (consumer, main) in mains.items()
        }


class Host:
    """A machine on which one process runs. It is started again some time after it has ended, as by
    a supervisor."""

    def __init__(self, world: FaultyWorld, name: str, consumer: str, main: Main) -> None:
        self.world, self.name, self.consumer, self.main = world, name, consumer, main
        self.lives, self.clock_ahead = 0, 0.0
        faults = [fault for fault in world.faults if fault.kind in AT_CALL and fault.host == name]
        self.network = Network(world.chance(name), faults, self.kill, world.sent)
        self.process: SimulatedProcess | None = None
        self._running: asyncio.Future[Any] | None = None

    async def live(self) -> None:
        """Run lives of the process until cancelled."""
        while True:
            self.lives += 1
            log = FaultyLog(self.world.broker, self.network)
            process = self.process = SimulatedProcess(self, log)
            republishing = asyncio.ensure_future(
                process.keep_running("republish", lambda process=process: republish_lost(process))
            )
            self._running = asyncio.ensure_future(self.main(process))
            try:
                await asyncio.wait([self._running])
                error = None if self._running.cancelled() else self._running.exception()
                if error is not None and not isinstance(error, StreamError):
                    self.world.accidents.append(f"crashed: {self.name} with {error!r}")
            finally:
                log.dead = True
                self._running.cancel()
                republishing.cancel()
                await asyncio.gather(self._running, republishing, return_exceptions=True)
            await asyncio.sleep(self.network.chance.uniform(*RESTART_SECONDS))

    def kill(self) -> None:
        """Kill -9: the process stops at once, and no call that it still makes gets through."""
        if self.process is not None and self._running is not None:
            self.process.log.dead = True
            self._running.cancel()


class SimulatedProcess(Process):
    """A real process on the virtual clock; some of its folds are kept for the checker."""

    log: FaultyLog

    def __init__(self, host: Host, log: FaultyLog) -> None:
        virtual = host.world.clock
        clock = Clock(lambda: virtual.seconds + host.clock_ahead, lambda: virtual.timestamp)
        super().__init__(host.consumer, f"{host.name}-{host.lives}", log, clock)
        self.instance, self.logger, self._host = str(host.lives), SilentLogger(), host

    def folded(self, seq: int, folds: Mapping[str, Folded]) -> None:
        super().folded(seq, folds)
        if not self.log.dead and self._host.network.chance.random() < SAMPLED_SHARE:
            samples = [Sample(name, seq, fold.fold_hash) for name, fold in folds.items()]
            self._host.world.samples += samples


class SilentLogger:
    """A logger without output."""

    def bind(self, **_: Any) -> SilentLogger:
        return self

    def info(self, *_: Any, **__: Any) -> None:
        return

    warning = error = info
