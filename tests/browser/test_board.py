"""Boards in a real browser: games to step through, whole games played by clicks, searches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect
from support.browser import WIDTHS, Seen, browser, needs_browser, serving
from support.games import play_game

from ringrift.events import draft
from ringrift.rules import Record
from ringrift.search.gumbel.player import GumbelSearch
from ringrift.search.lockstep import load
from ringrift.tools.memory_log import MemoryLog

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
GAMES = ("square8_2p", "hex8_4p")
CLICKS_MAX = 5000
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
Press = Callable[[Page, str], Awaitable[None]]
WAIT_MS_MAX = 60_000
PATHS = (
    *("/games", "/games/1?ply=40", "/games/2?ply=60", "/games?node=none", "/play"),
    *("/analysis", "/analysis?game=1&ply=40&by=D3&wait=1"),
)


class Boards:
    """A browser, and the address of pages over a log with a few games."""

    def __init__(self, address: str, browser: Browser) -> None:
        self.address, self.browser = address, browser

    async def open(self, path: str, **options: Any) -> tuple[Page, Seen]:
        """A page in a context of its own."""
        context = await self.browser.new_context(**options)
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS_MAX)
        seen = Seen(page)
        await page.goto(self.address + path)
        return page, seen

    async def table(self, config: str, **seats: str) -> tuple[Page, Seen]:
        """A new game of a person with the players of `seats`, which are all others."""
        page, seen = await self.open(f"/play?config={config}")
        for seat, player in seats.items():
            await page.select_option(f"#{seat}", player)
        await page.click("text=Begin")
        await page.wait_for_url("**/play/*")
        return page, seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def boards() -> AsyncIterator[Boards]:
    await asyncio.to_thread(load, GumbelSearch)  # compiles, on a new machine
    log = MemoryLog()
    games = [play_game(key, 3) for key in GAMES]
    await log.append_each([draft(one, cause=None, source="t", key=one.game) for one in games])
    async with serving(log) as (address, _), browser() as found:
        yield Boards(address, found)


async def click(page: Page, what: str) -> None:
    await page.click(what)


async def tap(page: Page, what: str) -> None:
    """Tap on an element with a finger; on a cell as a person does on a small board."""
    found = page.locator(what)
    if "data-cell" not in what:
        return await found.tap()
    board = page.locator("svg.board")
    await board.scroll_into_view_if_needed()
    shown, cell = await middle_of(board), await middle_of(found)
    if any(abs(cell[axis] - shown[axis]) > shown[axis + 2] / 2 for axis in (0, 1)):
        await page.tap("text=Show all")
        await board.scroll_into_view_if_needed()
        cell = await middle_of(found)
    await page.touchscreen.tap(*cell[:2])
    if cell[2] < 24:  # that tap enlarged it
        cell = await middle_of(found)
        assert cell[2] > 36
        await page.touchscreen.tap(*cell[:2])


async def middle_of(found: Locator) -> tuple[float, float, float, float]:
    """Middle, width and height of an element in the window."""
    box = await found.bounding_box()
    assert box is not None
    width, height = box["width"], box["height"]
    return box["x"] + width / 2, box["y"] + height / 2, width, height


async def play_out(page: Page, seed: int = 1, press: Press = click, most: int = CLICKS_MAX) -> int:
    """Press legal cells and choices until the game is over; return how often, `most` if it is not
    over then."""
    rng, over = random.Random(seed), "a[href^='/play?config']"
    for clicks in range(most):
        await page.wait_for_selector(f"#table:not(.busy) :is(.target, #choices button, {over})")
        targets, choices, ended = await page.evaluate(
            f"""[[...document.querySelectorAll(".target")].map((cell) => cell.dataset.cell),
            [...document.querySelectorAll("#choices [data-token]")].map((one) => one.dataset.token),
            document.querySelector("{over}") !== null]"""
        )
        if ended:
            return clicks
        options = [f"[data-cell={name}]" for name in targets]
        options += [f"#choices [data-token='{token}']" for token in choices]
        await press(page, rng.choice(options))
    return most


@pytest.mark.parametrize(
    ("config", "seats"),
    [
        ("hex8_2p", {"seat2": "D1"}),
        pytest.param("square8_4p", {"seat2": "D2", "seat3": "person", "seat4": "D1"}),
        pytest.param("square19_2p", {"seat2": "D1"}, marks=pytest.mark.slow),
        pytest.param("hexagonal_3p", {"seat2": "D2", "seat3": "D1"}, marks=pytest.mark.slow),
    ],
)
async def test_a_whole_game_is_played_by_clicks(
    boards: Boards, config: str, seats: dict[str, str]
) -> None:
    page, seen = await boards.table(config, **seats)
    assert 20 < await play_out(page) < CLICKS_MAX
    await expect(page.locator(".prompt")).to_contain_text("wins")
    record = await page.request.get(f"{page.url}/record.txt")
    assert Record.parse(await record.text()).result != "*"
    await page.click("text=Analyse this game")
    await expect(page.locator("h1")).to_contain_text(f"Analysis of {config}")
    await expect(page.locator("#found tbody tr, #found p:has-text('over')").first).to_be_visible()
    assert seen.complaints == []
    await page.context.close()


async def test_a_game_is_played_with_the_keys(boards: Boards) -> None:
    page, seen = await boards.table("square8_2p", seat2="person")
    cell = page.locator("[data-cell][tabindex='0']")
    await cell.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        await page.keyboard.press(key)
    await expect(page.locator("[data-cell=c2]")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")  # the second choice: two rings
    await page.keyboard.press("Enter")
    await expect(page.locator("figcaption")).to_contain_text("ply 1: seat 1 to act, movement")
    await expect(page.locator("[data-cell=c2]")).to_have_class("hit picked")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press(" ")
    await expect(page.locator("figcaption")).to_contain_text("ply 4: seat 2 to act")
    assert "c2-c4" in await page.inner_text(".turns")
    assert seen.complaints == []
    await page.context.close()


async def test_only_legal_cells_answer(boards: Boards) -> None:
    page, _ = await boards.table("square8_2p", seat2="person")
    await page.click("[data-cell=d4]")
    await page.click("text=place 1 ring on d4")
    await expect(page.locator("[data-cell=d4]")).to_have_class("hit picked")
    await page.click("[data-cell=e6]", force=True)
    await expect(page.locator("figcaption")).to_contain_text("ply 1:")
    await page.click("[data-cell=e5]")
    await expect(page.locator("figcaption")).to_contain_text("ply 4:")
    await page.context.close()


async def test_a_leap_on_offer_can_be_declined(boards: Boards) -> None:
    page, _ = await boards.table("square8_2p", seat2="person")
    for cell, words in (("c1", "place 1 ring on c1"), ("c3", ""), ("b1", "place 1 ring on b1")):
        await page.click(f"[data-cell={cell}]")
        if words:
            await page.click(f"text={words}")
    await page.click("[data-cell=b3]")  # beside the stack on c3
    await page.click("text=capture nothing")
    await expect(page.locator("figcaption")).to_contain_text("seat 1 to act, ring placement")
    await page.context.close()


async def test_a_choice_is_taken_back_and_advised(boards: Boards) -> None:
    page, seen = await boards.table("hex8_2p", seat2="person")
    await page.click("text=Hint")
    await expect(page.locator(".candidates h2")).to_have_text("Hint")
    await page.click("[data-cell=e5]")
    await page.click("text=place 3 rings on e5")
    await expect(page.locator("figcaption")).to_contain_text("ply 1:")
    await page.click("text=Undo")
    await expect(page.locator("figcaption")).to_contain_text("ply 0:")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.click("text=Resign")
    await expect(page.locator(".prompt")).to_contain_text("wins by resign")
    assert seen.complaints == []
    await page.context.close()


async def test_a_choice_shows_the_cells_that_it_takes(boards: Boards) -> None:
    page, _ = await boards.table("hex8_2p", seat2="person")
    await page.click("[data-cell=e5]")
    await page.hover("text=place 2 rings on e5")
    await expect(page.locator(".taken")).to_have_attribute("data-cell", "e5")
    await page.click("text=choose again")
    assert await page.locator(".target").count() == 61
    await page.context.close()


async def test_a_game_is_stepped_through_by_keys_slider_and_links(boards: Boards) -> None:
    page, seen = await boards.open("/games/1?ply=10")
    plies = play_game(GAMES[0], 3).plies
    caption = page.locator("figcaption")
    for key, ply in (("ArrowRight", 11), ("ArrowLeft", 10), ("End", plies), ("Home", 0)):
        await page.keyboard.press(key)
        await expect(caption).to_contain_text(f"ply {ply}:")
    await page.locator("#ply").fill("30")
    await expect(caption).to_contain_text("ply 30:")
    assert page.url.endswith("?ply=30")
    await page.click(".turn a[data-ply='12']")
    await expect(caption).to_contain_text("ply 12:")
    await expect(page.locator("#ply")).to_have_value("12")
    await page.click("#autoplay")
    await expect(caption).to_contain_text("ply 14:")
    await page.click("#autoplay")
    await page.click(".graph", position={"x": 3, "y": 40})
    await expect(caption).to_contain_text("ply 0:")
    assert seen.complaints == []
    await page.context.close()


async def test_a_graph_that_is_enlarged_leads_to_the_ply_under_the_mouse(boards: Boards) -> None:
    page, seen = await boards.open("/games/1?ply=10")
    plies, graph = play_game(GAMES[0], 3).plies, page.locator("svg.graph")
    await graph.focus()
    for _ in range(3):
        await page.keyboard.press("+")
    left, width = [float((await graph.get_attribute("viewBox") or "").split()[at]) for at in (0, 2)]
    box = await graph.bounding_box()
    assert box is not None
    await graph.click(position={"x": box["width"] * 0.75, "y": 60})
    ply = round((left + 0.75 * width - 10) / 780 * plies)
    await expect(page.locator("figcaption")).to_contain_text(f"ply {ply}:")
    assert abs(float((await graph.get_attribute("viewBox") or "").split()[2]) - width) < 0.01
    assert seen.complaints == []
    await page.context.close()


async def test_a_large_board_is_played_with_a_finger(boards: Boards) -> None:
    page, seen = await boards.open("/play?config=hexagonal_2p", **PHONE)
    await page.select_option("#seat2", "person")
    await page.tap("text=Begin")
    await page.wait_for_url("**/play/*")
    board, cell = page.locator("svg.board"), page.locator("[data-cell=m13]")
    whole = await board.get_attribute("viewBox")

    async def tap() -> float:
        box = await cell.bounding_box()
        assert box is not None
        await page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return box["width"]

    assert await tap() < 24  # too small for a finger: it is enlarged
    assert await board.get_attribute("viewBox") != whole
    assert await page.locator("#choices button").count() == 0
    assert await tap() > 36
    await page.tap("text=place 1 ring on m13")
    await expect(page.locator("figcaption")).to_contain_text("ply 1:")
    assert await board.get_attribute("viewBox") != whole  # and stays so
    await page.tap("text=Show all")
    assert await board.get_attribute("viewBox") == whole
    assert seen.complaints == []
    await page.context.close()


@pytest.mark.parametrize(
    ("config", "presses"), [("hex8_2p", CLICKS_MAX), ("square19_2p", 60), ("hexagonal_2p", 60)]
)
@pytest.mark.slow
async def test_a_game_is_played_with_a_finger(boards: Boards, config: str, presses: int) -> None:
    page, seen = await boards.open(f"/play?config={config}", **PHONE)
    await page.select_option("#seat2", "person")
    await page.tap("text=Begin")
    await page.wait_for_url("**/play/*")
    pressed = await play_out(page, press=tap, most=presses)
    assert pressed == presses or "wins" in await page.inner_text(".prompt")
    record = Record.parse(await (await page.request.get(f"{page.url}/record.txt")).text())
    assert len(record.moves) > 40
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.complaints == []
    await page.context.close()


async def test_games_are_searched_and_read_without_script(boards: Boards) -> None:
    page, _ = await boards.open("/games", java_script_enabled=False)
    await page.select_option("#config", GAMES[0])
    await page.click("text=Search")
    await page.click("tbody a")
    await page.click("[rel=prev]")
    assert f"ply {play_game(GAMES[0], 3).plies - 1}:" in await page.inner_text("figcaption")
    await page.goto(f"{boards.address}/analysis?game=1&ply=40&by=D3")
    await page.click("noscript a")
    assert await page.locator("#found tbody tr").count() > 1
    await page.context.close()


async def test_a_search_grows_and_blunders_are_found(boards: Boards) -> None:
    page, seen = await boards.open("/analysis?game=1&ply=40&by=D3")
    await expect(page.locator("#found")).to_contain_text("8 positions")
    await page.click("text=Find the blunders")
    await expect(page.locator("#review .graph")).to_be_visible(timeout=WAIT_MS_MAX)
    await page.keyboard.press("ArrowRight")
    await page.wait_for_url("**ply=41")
    await expect(page.locator("#review .graph")).to_be_visible()
    assert seen.complaints == []
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_and_is_accessible(boards: Boards, scheme: Any) -> None:
    page, seen = await boards.open("/games", color_scheme=scheme)
    for path in (*PATHS, "table"):
        if path == "table":
            await page.goto(f"{boards.address}/play?config=hex8_2p")
            await page.select_option("#seat2", "person")
            await page.click("text=Begin")
        else:
            await page.goto(boards.address + path)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = (await Axe().run(page)).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in grave] == [], path
    assert seen.complaints == []
    await page.context.close()
