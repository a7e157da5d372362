"""The folds that pages read: the newest, earlier ones, and who waits for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from support.loop_facts import planned, played
from support.pages import Site
from support.turning_loop import game

from ringrift.events import draft, facts as f
from ringrift.events.facts import SettingsChanged
from ringrift.insight import live
from ringrift.log import read
from ringrift.log.errors import LogUnavailable
from ringrift.log.topology import GAMES
from ringrift.web import view as view_module
from ringrift.web.fold import TICKETS_KEPT_MAX, Fold, Pace
from ringrift.web.pages.live import PAUSE_SECONDS, versions


def content(fold: Fold) -> Any:
    """All that a fold has, as plain values."""

    def plain(value: Any) -> Any:
        if isinstance(value, type):
            return value.__name__
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if hasattr(value, "__dict__"):
            return plain(vars(value))
        return msgspec.to_builtins(
            value, enc_hook=lambda one: plain(list(one) if hasattr(one, "__iter__") else vars(one))
        )

    return plain(vars(fold))


async def folded(site: Site, until: int) -> Fold:
    fold = Fold()
    async for recorded in read.facts(site.log, until=until):
        fold.take(recorded)
    return fold


async def test_an_earlier_fold_is_what_folding_up_to_it_gives(
    turned: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "CHECKPOINT_EVENTS_MIN", 8)
    monkeypatch.setattr(view_module, "CHECKPOINTS_MAX", 3)
    again = view_module.View(turned.log)
    await again.catch_up()
    last = again.fold.seq
    newest = content(again.fold)
    for seq in (1, last // 3, last // 2, last - 1, last // 3):
        assert content(await again.at(seq)) == content(await folded(turned, seq))
    assert content(again.fold) == newest


async def test_folding_on_does_not_change_a_copy(turned: Site) -> None:
    half = await folded(turned, turned.view.fold.seq // 2)
    copy, before = half.copy(), content(half)
    async for recorded in read.facts(turned.log, after=half.seq):
        copy.take(recorded)
    assert content(half) == before
    assert content(copy) == content(turned.view.fold)


async def test_a_fact_wakes_who_waits_for_a_change(pages: Site) -> None:
    waiting = asyncio.create_task(pages.view.changed(pages.view.version))
    await asyncio.sleep(0)
    assert not waiting.done()
    await pages.record(planned())
    assert await waiting == pages.view.version


async def test_a_slow_viewer_gets_the_newest_version_only(pages: Site) -> None:
    viewer = versions(pages.view)
    first = await anext(viewer)
    for _ in range(5):
        pages.view.touch()
    assert f"data: {pages.view.version}\n\n" in await anext(viewer)
    assert "data: " in first
    pages.view.close()
    assert [text async for text in viewer] == []
    assert PAUSE_SECONDS < 1.0  # live within a second of the fact


async def test_the_games_of_a_generation_are_counted(pages: Site) -> None:
    await pages.record(
        SettingsChanged(version=1, settings=view_settings(), why="w"), planned(0, 64)
    )
    await pages.record(played(0, 40))
    pace = pages.view.fold.pace("hex8_2p")
    assert (pace.generation, pace.finished, pace.planned) == (0, 40, 64)
    await pages.record(planned(1, 32))
    assert (pace.generation, pace.finished, pace.planned) == (1, 0, 32)


async def test_the_speed_of_many_tickets_is_that_of_the_newest(pages: Site) -> None:
    start, pace = datetime(2026, 1, 1, tzinfo=UTC), Pace(datetime(2025, 1, 1, tzinfo=UTC))
    for second in range(2 * TICKETS_KEPT_MAX):
        pace.tickets.append((start + timedelta(seconds=second), 8))
    now = pace.tickets[-1][0]
    assert pace.games_per_hour(now) == 8 * 3600


async def test_an_outage_is_shown_and_counts_nothing_twice(
    turned: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(view_module, "LOOK_SECONDS", 0.0)
    view, tail, outages = turned.view, turned.log.tail, 3
    await turned.record(planned(4, 64))
    ticket = f"selfplay-events-{view.fold.seq}-0"
    seat = f.Seat(participant="x", harness="gumbel", simulations=32)
    in_hand = game(f"{ticket}-0", (seat, seat), ticket=ticket)
    await turned.log.append([draft(in_hand, cause=None, source="test", key="in-hand")])

    async def unreliable(stream: str) -> int:
        nonlocal outages
        if stream == GAMES and outages:
            outages -= 1
            raise LogUnavailable("no server answers")
        return await tail(stream)

    monkeypatch.setattr(turned.log, "tail", unreliable)
    following, problems = asyncio.create_task(view.run()), set[str]()
    async with asyncio.timeout(10):
        while view.problem or outages or not view.in_hand("hex8_2p"):
            await view.changed(view.version)
            problems.add(view.problem)
    following.cancel()
    assert problems >= {"", "no server answers"}
    assert view.in_hand("hex8_2p") == 1


def view_settings() -> Any:
    from ringrift.events import Settings

    return Settings(configs=("hex8_2p",))
