"""A real browser on real pages: `ringrift web` over a log in this process, and Chromium."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from ringrift.cluster.pages import listen
from ringrift.log.protocol import Log
from ringrift.web.app import State, make_app
from ringrift.web.guard import Guard
from ringrift.web.server import serve
from ringrift.web.view import View

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOKEN = "the-operators-token"
WIDTHS = (390, 1000, 1920)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
"""marks tests that are skipped, with this word, on a machine without a browser"""


class Seen:
    """What a page complained about: errors of scripts, of the policy, of requests."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", lambda message: self._console(message))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self._failed(request))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _failed(self, request: Any) -> None:
        # what is still loading ends when the page is left, as the stream of versions always does
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url}: {request.failure}")


@asynccontextmanager
async def serving(log: Log, *hosts: str) -> AsyncIterator[tuple[str, View]]:
    """The address of pages over a log, and their view, which follows the log; `hosts` are names
    under which they may be reached."""
    view, listening = View(log), listen("127.0.0.1", 0)
    app = make_app(State(log=log, view=view, guard=Guard(TOKEN, hosts), where="the log of a test"))
    stopping = asyncio.Event()
    running = asyncio.create_task(serve(app, listening, stopping))
    try:
        while not view.ready:
            await view.changed(view.version)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", view
    finally:
        stopping.set()
        await running


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as tool:
        found = await tool.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield found
        finally:
            await found.close()
