"""`ringrift up`: the whole loop on one machine.

Starts a server unless one is named, starts the consumers, and shows what happens. It keeps no state
of its own: it restarts processes that die and follows the log to draw the screen. After Ctrl-C all
consumers drain; unfinished work returns to the queue, and `ringrift up` on the same data continues
from there."""

import asyncio
import contextlib
import os
import shlex
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from ringrift.cluster.machine import children_of, copies
from ringrift.cluster.nats_context import line_to_type
from ringrift.cluster.pages import pages
from ringrift.cluster.screen import generations_table, ratings_table
from ringrift.cluster.steering import apply_settings
from ringrift.cluster.supervisor import background, stop_on_signals, supervise
from ringrift.cluster.terminal import complain, fitting
from ringrift.cluster.watching import SHOW_SECONDS, Watching
from ringrift.consumers.hook import HOOK
from ringrift.events import Contradiction, Settings
from ringrift.insight.describe import plural
from ringrift.insight.generations import LoopView
from ringrift.insight.live import Live
from ringrift.insight.plot_style import elo_over_games
from ringrift.insight.usage import used_since
from ringrift.log import marks, read
from ringrift.log.identity import make_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.wire import shown_address, split_servers
from ringrift.runtime.host import gpu, node_name, threads
from ringrift.runtime.processes import PROCESSES, ProcessSpec
from ringrift.server import reserve
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.trust.admission import admit_itself

MORE_GENERATIONS = 3
"""by which the command that continues a finished run raises `--generations`"""


async def up(
    data: Path,
    server: str | None,
    choose: Callable[[Settings | None], Settings],
    seconds: float | None,
    command: Sequence[str],
    out: Console,
    *,
    web: bool = True,
) -> int:
    """Run the loop, and with `web` the pages, until the wanted generations are judged, `seconds`
    have passed or a signal comes; return 0 unless the server failed.

    `choose` returns the settings for those in force, which are None in a new run. `command` is the
    command line, from which the one that continues the run is made. Raises SettingsError,
    CommandError and errors of the server."""
    warnings.filterwarnings("default", category=DeprecationWarning, module="ringrift")
    _refuse_bad(choose, new=server is None and not await asyncio.to_thread(data.exists))
    async with contextlib.AsyncExitStack() as stack:
        embedded = None if server else await EmbeddedServer.start(data)
        if embedded is not None:
            stack.push_async_callback(embedded.stop)
            reserve.keep(data / "nats")
        url = embedded.url if embedded else str(server)
        log = await JetStreamLog.open(url, name=f"up@{node_name()}")
        log.signer = await asyncio.to_thread(make_key, data)
        stack.push_async_callback(log.close)
        await marks.refuse_losses(log)
        stack.push_async_callback(marks.remember, log)
        for drift in await ensure(log, replicas=None):
            complain(f"differs from its declaration: {drift}")
        current, version = await read.settings_in_force(log)
        await apply_settings(log, choose(current if version else None), "ringrift up")
        if embedded is not None:
            await admit_itself(log, node_name())
        where = f" --server {shown_address(url)}" if server else f" --data {data}"
        out.print(f"to look: {line_to_type(url, f'ringrift context{where}')}", soft_wrap=True)
        loop = Loop(log, url, data, embedded, out, web=web)
        stop_on_signals(loop.stopping.set)
        await loop.run(seconds)
        print_summary(out, loop.live.loop, data)
        for name, used in (await used_since(log, loop.started)).items():
            out.print(f"cores of {name}: {used}", soft_wrap=True)
        out.print(f"continue with: {_continue_with(command, loop.live.loop)}", soft_wrap=True)
    if loop.problem:
        complain(f"ringrift up: {loop.problem}")
    return 1 if loop.problem else 0


def _refuse_bad(choose: Callable[[Settings | None], Settings], *, new: bool) -> None:
    """Raise what is wrong with the settings before anything is started; with an earlier run the
    settings in force decide whether they contradict each other."""
    try:
        choose(None)
    except Contradiction:
        if new:
            raise


def processes() -> list[ProcessSpec]:
    """The processes of a whole loop; that which rents does nothing without a hook."""
    hook = bool(os.environ.get(HOOK, "").strip())
    return [spec for spec in PROCESSES.values() if hook or spec.role != "renter"]


class Loop:
    """The processes of one `ringrift up`, and the view of their work."""

    def __init__(
        self,
        log: JetStreamLog,
        url: str,
        data: Path,
        server: EmbeddedServer | None,
        out: Console,
        *,
        web: bool,
    ) -> None:
        self.log, self.url, self.data, self.server = log, url, data, server
        self.live = Live(log)
        self.screen = Watching(self.live, out, f"{shown_address(url)}, {data}")
        self.started = datetime.now(UTC)
        self.stopping = asyncio.Event()
        self.problem: str | None = None
        planned = copies(processes(), threads(), gpu=gpu())
        self.children = children_of(planned, url, data)
        if web:
            child, address = pages(url, data)
            self.children.append(child)
            out.print(f"pages: {address}", soft_wrap=True)

    async def run(self, seconds: float | None) -> None:
        """Return when the wanted generations are judged, `seconds` have passed or `stopping` is
        set; `problem` is set if the server failed."""
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self.stopping.set)
        with self.screen.shown():
            jobs = [self.live.run(), self.screen.run(), self._watch_progress()]
            if self.server is not None:
                jobs += [self.server.keep(self.screen.say), self._watch_server(self.server)]
            async with background(*jobs, ended=self._watcher_ended):
                await supervise(self.children, self.stopping, self.screen.say)
        for child in self.children:
            if child.problem:
                self.problem = self.problem or f"{child.name} cannot be started: {child.problem}"

    def _watcher_ended(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            self.problem = self.problem or str(error)
            self.stopping.set()

    async def _watch_server(self, server: EmbeddedServer) -> None:
        raise await server.fault()

    async def _watch_progress(self) -> None:
        """Stop when all wanted generations are judged, or when a person quits."""
        while not self.screen.quit.is_set():
            view = self.live.loop
            if view.finished() and view.seq >= await self.log.tail("EVENTS"):
                break
            await asyncio.sleep(SHOW_SECONDS)
        self.stopping.set()


def print_summary(out: Console, view: LoopView, data: Path) -> None:
    """Print the tables of every config at the end of a run; plot its Elo over games to `data`."""
    for item in view.configs.values():
        tables = ratings_table(item.config, item.ratings, item.anchor, item.unrated)
        for found in (generations_table(item, out.width), tables):
            out.print(fitting(out, found))
        games = f"{item.games:,} games, {item.plies:,} moves"
        out.print(f"{games}, {item.samples:,} samples in {plural(item.shards, 'shard')}")
        if item.ratings:
            plot = data / f"elo_{item.config}.png"
            try:
                elo_over_games(item, plot)
                out.print(f"Elo over games: {plot}", soft_wrap=True)
            except OSError as error:  # no room for it
                out.print(f"Elo over games: not drawn, {error}", soft_wrap=True)


def _continue_with(command: Sequence[str], view: LoopView) -> str:
    """The command that continues: `command`, with more generations if it has reached its own, and
    without passwords."""
    words = [
        ",".join(map(shown_address, split_servers(word))) if "@" in word and "://" in word else word
        for word in command
    ]
    if "--generations" in words and view.finished():
        words[words.index("--generations") + 1] = str(view.generations_wanted + MORE_GENERATIONS)
    return shlex.join(["ringrift", *words])
