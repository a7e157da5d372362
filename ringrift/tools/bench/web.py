"""The pages over a long log: the time that the server needs for each, and from a fact to viewers.

Server and viewers share one core and one event loop, so the server alone is faster."""

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from starlette.applications import Starlette

from ringrift.cluster.pages import LOOPBACK, listen
from ringrift.events import Fact, draft
from ringrift.events.facts import DeadLetterStored, SelfplayPlanned, TickRecorded
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning.play import Host, play_games
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
LIVE_SECONDS_MAX, ANSWER_SECONDS_MAX = 30.0, 600.0
GAMES, LETTERS = 1000, 100
"""in the log beside its history"""
ANY = "ANY"
"""in a path: an event that was not asked for before"""
_minutes = itertools.count(1)
_chance = random.Random(1)


async def benchmarks(scope: Scope) -> Benchmarks:
    """Milliseconds of each page over a log of `scope.events` events; seconds until the pages show
    all of it after a first and a later start, of answers of child processes, and from a fact to one
    viewer and to the newer page in the hands of each of `VIEWERS`."""
    async with fresh_log() as log:
        await write_history(log, scope.events)
        await _write_more(log)
        with tempfile.TemporaryDirectory() as folder:
            for name in ("start", "restart"):
                began = time.perf_counter()
                async with _served(log, Path(folder)) as (app, view, _):
                    first = await _page(app, view, PAGE) / 1000
                    await _ready(view)
                    figures = {"first page": first, "all": time.perf_counter() - began}
                    await view.store(0)
                units = dict.fromkeys(figures, "s")
                yield Benchmark(f"web/{scope.events}/{name}", units, figures.copy, runs_max=1)
            async with _served(log, Path(folder)) as (app, view, port):
                await _ready(view)
                answers = {name: partial(_answer, app, view, path) for name, path in LATER.items()}
                for name, answer in answers.items():
                    yield Benchmark(f"web/{name} answered", "s", answer, runs_max=1)
                for name, path in paths(view).items():
                    page = partial(_page, app, view, path)
                    yield Benchmark(f"web/{name}", "ms", page, warm_up=ANY not in path)
                for name, viewers in (("one viewer", 1), (f"{VIEWERS} viewers", VIEWERS)):
                    yield Benchmark(f"web/live/{name}", "s", partial(_live, log, port, viewers))


LATER = {
    "tables": "/sql?q=FROM+leaderboard+LIMIT+9",
    "sql": "/sql?q=FROM+leaderboard",
    "ready tables": "/cost",
    "what if": "/whatif?decider=promotion&since=0&until=999999999",
}
"""pages whose answer comes from a child process; the first one fills the tables"""


def paths(view: View) -> dict[str, str]:
    """The pages to measure by name, with a network and a match in the middle of the log."""
    networks, matches = list(view.fold.networks), list(view.fold.running.matches)
    network, middle = view.fold.networks[networks[len(networks) // 2]], view.fold.seq // 2
    of_config = f"/networks/{network.config}"
    return {
        "loop": "/",
        "networks": "/networks",
        "networks of a config": of_config,
        "networks over time": f"{of_config}?over=time",
        "network": f"{of_config}/{network.model}",
        "evaluations": "/evaluations",
        "evaluation": f"/evaluations/{matches[len(matches) // 2]}",
        "games": "/games",
        "games searched": "/games?winner=2",
        "game": "/games/5?ply=9",
        "events": "/events",
        "events of a type": f"/events?type=ModelPromoted&scope={network.config}",
        "events of a node": "/events?node=node1",
        "event": f"/events/{ANY}",
        "fleet": "/fleet",
        "dead letters": "/dead-letters",
        **LATER,
        "docs": "/docs/settings",
        "play": "/play",
        "time": f"/time?at={ANY}",
        "time and difference from the start": "/time?at=1",
        "loop in the past": f"/at/{ANY}/",
        "networks in the past": f"/at/{ANY}{of_config}?over=time",
        "evaluations in the past": f"/at/{middle}/evaluations",
    }


async def _write_more(log: JetStreamLog) -> None:
    """Append games and dead letters."""
    plan = SelfplayPlanned(
        config="square8_2p",
        generation=0,
        games=1,
        games_per_ticket=1,
        simulations=2,
        model=None,
        seed=1,
        settings_version=1,
    )
    (ticket,) = tickets_of(plan, "EVENTS/2")
    assert isinstance(ticket, SelfplayTicket)
    (played,) = play_games(ticket, SelfplaySettings(), Host(node="node1"))
    letter = DeadLetterStored(
        consumer="rater", stream="EVENTS", seq=1, dead_seq=1, reason="bench", deliveries=3
    )
    facts: list[Fact] = [replace(played, game=f"bench-{number}") for number in range(GAMES)]
    facts += [replace(letter, seq=number, dead_seq=number) for number in range(1, LETTERS + 1)]
    for number, fact in enumerate(facts):
        await log.append([draft(fact, cause=None, source="bench", key=str(number))])


@contextlib.asynccontextmanager
async def _served(log: JetStreamLog, cache: Path) -> AsyncIterator[tuple[Starlette, View, int]]:
    """Pages over a log, with their view and port."""
    view, listening, stopping = View(log, cache), listen(LOOPBACK, 0), asyncio.Event()
    app = make_app(State(log=log, view=view, guard=Guard()))
    serving = asyncio.create_task(serve(app, listening, stopping))
    try:
        await asyncio.sleep(0)
        yield app, view, listening.getsockname()[1]
    finally:
        stopping.set()
        await serving


async def _ready(view: View) -> None:
    """Wait until the log is read."""
    while not view.ready:
        await view.changed(view.version)


async def _answer(app: Starlette, view: View, path: str) -> float:
    """Seconds until a page has what a child process answers."""
    began = time.perf_counter()
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        while b"being computed" in await _body(app, path):
            await view.changed(view.version)
    return time.perf_counter() - began


async def _page(app: Starlette, view: View, path: str) -> float:
    """Milliseconds until a page that is not kept is answered."""
    path = path.replace(ANY, str(_chance.randint(1, max(1, view.fold.seq))))
    view.touch()
    began = time.perf_counter()
    await _body(app, path)
    return (time.perf_counter() - began) * 1000


async def _body(app: Starlette, path: str) -> bytes:
    """The content of a page."""
    address, _, query = path.partition("?")
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

    await app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200, f"{path}: {sent[0]['status']}"
    return b"".join(message.get("body", b"") for message in sent)


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
