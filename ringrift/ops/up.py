"""`ringrift up`: the whole loop on one machine. Starts the server if none is named, the consumers, and shows what happens.

The supervisor owns no state: it starts processes, starts them again when they die, and follows the log to draw the screen.
Ctrl-C asks all to drain; what was in hand goes back to the queue and `ringrift up` on the same data goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from ringrift.analytics.generations import LoopView
from ringrift.analytics.plots import elo_over_games
from ringrift.consumers.process import node_name
from ringrift.consumers.process import threads as process_threads
from ringrift.events import Settings, UndecodableEvent, decode, draft
from ringrift.events.facts import GameCompleted, SettingsChanged
from ringrift.ops.screen import PLAIN_WIDTH, Rates, Screen, print_summary
from ringrift.streams.ensure import ensure
from ringrift.streams.errors import ServerError, StreamError
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.log import Expect
from ringrift.streams.presence import Heartbeat, Presence
from ringrift.streams.server import EmbeddedServer

SINGLE = ("planner", "promoter", "rater", "dispatcher", "exporter", "trainer", "feedback", "clock", "warden")
PLAYING = ("selfplay", "evaluator")
"""without a GPU one process of one thread a core: threads that wait for each other at every layer lose to other load"""
CONSUMERS = (*SINGLE, *PLAYING)
RESTART_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 20.0
"""a child that lived this long starts again at once; one that keeps dying waits twice as long each time"""
DRAIN_SECONDS_MAX = 30.0
SHOW_SECONDS = 0.5
LOG_BYTES_MAX = 16 * 1024 * 1024
MORE_GENERATIONS = 3
"""that the command which goes on asks for"""


class Child:
    """One consumer process, started again when it dies."""

    def __init__(self, name: str, url: str, path: Path, threads: int | None) -> None:
        self.name, self._url, self._path = name, url, path
        own = {"RINGRIFT_HEALTH_PORT": "0", "RINGRIFT_DATA": str(path.parent.parent)}
        self._environment = {**os.environ, **own, **({"RINGRIFT_THREADS": str(threads)} if threads else {})}
        self.restarts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, stopping: asyncio.Event, say: Callable[[str], None]) -> None:
        """Keep the process alive until `stopping`."""
        pause = 0.5
        while not stopping.is_set():
            started = time.monotonic()
            status = await self._live_once()
            if stopping.is_set():
                return
            pause = 0.5 if time.monotonic() - started > HEALTHY_SECONDS else min(pause * 2, RESTART_SECONDS_MAX)
            self.restarts += 1
            say(f"{self.name} ended with status {status}, starts again in {pause:.1f} s (its log: {self._path})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def _live_once(self) -> int:
        if self._path.exists() and self._path.stat().st_size > LOG_BYTES_MAX:
            self._path.replace(self._path.with_suffix(".log.1"))
        with self._path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"ringrift.consumers.{self.name}", "--server", self._url,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=self._environment,
            )  # fmt: skip
            return await self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal if the process lives."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                self.process.send_signal(number)


async def apply_settings(log: JetStreamLog, settings: Settings, why: str) -> int:
    """Make `settings` the ones in force unless they are already; their version."""
    subject = "ringrift.settings.all.changed"
    last = await log.last("EVENTS", subject)
    version = 0
    if last is not None:
        event = decode(last.body, stream="EVENTS", seq=last.seq).event
        assert isinstance(event, SettingsChanged)
        version = event.version
        if event.settings == settings:
            return version
    changed = SettingsChanged(version=version + 1, settings=settings, why=why)
    item = draft(changed, cause=None, source=f"ringrift@{node_name()}", key=version + 1)
    await log.append([item], Expect(subject, last.seq if last else 0))
    return version + 1


class Loop:
    """One `ringrift up`: server, children, view."""

    def __init__(self, log: JetStreamLog, url: str, data: Path, server: EmbeddedServer | None, plain: bool) -> None:
        self.log, self.url, self.data, self.server = log, url, data, server
        self.view, self.rates = LoopView(), Rates()
        self.screen = Screen(self.view, self.rates, Console(width=PLAIN_WIDTH, force_terminal=False) if plain else None)
        self.stopping = asyncio.Event()
        self.problem: str | None = None
        logs = data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.children = [Child(name, url, logs / f"{name}.log", None) for name in SINGLE]
        gpu = torch.cuda.is_available()
        for name in PLAYING:
            for number in range(1 if gpu else process_threads()):
                self.children.append(Child(name, url, logs / f"{name}-{number}.log", None if gpu else 1))

    async def run(self, for_seconds: float | None) -> None:
        """Until the wanted generations are judged, the time is over, or someone says stop."""
        if for_seconds is not None:
            asyncio.get_running_loop().call_later(for_seconds, self.stopping.set)
        with self.screen:
            tasks = [asyncio.create_task(child.run(self.stopping, self.screen.say)) for child in self.children]
            watchers = [asyncio.create_task(job) for job in (self._follow_events(), self._follow_games(), self._show())]
            if self.server is not None:
                watchers.append(asyncio.create_task(self._keep_server(self.server)))
                watchers.append(asyncio.create_task(self._watch_server(self.server)))
            failed = asyncio.create_task(_first_failure(watchers, self.stopping))
            await self.stopping.wait()
            await self._drain(tasks)
            for task in (*watchers, failed):
                task.cancel()
            await asyncio.gather(*watchers, failed, return_exceptions=True)
            if failed.done() and not failed.cancelled() and (error := failed.result()) is not None:
                self.problem = self.problem or str(error)

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self.screen.say("draining: consumers finish or hand back what they have")
        for child in self.children:
            child.signal(signal.SIGTERM)
        _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS_MAX)
        if late:
            self.screen.say(f"{len(late)} consumers did not drain within {DRAIN_SECONDS_MAX:g} s: killed, the log is not harmed")
            for child in self.children:
                child.signal(signal.SIGKILL)
            await asyncio.wait(late)

    async def _keep_server(self, server: EmbeddedServer) -> None:
        while not self.stopping.is_set():
            status = await server.wait()
            if self.stopping.is_set():
                return
            self.screen.say(f"the server ended with status {status}, starts again")
            try:
                await server.restart()
            except ServerError as error:
                self.problem = str(error)
                self.stopping.set()

    async def _watch_server(self, server: EmbeddedServer) -> None:
        raise await server.fault()

    async def _follow_events(self) -> None:
        async for entry in self.log.follow("EVENTS"):
            with contextlib.suppress(UndecodableEvent):  # the deciders dead-letter it
                self.view.fold([decode(entry.body, stream="EVENTS", seq=entry.seq)])
            if self.view.finished() and self.view.seq >= await self.log.tail("EVENTS"):
                self.stopping.set()

    async def _follow_games(self) -> None:
        async for entry in self.log.follow("GAMES", start_seq=await self.log.tail("GAMES") + 1):
            with contextlib.suppress(UndecodableEvent):  # the exporter dead-letters it
                event = decode(entry.body, stream="GAMES", seq=entry.seq).event
                if isinstance(event, GameCompleted):
                    self.rates.add(event.plies)

    async def _show(self) -> None:
        presence = Presence(self.log)
        heartbeats: list[Heartbeat] = []
        tail = 0
        while True:
            with contextlib.suppress(StreamError, TimeoutError):  # the server is away for a moment: show what we have
                heartbeats, tail = await presence.all(), await self.log.tail("EVENTS")
            self.screen.show(heartbeats, tail, f"server {self.url}, data {self.data}")
            await asyncio.sleep(SHOW_SECONDS)


async def _first_failure(tasks: Sequence[asyncio.Task[None]], stopping: asyncio.Event) -> BaseException | None:
    """Stop the loop when a watcher fails, and tell why."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    stopping.set()
    return next((error for task in done if not task.cancelled() and (error := task.exception())), None)


