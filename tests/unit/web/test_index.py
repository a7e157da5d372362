"""What is known of an event by its sequence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.pages import Site

from ringrift.events import EventMeta
from ringrift.log import read
from ringrift.web.index import Index

START = datetime(2026, 1, 1, tzinfo=UTC)


def meta(seq: int, cause: str | None = None, scope: str = "hex8_2p") -> EventMeta:
    time = START + timedelta(seconds=seq)
    return EventMeta("EVENTS", seq, f"ringrift.x.{scope}.y", "id", "test", time, cause)


def index(*metas: EventMeta, name: str = "Named") -> Index:
    found = Index()
    for one in metas:
        found.add(name, one)
    return found


def test_effects_are_those_that_name_the_event_as_their_cause() -> None:
    known = index(meta(1), meta(2, "EVENTS/1"), meta(3, "GAMES/7"), meta(4, "EVENTS/1"))
    assert list(known.effects_of("EVENTS/1")) == [2, 4]
    assert list(known.effects_of("GAMES/7")) == [3]
    assert list(known.effects_of("EVENTS/4")) == []
    assert (known.cause_of(4), known.cause_of(3)) == (1, 0)


def test_an_event_cannot_be_caused_by_itself_or_a_later_one() -> None:
    known = index(meta(1, "EVENTS/1"), meta(2, "EVENTS/9"))
    assert (known.cause_of(1), known.cause_of(2)) == (0, 0)


def test_a_hole_is_no_event() -> None:
    known = index(meta(1), meta(4))
    assert (len(known), known.type_of(3), known.type_of(4)) == (4, "", "Named")
    assert list(known.newest()) == [4, 1]


def test_events_are_found_by_type_and_scope() -> None:
    known = Index()
    for seq, (name, scope) in enumerate([("A", "x"), ("B", "x"), ("A", "y"), ("A", "x")], start=1):
        known.add(name, meta(seq, scope=scope))
    assert list(known.newest("A")) == [4, 3, 1]
    assert list(known.newest("A", "x", before=4)) == [1]
    assert list(known.newest(scope="y")) == [3]
    assert list(known.newest("C")) == list(known.newest(scope="z")) == []


def test_a_time_is_the_newest_event_up_to_it() -> None:
    known = index(meta(1), meta(2), meta(3))
    times = [START, START + timedelta(seconds=2), START + timedelta(days=1)]
    assert [known.at(time) for time in times] == [0, 2, 3]
    assert known.time_of(2) == START + timedelta(seconds=2)


async def test_it_agrees_with_the_log(turned: Site) -> None:
    known = turned.view.index
    async for event, stored in read.facts(turned.log):
        assert known.type_of(stored.seq) == type(event).__name__
        assert known.scope_of(stored.seq) == stored.subject.split(".")[2]
        if stored.cause and stored.cause.startswith("EVENTS/"):
            assert stored.seq in known.effects_of(stored.cause)
