"""Consumers as child processes: restarted when they die or hang, drained when asked, ended with
their parent."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from ringrift.cluster.fork_server import Fork, ForkServer
from ringrift.runtime.notify import VARIABLES, Watchdog
from ringrift.server.binary import end_with_parent

RESTART_SECONDS_MIN, RESTART_SECONDS_MAX = 0.5, 30.0
HEALTHY_SECONDS = 20.0
"""a child that lived this long restarts at once; one that keeps dying waits twice as long each
time"""
DRAIN_SECONDS_MAX = 30.0
SILENT_SECONDS_MAX = 120.0
"""a child that reports no progress for this long is killed, as by systemd (`WatchdogSec` of the
units)"""
LOOK_SECONDS = 1.0
LOG_BYTES_MAX = 16 * 1024 * 1024

Say = Callable[[str], None]
"""Reports one line to a person."""


class Child:
    """One consumer process, restarted when it dies."""

    def __init__(
        self,
        name: str,
        url: str,
        path: Path,
        environment: Mapping[str, str],
        words: Sequence[str] = (),
    ) -> None:
        """`path` is its log, in a folder of the data directory. `environment` is added to that of
        this process. `words` are Python's arguments, by default those of the consumer `name`."""
        self.name, self._url, self._path = name, url, path
        self._words = words or ("-m", f"ringrift.consumers.{name}")
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        own = {"RINGRIFT_DATA": str(path.parent.parent), **environment}
        self._environment = inherited | own
        self.module = self._words[1]
        self.restarts = 0
        self.ended = ""
        """how its process ended the last time"""
        self.problem = ""
        """why it could not be started the last time, empty if it could"""
        self.process: asyncio.subprocess.Process | Fork | None = None
        self.forks: ForkServer | None = None
        """starts its process; without one it is started by itself"""

    async def run(self, stopping: asyncio.Event, say: Say) -> None:
        """Keep the process running until `stopping` is set."""
        pause = RESTART_SECONDS_MIN
        while not stopping.is_set():
            started = time.monotonic()
            try:
                end = f"ended with status {await self._run_once()}"
            except OSError as error:  # no room for its log, no process or file descriptor left
                self.problem = str(error)
                end = f"cannot be started: {error}"
            if stopping.is_set():
                return
            lived = time.monotonic() - started
            pause = min(pause * 2, RESTART_SECONDS_MAX)
            if lived > HEALTHY_SECONDS:
                pause = RESTART_SECONDS_MIN
            self.restarts, self.ended = self.restarts + 1, end
            say(f"{self.name} {end}, restarts in {pause:.1f} s: {self._path}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def _run_once(self) -> int:
        if self._path.exists() and self._path.stat().st_size > LOG_BYTES_MAX:
            self._path.replace(self._path.with_suffix(".log.1"))
        with self._path.open("ab") as log, Watchdog(SILENT_SECONDS_MAX) as watchdog:
            words = (*self._words, "--server", self._url)
            environment = {**self._environment, **watchdog.environment}
            if self.forks is not None:
                self.process = await self.forks.start(words, environment, self._path)
            else:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *words),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=environment,
                    preexec_fn=end_with_parent(),
                )
            self.problem = ""
            ended = asyncio.ensure_future(self.process.wait())
            while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
                if watchdog.silent():
                    self.signal(signal.SIGKILL)
            return ended.result()

    def signal(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                self.process.send_signal(number)


@contextlib.asynccontextmanager
async def background(
    *jobs: Coroutine[Any, Any, None], ended: Callable[[asyncio.Task[None]], None] = lambda _: None
) -> AsyncIterator[None]:
    """Run `jobs` until the block ends, then cancel them; `ended` is called when one ends."""
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def stop_on_signals(
    stop: Callable[[], object], terminate: Callable[[], object] | None = None
) -> None:
    """Call `stop` on Ctrl-C, on SIGTERM (or then `terminate`), and when the terminal is closed,
    unless `nohup` has this process ignore that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            then = terminate if terminate and number == signal.SIGTERM else stop
            asyncio.get_running_loop().add_signal_handler(number, then)


async def supervise(
    children: Sequence[Child],
    stopping: asyncio.Event,
    say: Say,
    limit: Callable[[], float] = lambda: DRAIN_SECONDS_MAX,
) -> None:
    """Keep the children running until `stopping` is set, then drain them; kill those that take
    longer than the seconds of `limit`. What `say` raises does not end a child early. Raises what
    ended the watch over a child."""
    told = _never_raising(say)
    forks = ForkServer(sorted({child.module for child in children}))
    for child in children:
        child.forks = forks if sys.platform == "linux" else None
    tasks = [asyncio.create_task(child.run(stopping, told)) for child in children]
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await waiting
    if not tasks:
        return
    for child in children:
        child.signal(signal.SIGTERM)
    told("draining: consumers finish or hand back their tickets")
    seconds = limit()
    _, late = await asyncio.wait(tasks, timeout=seconds)
    if late:
        for child in children:
            child.signal(signal.SIGKILL)
        told(f"{len(late)} consumers did not drain within {seconds:g} s: killed")
        await asyncio.wait(late)
    await forks.stop()
    for task in tasks:
        task.result()


def _never_raising(say: Say) -> Say:
    """Say the same, or nothing if it cannot be written: the terminal may be closed."""

    def told(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            say(text)

    return told
