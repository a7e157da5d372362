"""The tail of the log, one event with its causes and effects, and hostile names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from support import loop_facts
from support.pages import Site, site
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.tools.memory_log import MemoryLog

HOSTILE = '<script>alert("x")</script>\x1b[31m\u202e'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> MemoryLog:
    loop = TurningLoop()
    await loop.put(f.SettingsChanged(version=1, settings=SETTINGS, why="start"), None)
    await loop.turn()
    return loop.log


@pytest_asyncio.fixture
async def pages(played: MemoryLog) -> AsyncIterator[Site]:
    async with site(played) as found:
        yield found


async def promoted(pages: Site) -> int:
    return next(iter(pages.view.index.newest("ModelPromoted")))


async def test_the_newest_events_come_first(pages: Site) -> None:
    text = await pages.get("/events")
    last = pages.view.fold.seq
    assert text.index(f">EVENTS/{last}<") < text.index(f">EVENTS/{last - 1}<")
    assert "before=" in text


async def test_events_are_filtered_by_type_scope_and_node(pages: Site) -> None:
    text = await pages.get("/events?type=ModelPromoted&scope=hex8_2p")
    assert text.count("<td>ModelPromoted</td>") == text.count("<tr><td>") > 0
    assert "No event matches" in await pages.get("/events?type=ModelPromoted&scope=none")
    assert "No event matches" in await pages.get("/events?node=nowhere")
    assert "<td>" in await pages.get("/events?node=n1")


async def test_pages_of_events_follow_each_other_without_gaps(pages: Site) -> None:
    seen: list[int] = []
    address = "/events"
    while address:
        text = await pages.get(address)
        rows = text.split("<tbody>")[1].split("</tbody>")[0].split("<tr><td>")[1:]
        seen += [int(row.split("EVENTS/")[1].split("<")[0]) for row in rows]
        more = text.split("before=")
        address = f"/events?before={more[1].split(chr(34))[0]}" if len(more) > 1 else ""
    assert seen == sorted(set(seen), reverse=True) == list(range(pages.view.fold.seq, 0, -1))


async def test_an_event_shows_its_content_causes_and_effects(pages: Site) -> None:
    seq = await promoted(pages)
    text = await pages.get(f"/events/{seq}")
    cause = pages.view.index.cause_of(seq)
    assert f'href="/events/{cause}"' in text
    tree = text.split('<ul class="tree">')[1].split("</ul>")[0]
    assert "<strong>SettingsChanged</strong>" in tree.split('class="level1')[0]
    assert tree.index("TrainingRequested") < tree.index("EvaluationScored")
    assert tree.index("EvaluationScored") < tree.rindex("ModelPromoted")
    recorded = await read.fact_at(pages.log, f"EVENTS/{seq}")
    assert recorded is not None
    assert isinstance(recorded.event, f.ModelPromoted)
    assert f'href="/networks/hex8_2p/{recorded.event.model}"' in text


async def test_an_event_of_the_past_has_no_later_effects(pages: Site) -> None:
    seq = await promoted(pages)
    assert "SelfplayPlanned" in await pages.get(f"/events/{seq}")
    text = await pages.get(f"/at/{seq}/events/{seq}")
    assert "SelfplayPlanned</strong>" not in text.split('class="tree"')[1].split("here")[1]
    assert f'href="/at/{seq}/events/' in text
    await pages.get(f"/at/{seq}/events/{seq + 1}", 404)


async def test_a_game_that_an_event_of_the_past_names_is_shown(pages: Site) -> None:
    text = await pages.get(f"/at/{pages.view.fold.seq}/events")
    assert 'href="/games/' in text
    assert "/games/" not in text.replace('href="/games/', "")


async def test_what_an_event_rests_on_leads_to_the_games(pages: Site) -> None:
    text = await pages.get(f"/events/{await promoted(pages)}/why?depth=8")
    assert "[evidence]" in text
    assert "GAMES/" in text
    assert 'href="/events/GAMES/' in text


async def test_rows_of_a_fact_are_a_table_with_links(pages: Site) -> None:
    seq = next(iter(pages.view.index.newest("RatingsUpdated")))
    text = await pages.get(f"/events/{seq}")
    table = text.split('<table class="small">')[1].split("</table>")[0]
    assert "<th>participant</th><th>elo</th>" in table
    assert "/networks/hex8_2p/" in table
    assert "{'" not in text


async def test_a_game_is_an_event_too(pages: Site) -> None:
    text = await pages.get("/events/GAMES/1")
    assert "GameCompleted" in text
    assert 'href="/games/1"' in text


async def test_what_is_not_there_is_said(pages: Site) -> None:
    await pages.get("/events/999999", 404)
    await pages.get("/events/NOWHERE/1", 404)
    await pages.get("/events?before=x", 400)


async def test_hostile_names_are_text() -> None:
    async with site() as pages:
        fact = loop_facts.promoted()
        await pages.record(f.ModelPromoted(**{**_data(fact), "why": HOSTILE}))
        for page in ("/events", "/events/1"):
            text = await pages.get(page)
            assert "<script>alert" not in text
            assert "\x1b" not in text
            assert "\u202e" not in text
        await pages.get("/events?node=%3Cscript%3E")
        assert "<script>a" not in await pages.get("/events?type=%3Cscript%3Ea")


def _data(fact: f.ModelPromoted) -> dict[str, object]:
    return {name: getattr(fact, name) for name in fact.__struct_fields__}
