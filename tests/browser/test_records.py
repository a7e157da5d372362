"""Events, what-ifs, the fleet, dead letters and tables in a real browser over a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from support.browser import TOKEN, WIDTHS, Seen, browser, needs_browser, serving
from support.embedded import connected, running
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import Draft, facts as f
from ringrift.log import read
from ringrift.log.dead_letters import store_dead_letter
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log

pytestmark = [needs_browser, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
LIVE_MS_MAX = 5000
CHILD_MS_MAX = 60_000
"""a page that starts a child process; a busy machine gets more time"""
PATHS = (
    *("/events", "/events/38", "/events/60/why", "/events/GAMES/3", "/at/40/events/38"),
    *("/fleet", "/dead-letters", "/dead-letters/1", "/quality", "/cost", "/people"),
    *("/sql?q=FROM+leaderboard", "/whatif?decider=selfplay&set=selfplay.games%3D6&until=60"),
)
HOSTILE = b'{"type": "<img src=x onerror=document.title=1>"}\x1b[31m'


class Window:
    """A browser, the address of pages over a log, and the log."""

    def __init__(self, log: Log, address: str, browser: Browser) -> None:
        self.log, self.address, self.browser = log, address, browser

    async def open(self, path: str, **options: Any) -> tuple[Page, Seen]:
        """A page in a context of its own."""
        context = await self.browser.new_context(**options)
        page = await context.new_page()
        page.set_default_timeout(CHILD_MS_MAX)
        seen = Seen(page)
        await page.goto(self.address + path)
        return page, seen

    async def letter(self, number: int) -> None:
        """Store a dead letter."""
        fact = f.DeadLetterStored(
            consumer="rater",
            stream="EVENTS",
            seq=number,
            dead_seq=number,
            reason="<b>no</b> such event",
            deliveries=3,
        )
        entry = Entry(seq=number, subject="ringrift.x.all.y", stamp_ns=0, body=HOSTILE)
        await store_dead_letter(self.log, entry, fact, "rater@n1")


async def copy(loop: TurningLoop, log: Log) -> None:
    """Append the events of a loop to another log, at the same positions."""
    for stream in ("GAMES", "EVENTS"):
        async for event, meta in read.facts(loop.log, stream=stream):
            item = Draft(
                event=event, id=meta.id, cause=meta.cause, source=meta.source, time=meta.time
            )
            await log.append([item])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Window]:
    loop = TurningLoop()
    await loop.put(
        f.SettingsChanged(version=1, settings=SETTINGS, why="test"), source="ringrift@n1"
    )
    await loop.turn()
    data: Path = tmp_path_factory.mktemp("records")
    async with running(data) as server, connected(server) as log:
        await copy(loop, log)
        async with serving(log) as (address, _), browser() as found:
            window = Window(log, address, found)
            await window.letter(1)
            yield window


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_and_is_accessible(window: Window, scheme: Any) -> None:
    page, seen = await window.open("/events", color_scheme=scheme)
    for path in PATHS:
        answer = await page.goto(window.address + path)
        assert answer is not None
        assert answer.ok, path
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = (await Axe().run(page)).response["violations"]
        grave = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
        assert grave == [], path
    assert seen.complaints == []
    await page.context.close()


async def test_the_tail_grows_without_a_reload(window: Window) -> None:
    page, seen = await window.open("/events?type=DeadLetterStored")
    await page.evaluate("window.loadedOnce = true")
    rows = page.locator("#tail tbody tr")
    before = await rows.count()
    await window.letter(2)
    await expect(rows).to_have_count(before + 1, timeout=LIVE_MS_MAX)
    assert await page.evaluate("window.loadedOnce")
    assert seen.complaints == []
    await page.context.close()


async def test_walking_from_an_event_to_its_first_cause_and_its_network(window: Window) -> None:
    page, _ = await window.open("/events?type=ModelPromoted")
    await page.click("#tail tbody tr:last-child a.position >> nth=0")
    await expect(page.locator("h1")).to_contain_text("ModelPromoted")
    await page.click(".tree li:first-child a")
    await expect(page.locator("h1")).to_contain_text("SettingsChanged")
    await page.go_back()
    await page.click("dl.pairs a[href*='/networks/']")
    await expect(page.locator("h1")).to_contain_text("Network")
    await page.context.close()


async def test_a_letter_is_dropped_by_the_operator_only(window: Window) -> None:
    page, _ = await window.open("/dead-letters/1")
    await expect(page.locator("main")).to_contain_text("Sign in to retry or drop it")
    await expect(page.locator("pre")).to_contain_text("onerror")
    await page.goto(f"{window.address}/login?token={TOKEN}&next=/dead-letters/1")
    await page.fill("#why", "an old one")
    await page.click("button:has-text('Drop')")
    await page.wait_for_url("**/dead-letters")
    assert (await read.latest(window.log, f.DeadLetterResolved)) is not None
    await page.context.close()


async def test_a_statement_runs_and_a_hostile_one_does_not(window: Window) -> None:
    page, _ = await window.open("/sql", java_script_enabled=False)
    await page.fill("#q", "SELECT type, count(*) AS n FROM log GROUP BY type ORDER BY n DESC")
    await page.click("button:has-text('Run')")
    await expect(page.locator("main")).to_contain_text("GameCompleted")
    async with page.expect_download() as started:
        await page.click("a:has-text('CSV')")
    stored = await (await started.value).path()
    assert duckdb.read_csv(str(stored)).columns == ["type", "n"]
    await page.fill("#q", "SELECT * FROM read_text('/etc/passwd')")
    await page.click("button:has-text('Run')")
    await expect(page.locator("[role=alert]")).to_contain_text("disabled")
    await page.context.close()


async def test_a_what_if_shows_the_first_divergence(window: Window) -> None:
    page, _ = await window.open("/whatif")
    await page.select_option("#decider", "selfplay")
    await page.fill("#set", "selfplay.games=6")
    await page.click("button:has-text('Try')")
    await expect(page.locator("main")).to_contain_text("games: 4 → 6")
    await page.context.close()
