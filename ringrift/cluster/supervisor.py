"""Consumers as children of this process: started again when they die or hang, drained when told,
gone when it is gone.

`ringrift up` and `ringrift node run` keep theirs with `supervise`, `ringrift strength` for as long
as its matches last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ringrift.runtime.notify import VARIABLES, Watchdog
from ringrift.server.embedded import end_with_parent

RESTART_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 20.0
"""a child that lived this long starts again at once; one that keeps dying waits twice as long each
time"""
DRAIN_SECONDS_MAX = 30.0
SILENT_SECONDS_MAX = 120.0
"""a child that has not said for so long that it makes progress is killed, as by systemd
(`WatchdogSec` of the units)"""
LOOK_SECONDS = 1.0
LOG_BYTES_MAX = 16 * 1024 * 1024

Say = Callable[[str], None]
"""Tells a person something in one line."""


class Child:
    """One consumer process, started again when it dies."""

    def __init__(
        self,
        name: str,
        url: str,
        path: Path,
        threads: int | None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`path`: its log, in a folder of the data directory; `environment`: what it has besides
        ours, by default a free port for its health."""
        self.name, self._url, self._path = name, url, path
        own = {
            "RINGRIFT_DATA": str(path.parent.parent),
            **({"RINGRIFT_THREADS": str(threads)} if threads else {}),
        }
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        self._environment = {
            **inherited,
            **own,
            **({"RINGRIFT_HEALTH_PORT": "0"} if environment is None else environment),
        }
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, stopping: asyncio.Event, say: Say) -> None:
        """Keep the process alive until `stopping`."""
        pause = 0.5
        while not stopping.is_set():
            started = time.monotonic()
            status = await self._live_once()
            if stopping.is_set():
                return
            pause = (
                0.5
                if time.monotonic() - started > HEALTHY_SECONDS
                else min(pause * 2, RESTART_SECONDS_MAX)
            )
            self.restarts += 1
            say(
                f"{self.name} ended with status {status}, starts again in {pause:.1f} s (its log: {self._path})"
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def _live_once(self) -> int:
        if self._path.exists() and self._path.stat().st_size > LOG_BYTES_MAX:
            self._path.replace(self._path.with_suffix(".log.1"))
        with self._path.open("ab") as log, Watchdog(SILENT_SECONDS_MAX) as watchdog:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"ringrift.consumers.{self.name}",
                "--server",
                self._url,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**self._environment, **watchdog.environment},
                preexec_fn=end_with_parent(),
            )
            ended = asyncio.ensure_future(self.process.wait())
            while not (await asyncio.wait({ended}, timeout=LOOK_SECONDS))[0]:
                if watchdog.silent():
                    self.signal(signal.SIGKILL)
            return ended.result()

    def signal(self, number: int) -> None:
        """Send a signal if the process lives."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                self.process.send_signal(number)


async def supervise(children: Sequence[Child], stopping: asyncio.Event, say: Say) -> None:
    """Keep the children alive until `stopping`, then drain them; those that take too long are
    killed."""
    tasks = [asyncio.create_task(child.run(stopping, say)) for child in children]
    await stopping.wait()
    if tasks:
        say("draining: consumers finish or hand back what they have")
        await _drain(children, tasks, say)


async def _drain(children: Sequence[Child], tasks: Sequence[asyncio.Task[None]], say: Say) -> None:
    for child in children:
        child.signal(signal.SIGTERM)
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS_MAX)
    if late:
        say(
            f"{len(late)} consumers did not drain within {DRAIN_SECONDS_MAX:g} s: killed, the log is not harmed"
        )
        for child in children:
            child.signal(signal.SIGKILL)
        await asyncio.wait(late)
