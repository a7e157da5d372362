"""`ringrift up`: the whole loop on one machine. Starts the server if none is named, the consumers,
and shows what happens.

The supervisor owns no state: it starts processes, starts them again when they die, and follows the
log to draw the screen. Ctrl-C asks all to drain; what was in hand goes back to the queue and
`ringrift up` on the same data goes on from there."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from ringrift.cli.settings import apply_settings, settings_in_force, with_known_architecture
from ringrift.cluster.screen import Rates, Screen, print_summary
from ringrift.cluster.supervisor import Child, supervise
from ringrift.cluster.terminal import PLAIN_WIDTH
from ringrift.events import Settings, UndecodableEvent, decode
from ringrift.events.facts import GameCompleted
from ringrift.events.settings import SHARED_MACHINE
from ringrift.events.settings_sources import from_arguments, from_environment, load
from ringrift.insight.generations import LoopView
from ringrift.insight.plots import elo_of
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Presence
from ringrift.runtime.machine import node_name
from ringrift.runtime.machine import threads as process_threads
from ringrift.runtime.processes import PROCESSES
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

SHOW_SECONDS = 0.5
MORE_GENERATIONS = 3
"""that the command which goes on asks for"""


class Loop:
    """One `ringrift up`: server, children, view."""

    def __init__(
        self, log: JetStreamLog, url: str, data: Path, server: EmbeddedServer | None, plain: bool
    ) -> None:
        self.log, self.url, self.data, self.server = log, url, data, server
        self.view, self.rates = LoopView(), Rates()
        self.screen = Screen(
            self.view,
            self.rates,
            Console(width=PLAIN_WIDTH, force_terminal=False) if plain else None,
        )
        self.stopping = asyncio.Event()
        self.problem: str | None = None
        logs = data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.children = [
            Child(spec.name, url, logs / f"{spec.name}.log", None)
            for spec in PROCESSES.values()
            if not spec.per_core
        ]
        gpu = torch.cuda.is_available()
        for name in (spec.name for spec in PROCESSES.values() if spec.per_core):
            for number in range(1 if gpu else process_threads()):
                self.children.append(
                    Child(name, url, logs / f"{name}-{number}.log", None if gpu else 1)
                )

    async def run(self, for_seconds: float | None) -> None:
        """Until the wanted generations are judged, the time is over, or someone says stop."""
        if for_seconds is not None:
            asyncio.get_running_loop().call_later(for_seconds, self.stopping.set)
        with self.screen:
            watchers = [
                asyncio.create_task(job)
                for job in (self._follow_events(), self._follow_games(), self._show())
            ]
            if self.server is not None:
                watchers.append(asyncio.create_task(self.server.keep(self.screen.say)))
                watchers.append(asyncio.create_task(self._watch_server(self.server)))
            failed = asyncio.create_task(_first_failure(watchers, self.stopping))
            await supervise(self.children, self.stopping, self.screen.say)
            for task in (*watchers, failed):
                task.cancel()
            await asyncio.gather(*watchers, failed, return_exceptions=True)
            if failed.done() and not failed.cancelled() and (error := failed.result()) is not None:
                self.problem = str(error)

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
            with contextlib.suppress(
                StreamError, TimeoutError
            ):  # the server is away for a moment: show what we have
                heartbeats, tail = await presence.all(), await self.log.tail("EVENTS")
            self.screen.show(heartbeats, tail, f"server {self.url}, data {self.data}")
            await asyncio.sleep(SHOW_SECONDS)


async def _first_failure(
    tasks: Sequence[asyncio.Task[None]], stopping: asyncio.Event
) -> BaseException | None:
    """Stop the loop when a watcher fails, and tell why."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    stopping.set()
    return next(
        (error for task in done if not task.cancelled() and (error := task.exception())), None
    )


def run(options: argparse.Namespace) -> int:
    """`ringrift up`. Raises SettingsError, CommandError and what goes wrong with the server."""
    given = from_arguments(options.set)
    file = options.settings.read_bytes() if options.settings else None
    defaults = None if options.server else SHARED_MACHINE

    def settings(in_force: Settings | None) -> Settings:
        chosen = load(from_environment(os.environ), given, file=file, base=in_force or defaults)
        if options.config:
            chosen = load({"configs": ",".join(options.config)}, base=chosen)
        if options.generations is not None or in_force is None or options.duration is not None:
            chosen = load({"generations": str(options.generations or 0)}, base=chosen)
        return with_known_architecture(chosen)

    warnings.filterwarnings(
        "default", category=DeprecationWarning, module="ringrift"
    )  # elsewhere they are hidden
    settings(None)  # a bad setting is refused before anything starts
    work = up(
        settings=settings,
        data=options.data,
        server=options.server,
        for_seconds=options.duration,
        plain=options.plain,
        command=options.words,
    )
    return asyncio.run(work)


async def up(
    *,
    settings: Callable[[Settings | None], Settings],
    data: Path,
    server: str | None,
    for_seconds: float | None,
    plain: bool,
    command: Sequence[str],
) -> int:
    """Run the loop; 0 when it ended as asked. `settings` makes the settings to run with from those
    in force, None at first."""
    embedded = None if server else await EmbeddedServer.start(data)
    url = embedded.url if embedded else str(server)
    try:
        return await _up(settings, data, url, embedded, for_seconds, plain, command)
    finally:
        if embedded is not None:
            await embedded.stop()


async def _up(
    settings: Callable[[Settings | None], Settings],
    data: Path,
    url: str,
    embedded: EmbeddedServer | None,
    for_seconds: float | None,
    plain: bool,
    command: Sequence[str],
) -> int:
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
        console = (
            Console()
            if sys.stdout.isatty() and not plain
            else Console(width=PLAIN_WIDTH, highlight=False)
        )
        print_summary(
            console, loop.view, write_plots(loop.view, data), _continue_with(command, loop.view)
        )
    finally:
        await log.close()
    if loop.problem:
        print(f"ringrift up: {loop.problem}", file=sys.stderr)
        return 1
    return 0


def write_plots(view: LoopView, data: Path) -> dict[str, Path]:
    """A plot of Elo over games for every config that has ratings; where they are."""
    plots: dict[str, Path] = {}
    for config, item in view.configs.items():
        if item.ratings:
            plots[config] = data / f"elo_{config}.png"
            elo_of(item, plots[config])
    return plots


def _continue_with(command: Sequence[str], view: LoopView) -> str:
    """The command that goes on: the same one, with more generations if all that it asked for are
    there."""
    words = list(command)
    if "--generations" in words and view.finished():
        words[words.index("--generations") + 1] = str(view.generations_wanted + MORE_GENERATIONS)
    return shlex.join(["ringrift", *words])