async def up(
    *, settings: Callable[[Settings | None], Settings], data: Path, server: str | None, for_seconds: float | None, plain: bool,
    command: Sequence[str],
) -> int:  # fmt: skip
    """Run the loop; 0 when it ended as asked. `settings` makes the settings to run with from those in force, None at first."""
    embedded = None if server else await EmbeddedServer.start(data)
    url = embedded.url if embedded else str(server)
    try:
        return await _up(settings, data, url, embedded, for_seconds, plain, command)
    finally:
        if embedded is not None:
            await embedded.stop()


async def _up(
    settings: Callable[[Settings | None], Settings], data: Path, url: str, embedded: EmbeddedServer | None,
    for_seconds: float | None, plain: bool, command: Sequence[str],
) -> int:  # fmt: skip
    log = await JetStreamLog.open(url, name=f"up@{node_name()}")
    try:
        for drift in await ensure(log.ask, replicas=None):
            print(f"not as declared: {drift}", file=sys.stderr)
        chosen = settings(await settings_in_force(log))
        await apply_settings(log, chosen, "ringrift up")
        loop = Loop(log, url, data, embedded, plain)
        running = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            running.add_signal_handler(number, loop.stopping.set)
        await loop.run(for_seconds)
        console = Console() if sys.stdout.isatty() and not plain else Console(width=PLAIN_WIDTH, highlight=False)
        print_summary(console, loop.view, write_plots(loop.view, data), _continue_with(command, loop.view))
    finally:
        await log.close()
    if loop.problem:
        print(f"ringrift up: {loop.problem}", file=sys.stderr)
        return 1
    return 0


async def settings_in_force(log: JetStreamLog) -> Settings | None:
    """The settings the log says are in force, None before there are any."""
    last = await log.last("EVENTS", "ringrift.settings.all.changed")
    if last is None:
        return None
    event = decode(last.body, stream="EVENTS", seq=last.seq).event
    assert isinstance(event, SettingsChanged)
    return event.settings


def write_plots(view: LoopView, data: Path) -> dict[str, Path]:
    """A plot of Elo over games for every config that has ratings; where they are."""
    plots: dict[str, Path] = {}
    for config, item in view.configs.items():
        if item.ratings:
            plots[config] = data / f"elo_{config}.png"
            elo_over_games(item, plots[config])
    return plots


def _continue_with(command: Sequence[str], view: LoopView) -> str:
    """The command that goes on: the same one, with more generations if all that it asked for are there."""
    words = list(command)
    if "--generations" in words and view.finished():
        words[words.index("--generations") + 1] = str(view.generations_wanted + MORE_GENERATIONS)
    return shlex.join(["ringrift", *words])
