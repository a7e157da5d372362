"""The pages over a long log: the time that the server needs for each, and from a fact to viewers.

Server and viewers share one core and one event loop, so the server alone is faster."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.applications import Starlette

from ringrift.cluster.pages import LOOPBACK, listen
from ringrift.events import draft
from ringrift.events.facts import TickRecorded
from ringrift.log.jetstream import JetStreamLog
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.log import fresh_log
from ringrift.tools.bench.replay import write_history
from ringrift.web.app import State, make_app
from ringrift.web.guard import Guard
from ringrift.web.server import serve
from ringrift.web.view import View

VIEWERS = 100
PAGE = "/"
"""the page that viewers look at"""
LIVE_SECONDS_MAX = 30.0
_minutes = itertools.count(1)


async def benchmarks(scope: Scope) -> Benchmarks:
    """Milliseconds of each page over a log of `scope.events` events; seconds from a fact to one
    viewer, and to the newer page in the hands of each of `VIEWERS`."""
    async with fresh_log() as log:
        await write_history(log, scope.events)
        began = time.perf_counter()
        async with _served(log) as (app, view, port):
            start = time.perf_counter() - began
            yield Benchmark(f"web/{scope.events}/start", "s", lambda: start, runs_max=1)
            for name, path in paths(view).items():
                page = partial(_page, app, view, path)
                yield Benchmark(f"web/{name}", "ms", page, warm_up=True)
            for name, viewers in (("one viewer", 1), (f"{VIEWERS} viewers", VIEWERS)):
                yield Benchmark(f"web/live/{name}", "s", partial(_live, log, port, viewers))


def paths(view: View) -> dict[str, str]:
    """The pages to measure by name, with a network and a match in the middle of the log."""
    networks, matches = list(view.fold.networks.values()), list(view.fold.running.matches)
    network, middle = networks[len(networks) // 2], view.fold.seq // 2
    of_config = f"/networks/{network.config}"
    return {
        "loop": "/",
        "networks": "/networks",
        "networks of a config": of_config,
        "networks over time": f"{of_config}?over=time",
        "network": f"{of_config}/{network.model}",
        "evaluations": "/evaluations",
        "evaluation": f"/evaluations/{matches[len(matches) // 2]}",
        "time": f"/time?at={middle}",
        "loop in the past": f"/at/{middle}/",
        "networks in the past": f"/at/{middle}{of_config}",
    }


@contextlib.asynccontextmanager
async def _served(log: JetStreamLog) -> AsyncIterator[tuple[Starlette, View, int]]:
    """Pages that have read the log, with their view and port."""
    view, listening, stopping = View(log), listen(LOOPBACK, 0), asyncio.Event()
    app = make_app(State(log=log, view=view, guard=Guard()))
    serving = asyncio.create_task(serve(app, listening, stopping))
    try:
        while not view.ready:
            await view.changed(view.version)
        yield app, view, listening.getsockname()[1]
    finally:
        stopping.set()
        await serving


async def _page(app: Starlette, view: View, path: str) -> float:
    """Milliseconds until a page that is not kept is answered."""
    address, _, query = path.partition("?")
    view.touch()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", LOOPBACK.encode())],
        "server": (LOOPBACK, 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    began = time.perf_counter()
    await app(scope, receive, send)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    assert sent[0]["status"] == 200, f"{path}: {sent[0]['status']}"
    return seconds * 1000


async def _live(log: JetStreamLog, port: int, viewers: int) -> float:
    """Seconds from a fact until each viewer has the page with it."""
    ready = [asyncio.Event() for _ in range(viewers)]
    async with asyncio.timeout(LIVE_SECONDS_MAX), asyncio.TaskGroup() as group:
        seq = asyncio.get_running_loop().create_future()
        waiting = [group.create_task(_viewer(port, one, seq)) for one in ready]
        for one in ready:
            await one.wait()
        fact = TickRecorded(minute=next(_minutes))
        began = time.perf_counter()
        (number,) = await log.append([draft(fact, cause=None, source="bench", key=time.time_ns())])
        seq.set_result(number)
    return max(task.result() for task in waiting) - began


async def _viewer(port: int, ready: asyncio.Event, seq: asyncio.Future[int]) -> float:
    """The time at which a viewer, who fetches the page at every new version, has the fact."""
    reader, writer = await _asked(port, "/live")
    try:
        while True:
            line = await reader.readline()
            if not line.startswith(b"data:"):
                continue
            if not ready.is_set():
                ready.set()
                continue
            page, closing = await _asked(port, PAGE)
            text = await page.read()
            closing.close()
            if f"EVENTS/{await seq}<".encode() in text:
                return time.perf_counter()
    finally:
        writer.close()


async def _asked(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
    return reader, writer
