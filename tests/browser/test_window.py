"""The pages in a real browser: every page at three widths, live, any time, without script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, CDPSession, Page, expect
from support.browser import TOKEN, WIDTHS, Seen, browser, needs_browser, serving
from support.loop_facts import planned
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import facts as f

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
LIVE_MS_MAX = 3000
"""a fact is on the page within a second; a busy machine gets more time"""
HOSTILE = '<img src=x onerror="document.title=1">\x1b[31m\u202e' + "w" * 5000


class Window:
    """A browser, pages over a turning loop, and their address."""

    def __init__(self, loop: TurningLoop, address: str, view: Any, browser: Browser) -> None:
        self.loop, self.address, self.view, self.browser = loop, address, view, browser

    @property
    def paths(self) -> tuple[str, ...]:
        """Every page, with a network and a match of the log."""
        model = next(iter(self.view.fold.networks))
        match = min(self.view.fold.running.matches)
        pages = ("/", "/networks/hex8_2p", f"/networks/hex8_2p/{model}", "/evaluations")
        return (*pages, f"/evaluations/{match}", "/time?at=20", "/at/30/", "/login", "/missing")

    async def open(self, path: str, **options: Any) -> tuple[Page, Seen]:
        """A page in a context of its own."""
        context = await self.browser.new_context(**options)
        page = await context.new_page()
        seen = Seen(page)
        await page.goto(self.address + path)
        return page, seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window() -> AsyncIterator[Window]:
    loop = TurningLoop()
    first = f.SettingsChanged(version=1, settings=SETTINGS, why="test")
    await loop.put(first, source="ringrift@n1")
    await loop.turn()
    async with serving(loop.log) as (address, view), browser() as found:
        yield Window(loop, address, view, found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_page_fits_and_complains_about_nothing(
    window: Window, width: int, scheme: Any
) -> None:
    page, seen = await window.open(
        "/", viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    for path in window.paths:
        answer = await page.goto(window.address + path)
        assert answer is not None
        if path == "/missing":
            assert answer.status == 404
            continue
        assert answer.ok, path
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert await page.locator("h1").count() == 1
    assert [text for text in seen.complaints if "404" not in text] == []
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(window: Window, scheme: Any) -> None:
    page, _ = await window.open("/", color_scheme=scheme)
    for path in window.paths:
        await page.goto(window.address + path)
        found = (await Axe().run(page)).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        texts = [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in grave]
        assert texts == [], path
    await page.context.close()


async def test_a_fact_appears_without_a_reload(window: Window) -> None:
    page, seen = await window.open("/")
    await page.evaluate("window.loadedOnce = true")
    await window.loop.put(planned(7, 48))
    await expect(page.locator("#configs")).to_contain_text("of 48", timeout=LIVE_MS_MAX)
    assert await page.evaluate("window.loadedOnce")
    assert seen.complaints == []
    await page.context.close()


async def test_a_field_in_use_is_not_replaced(window: Window) -> None:
    page, _ = await window.open("/evaluations")
    await page.focus("#config")
    await window.loop.put(planned(8, 48))
    await expect(page.locator("#foot")).to_contain_text(
        str(await window.loop.tail()), timeout=LIVE_MS_MAX
    )
    assert await page.evaluate("document.activeElement.id") == "config"
    await page.context.close()


async def test_the_slider_leads_to_any_time(window: Window) -> None:
    page, seen = await window.open("/time")
    slider = page.locator("#at")
    await slider.focus()
    await page.keyboard.press("Home")
    await page.wait_for_url("**/time?at=1")
    await slider.fill("40")
    await page.wait_for_url("**/time?at=40")
    await expect(page.locator("tr.chosen")).to_contain_text("EVENTS/40")
    await page.click("main >> text=Evaluations")
    await page.wait_for_url("**/at/40/evaluations")
    await expect(page.locator(".past")).to_contain_text("EVENTS/40")
    await page.click("nav >> text=Loop")
    await page.wait_for_url("**/at/40/")
    await page.click("text=Back to now")
    await page.wait_for_url(f"{window.address}/")
    assert seen.complaints == []
    await page.context.close()


async def test_everything_works_without_script(window: Window) -> None:
    page, _ = await window.open("/", java_script_enabled=False)
    for path in window.paths:
        await page.goto(window.address + path)
        assert await page.locator("main h1").count() == 1
    await page.goto(window.address + "/evaluations")
    await page.select_option("#purpose", "promotion")
    await page.click("button:has-text('Show')")
    assert await page.locator("#ended tbody tr").count() >= 1
    await page.goto(window.address + "/time")
    await page.fill("#when", "2000-01-01T00:00:00")
    await page.click("button:has-text('Find')")
    assert "when=2000" in page.url
    await page.context.close()


async def test_the_keyboard_reaches_the_content_first(window: Window) -> None:
    page, _ = await window.open("/")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.context.close()


async def test_signing_in_and_out(window: Window) -> None:
    page, _ = await window.open("/networks/hex8_2p")
    await page.click("text=Sign in")
    await page.fill("#token", TOKEN)
    await page.click("main >> text=Sign in >> nth=-1")
    await page.wait_for_url("**/networks/hex8_2p")
    await page.click("text=Sign out")
    await expect(page.locator(".who")).to_contain_text("Sign in")
    await page.context.close()


async def test_hostile_texts_do_nothing(window: Window) -> None:
    await window.loop.put(f.PipelinePaused(scope="all", kind="all", why=HOSTILE))
    page, seen = await window.open("/", viewport={"width": 390, "height": 800})
    await expect(page.locator("#needs")).to_contain_text("onerror", timeout=LIVE_MS_MAX)
    assert await page.title() == "Loop · RingRift"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.complaints == []
    await page.context.close()


async def test_a_chart_zooms_by_wheel_drag_keys_and_fingers(window: Window) -> None:
    page, seen = await window.open("/networks/hex8_2p", has_touch=True)
    chart = page.locator("svg.elo")
    whole = await chart.get_attribute("viewBox")

    async def shown() -> list[float]:
        return [float(part) for part in (await chart.get_attribute("viewBox") or "").split()]

    box = await chart.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.move(x, y)
    await page.mouse.wheel(0, -200)  # the page scrolls
    assert await chart.get_attribute("viewBox") == whole
    await page.keyboard.down("Control")
    await page.mouse.wheel(0, -400)
    await page.keyboard.up("Control")
    first = await shown()
    assert first[2] < 300
    before = await page.locator("svg.elo .up").first.bounding_box()
    await page.mouse.down()
    await page.mouse.move(x - 50, y - 20, steps=4)
    await page.mouse.up()
    assert (await shown())[0] > first[0]
    after = await page.locator("svg.elo .up").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] == pytest.approx(before["x"], abs=1)  # the words of the axis stay
    assert page.url.endswith("/networks/hex8_2p")
    kept = await chart.get_attribute("viewBox")
    await window.loop.put(planned(9, 48))
    await expect(page.locator("#foot")).to_contain_text(
        str(await window.loop.tail()), timeout=LIVE_MS_MAX
    )
    await expect(chart).to_have_attribute("viewBox", kept or "")
    await chart.focus()
    await page.keyboard.press("0")
    assert await chart.get_attribute("viewBox") == whole
    await page.keyboard.press("+")
    assert (await shown())[2] < 720
    await page.click(".zoom >> text=Show all")
    assert await chart.get_attribute("viewBox") == whole
    session = await page.context.new_cdp_session(page)
    box = await chart.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await fingers(session, "touchStart", (x - 10, y), (x + 10, y))
    await fingers(session, "touchMove", (x - 30, y), (x + 30, y))
    await fingers(session, "touchEnd")
    assert (await shown())[2] == pytest.approx(240, rel=0.2)
    assert seen.complaints == []
    await page.context.close()


async def fingers(session: CDPSession, what: str, *places: tuple[float, float]) -> None:
    """Touch the screen at some places at once."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    await session.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": points})
