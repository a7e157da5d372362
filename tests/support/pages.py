"""The pages over a log in memory, with a client that speaks to them without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ringrift.cli.reference import commands
from ringrift.events import Fact, draft
from ringrift.log.presence import Heartbeat
from ringrift.tools.memory_log import MemoryLog
from ringrift.web.app import State, make_app, running
from ringrift.web.guard import Guard
from ringrift.web.view import View

TOKEN = "the-operators-token"
ADDRESS = "http://localhost"


def beat(consumer: str, **given: Any) -> Heartbeat:
    """A heartbeat of a process on the node `box1`."""
    usual = {"node": "box1", "instance": "i1", "pid": 1, "seq": 0, "errors": 0, "doing": ""}
    return Heartbeat(consumer=consumer, folds={}, **{**usual, **given})


@dataclass
class Site:
    """An application over `log`, and a client."""

    log: MemoryLog
    view: View
    client: httpx.AsyncClient

    async def record(self, *facts: Fact, cause: str | None = None) -> int:
        """Append facts to the log, and return the sequence of the last one."""
        for fact in facts:
            key = await self.log.tail("EVENTS")
            await self.log.append([draft(fact, cause=cause, source="test", key=f"site-{key}")])
        await self.view.catch_up()
        return self.view.fold.seq

    async def get(self, path: str, status: int = 200) -> str:
        """Return the text of a page, which must have this status."""
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def sign_in(self) -> None:
        """Send the operator's token from now on."""
        self.client.headers["authorization"] = f"Bearer {TOKEN}"


@asynccontextmanager
async def site(log: MemoryLog | None = None) -> AsyncIterator[Site]:
    """A site, closed at the end of the block."""
    log = log or MemoryLog()
    view = View(log)
    state = State(
        log=log, view=view, guard=Guard(TOKEN), where="a log in memory", commands=commands
    )
    app = make_app(state)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with running(app), httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        await view.catch_up()
        yield Site(log, view, client)
    view.close()


async def answered(pages: Site, path: str) -> str:
    """The page at a path once its answer is there."""
    version = pages.view.version
    while "being computed" in (text := (await pages.client.get(path)).text):
        version = await pages.view.changed(version)
    return text
