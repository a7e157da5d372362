"""What a newer program wrote is read as far as this one knows it, and the rest is named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ringrift.events import (
    Settings,
    UndecodableEvent,
    UnknownEvent,
    decode,
    draft,
    encode,
    facts as f,
    unknown,
)
from ringrift.events.tickets import decode_ticket, encode_ticket, tickets_of
from ringrift.events.unknown import PATH_CHARS_MAX, PROGRAM, UNKNOWN_MAX

PLAN = f.SelfplayPlanned(
    config="hex8_2p",
    generation=1,
    games=4,
    games_per_ticket=4,
    simulations=8,
    model=None,
    seed=1,
    settings_version=1,
)
CHANGE = f.SettingsChanged(version=1, settings=Settings(), why="test")


def envelope(fact: f.Fact, **changes: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(encode(draft(fact, cause=None, source="test")))
    return written | {"program": "ringrift 9.9"} | changes


def read(written: dict[str, Any]) -> Any:
    return decode(json.dumps(written).encode(), stream="EVENTS", seq=7)


def test_every_event_names_the_program_that_wrote_it() -> None:
    assert json.loads(encode(draft(PLAN, cause=None, source="test")))["program"] == PROGRAM


def test_unknown_fields_are_left_out_and_named() -> None:
    written = envelope(CHANGE)
    written["data"] |= {"who": {"name": "a"}}
    written["data"]["settings"]["selfplay"]["colour"] = 3
    event, meta = read(written)
    assert event == CHANGE
    assert meta.unknown == ("who", "settings.selfplay.colour")
    assert meta.program == "ringrift 9.9"


def test_unknown_fields_in_lists_are_left_out() -> None:
    (ranking,) = (f.Ranking(order=("a", "b"), ranks=(1, 2), count=1),)
    plain = msgspec.to_builtins(ranking)
    shape = msgspec.inspect.type_info(tuple[f.Ranking, ...])
    data, paths = unknown.known([plain, plain | {"colour": 1}], shape)
    assert msgspec.convert(data, tuple[f.Ranking, ...]) == (ranking, ranking)
    assert paths == ("colour",)


def test_an_event_of_this_program_has_no_unknown_fields() -> None:
    written = envelope(CHANGE)
    assert read(written).meta.unknown == ()
    assert read(written | {"colour": 1}).meta.unknown == (), "the envelope may grow"
    del written["program"]
    assert read(written).event == CHANGE, "the first programs did not name themselves"


def test_a_field_that_is_missing_or_invalid_stays_an_error() -> None:
    for changes in ({"games": -1}, {"games": None}, {"seed": "x"}):
        written = envelope(PLAN)
        written["data"] |= {"colour": 1, **changes}
        with pytest.raises(UndecodableEvent, match="EVENTS/7"):
            read(written)
    written = envelope(PLAN)
    written["data"]["colour"] = written["data"].pop("games")
    with pytest.raises(UndecodableEvent, match="games"):
        read(written)


def test_few_unknown_fields_are_named_whatever_there_is() -> None:
    written = envelope(PLAN)
    written["data"] |= {f"{number:0200}": number for number in range(1000)}
    names = read(written).meta.unknown
    assert len(names) == UNKNOWN_MAX
    assert {len(name) for name in names} == {PATH_CHARS_MAX}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SelfplayPlanned.v2", "knows SelfplayPlanned up to version 1; update it"),
        ("SelfplayDreamt.v1", "knows no such event type; update it"),
    ],
)
def test_an_event_of_a_newer_kind_says_who_wrote_it(name: str, reason: str) -> None:
    with pytest.raises(UnknownEvent, match=rf"{name} by ringrift 9.9: {PROGRAM} {reason}"):
        read(envelope(PLAN, type=f"ringrift.{name}"))


def test_a_ticket_with_unknown_fields_is_left_to_a_newer_program() -> None:
    (ticket,) = tickets_of(PLAN, "EVENTS/3")
    written = json.loads(encode_ticket(ticket))
    written["plan"]["colour"] = 3
    with pytest.raises(UnknownEvent, match=r"plan\.colour"):
        decode_ticket(json.dumps(written).encode())
    written["plan"]["games"] = -4
    with pytest.raises(UndecodableEvent) as caught:
        decode_ticket(json.dumps(written).encode())
    assert not isinstance(caught.value, UnknownEvent)
