"""Reading typed events: which ones are found, and what happens to messages that are none."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from msgspec import Struct

from ringrift.events import Fact, Settings, SettingsError, UndecodableEvent, draft
from ringrift.events.facts import GameCompleted, PipelinePaused, PipelineResumed, SettingsChanged
from ringrift.log import read
from ringrift.log.topology import EVENTS
from ringrift.tools.memory_log import MemoryLog

DAMAGED = b"not JSON"
PACKAGE = Path(read.__file__).parents[1]


async def stored(log: MemoryLog, *events: Fact) -> None:
    start = await log.tail(EVENTS)
    for number, event in enumerate(events):
        await log.append([draft(event, cause=None, source="t", key=start + number)])


def paused(scope: str, why: str = "") -> PipelinePaused:
    return PipelinePaused(scope=scope, why=why)


def settings(version: int, seed: int) -> SettingsChanged:
    return SettingsChanged(version=version, settings=Settings(seed=seed), why="")


async def damage(log: MemoryLog, subject: str) -> None:
    await log.publish(EVENTS, subject, DAMAGED)


async def test_facts_are_those_of_the_kinds_in_the_order_of_the_log() -> None:
    log = MemoryLog()
    await stored(log, paused("all"), settings(1, 5), PipelineResumed(scope="all", why=""))
    found = [item.event async for item in read.facts(log, PipelinePaused, PipelineResumed)]
    assert found == [paused("all"), PipelineResumed(scope="all", why="")]


async def test_facts_without_kinds_are_all_of_a_stream() -> None:
    log = MemoryLog()
    await stored(log, paused("all"), settings(1, 5))
    assert [item.meta.seq async for item in read.facts(log)] == [1, 2]


async def test_facts_are_those_of_a_scope_between_two_sequences() -> None:
    log = MemoryLog()
    scopes = ("all", "hex8_2p", "all", "all", "all")
    await stored(log, *(paused(scope, str(number)) for number, scope in enumerate(scopes)))
    found = [
        item.event.why
        async for item in read.facts(log, PipelinePaused, scope="all", after=1, until=4)
    ]
    assert found == ["2", "3"]


async def test_facts_skip_undecodable_messages_and_other_kinds() -> None:
    log = MemoryLog()
    subject = draft(paused("all"), cause=None, source="t").subject
    await damage(log, subject)
    await stored(log, settings(1, 5))
    other = await log.get(EVENTS, 2)
    assert other is not None
    await log.publish(EVENTS, subject, other.body)
    await stored(log, paused("all"))
    assert [item.meta.seq async for item in read.facts(log, PipelinePaused)] == [4]


async def test_kinds_of_two_streams_are_refused() -> None:
    kinds: list[type[Fact]] = [GameCompleted, PipelinePaused]
    with pytest.raises(ValueError, match="one stream"):
        _ = [item async for item in read.facts(MemoryLog(), *kinds)]


async def test_follow_continues_with_new_events() -> None:
    log = MemoryLog()
    await stored(log, paused("all", "stored"), settings(1, 5))
    followed = read.follow(log, PipelinePaused)
    assert (await anext(followed)).event.why == "stored"
    waiting = asyncio.ensure_future(anext(followed))
    await stored(log, settings(2, 5), paused("all", "new"))
    assert (await waiting).event.why == "new"
    await followed.aclose()


async def test_search_finds_events_that_contain_a_mark() -> None:
    log = MemoryLog()
    await stored(log, paused("all", "one"), paused("all", "two"), paused("all", "three"))
    found = [item.event async for item in read.search(log, [b'"two"', b'"three"'], PipelinePaused)]
    assert [event.why for event in found] == ["two", "three"]


class _Why(Struct):
    why: str


class _Envelope(Struct):
    data: _Why


async def test_partial_decodes_the_named_fields() -> None:
    log = MemoryLog()
    await stored(log, paused("all", "one"), paused("hex8_2p", "two"))
    await damage(log, draft(paused("all"), cause=None, source="t").subject)
    found = read.partial(log, _Envelope, PipelinePaused, scopes=["all"])
    assert [(seq, item.data.why) async for seq, item in found] == [(1, "one")]


@pytest.mark.parametrize("scope", [None, "all"])
async def test_latest_is_the_newest_that_can_be_decoded(scope: str | None) -> None:
    log = MemoryLog()
    assert await read.latest(log, PipelinePaused, scope) is None
    await stored(log, paused("all", "old"), paused("all", "new"))
    await damage(log, draft(paused("all"), cause=None, source="t").subject)
    newest = await read.latest(log, PipelinePaused, scope)
    assert newest is not None
    assert newest.event.why == "new"


async def test_latest_of_each_has_one_event_a_scope() -> None:
    log = MemoryLog()
    await stored(log, paused("hex8_2p", "old"), paused("all", "only"), paused("hex8_2p", "new"))
    found = await read.latest_of_each(log, PipelinePaused)
    assert [item.event.why for item in found] == ["only", "new"]


async def test_fact_at_a_position() -> None:
    log = MemoryLog()
    await stored(log, paused("all"))
    await damage(log, draft(paused("all"), cause=None, source="t").subject)
    found = await read.fact_at(log, "EVENTS/1")
    assert found is not None
    assert found.event == paused("all")
    assert await read.fact_at(log, "EVENTS/3") is None
    assert await read.fact_at(log, "WORK/1") is None
    with pytest.raises(UndecodableEvent):
        await read.fact_at(log, "EVENTS/2")


DECODERS_MAX = 3
"""places outside the log that decode messages, because they need the error"""


def test_few_places_decode_messages_themselves() -> None:
    places = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("events", "log")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and {word.arg for word in node.keywords} == {"stream", "seq"}
    ]
    assert len(places) <= DECODERS_MAX, places


class TestSettingsInForce:
    async def test_are_the_defaults_at_first(self) -> None:
        assert await read.settings_in_force(MemoryLog()) == (Settings(), 0)

    async def test_are_the_newest(self) -> None:
        log = MemoryLog()
        await stored(log, settings(1, 5), settings(2, 6))
        assert await read.settings_in_force(log) == (Settings(seed=6), 2)

    async def test_of_a_version_are_those_it_had(self) -> None:
        log = MemoryLog()
        await stored(log, settings(1, 5), settings(2, 6))
        assert await read.settings_in_force(log, 1) == (Settings(seed=5), 1)

    async def test_of_an_unknown_version_are_refused(self) -> None:
        with pytest.raises(SettingsError, match="version 3"):
            await read.settings_in_force(MemoryLog(), 3)
