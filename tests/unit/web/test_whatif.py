"""The form of a what-if, and its answer: the first divergence, what changes, what is equal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from support.pages import answered, site
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import facts as f
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.whatif import trial, whatif_report
from ringrift.web.children import Children


async def test_the_first_divergence_and_what_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = TurningLoop()
    await loop.put(f.SettingsChanged(version=1, settings=SETTINGS, why="start"), None)
    await loop.turn()
    asked: list[Sequence[str]] = []

    async def run(self: Children, arguments: Sequence[str], **_: Any) -> tuple[int, bytes, str]:
        """The command on the log in memory, which no child process reaches."""
        asked.append(arguments)
        given = from_arguments(tuple(arguments[4:-5:2]))
        decider = trial.policy_named(arguments[2])
        found = await trial.whatif(
            loop.log,
            decider,
            lambda settings: load(given, base=settings),
            since=0,
            until=await loop.tail(),
        )
        return 0, msgspec.json.encode(whatif_report.whatif_document(found)), ""

    monkeypatch.setattr(Children, "run", run)
    async with site(loop.log) as pages:
        last = pages.view.fold.seq
        text = await answered(
            pages, f"/whatif?decider=selfplay&set=selfplay.games%3D6&until={last}"
        )
        assert asked[0][3:5] == ["--set", "selfplay.games=6"]
        assert "First divergence" in text
        assert text.count('<span class="badge warn">changed') == 2
        assert "games: 4 → 6" in text
        same = await answered(pages, "/whatif?decider=promotion&until=9")
        assert "No decision would have changed" in same


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("decider=/tmp/evil.py", "no decider is called"),
        ("decider=promotion&set=--server", "write promotion.elo1=20"),
        ("decider=promotion&set=x%3D1%0A%2D%2Dset", "write promotion.elo1=20"),
        ("decider=promotion&since=x", "since must be a whole number"),
    ],
)
async def test_what_cannot_be_tried_is_refused(query: str, why: str) -> None:
    async with site() as pages:
        assert why in await pages.get(f"/whatif?{query}", 400)


async def test_the_page_shows_why_a_command_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: Any, **__: Any) -> tuple[int, bytes, str]:
        return 1, b"", "ringrift: settings: no such setting <b>"

    monkeypatch.setattr(Children, "run", run)
    async with site() as pages:
        path = "/whatif?decider=promotion&set=promotion.nothing%3D1&until=0"
        text = await answered(pages, path)
        assert "no such setting &lt;b&gt;" in text


async def test_the_page_is_there_before_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on, ended = asyncio.Event(), list[bool]()

    async def run(*_: Any, **__: Any) -> tuple[int, bytes, str]:
        try:
            await going_on.wait()
        finally:
            ended.append(going_on.is_set())
        return 1, b"", "ringrift: no"

    monkeypatch.setattr(Children, "run", run)
    async with site() as pages:
        path = "/whatif?decider=promotion&since=0&until=0"
        for _ in range(2):
            text = await pages.get(path)
            assert "are being computed" in text
            assert '<noscript><meta http-equiv="refresh"' in text
        seen = pages.view.version
        going_on.set()
        await pages.view.changed(seen)
        assert "no</p>" in await pages.get(path, 400)
        going_on.clear()
        await pages.get("/whatif?decider=selfplay&until=0")
    assert ended == [True, False]
