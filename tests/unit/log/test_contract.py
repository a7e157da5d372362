"""The files at the root say what the declarations say, and every event has somebody who writes and
somebody who reads it."""

from __future__ import annotations

import json
import re
from itertools import combinations, product
from pathlib import Path

import pytest

from ringrift.events import REGISTRY, EventType
from ringrift.events.tickets import PRIORITIES
from ringrift.log.entry import matches
from ringrift.log.topology import CONSUMERS, STREAMS, WORK_KINDS, consumer_of
from ringrift.runtime.process_tables import tables
from ringrift.server import contract

TABLES = tables()
ROOT = Path(__file__).parents[3]


def test_the_files_at_the_root_are_what_the_declarations_say() -> None:
    assert contract.check(ROOT, TABLES) == [], "run `ringrift contract export`"


def test_export_writes_what_is_missing_mends_what_differs_and_removes_what_is_gone(
    tmp_path: Path,
) -> None:
    assert contract.export(tmp_path, TABLES) == sorted(contract.files(tmp_path, TABLES))
    assert contract.export(tmp_path, TABLES) == []
    (tmp_path / "streams" / "GAMES.json").write_text("{}")
    (tmp_path / "streams" / "OLD.json").write_text("{}")
    (tmp_path / "schemas" / "ModelPromoted.v0.json").write_text("{}")
    (tmp_path / "nats.conf").unlink()
    assert contract.check(tmp_path, TABLES) == [
        "nats.conf",
        "streams/GAMES.json",
        "streams/OLD.json",
    ]
    assert contract.export(tmp_path, TABLES) == [
        "nats.conf",
        "streams/GAMES.json",
        "streams/OLD.json",
    ]
    assert contract.check(tmp_path, TABLES) == []
    assert (tmp_path / "schemas" / "ModelPromoted.v0.json").exists(), (
        "old bytes decode for ever, so their schema stays"
    )


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)
def test_every_event_is_documented_and_upcast_from_every_version(kind: EventType) -> None:
    assert kind.fact_type.__doc__
    assert set(kind.upcasters) == set(range(1, kind.version))


def test_every_event_goes_to_exactly_one_stream() -> None:
    for kind in REGISTRY.values():
        subject = kind.subject_filter.replace("*", "scope")
        taking = [
            stream.name
            for stream in STREAMS
            if any(matches(each, subject) for each in stream.subjects)
        ]
        assert taking == [kind.stream], subject


def test_no_two_streams_take_the_same_subject() -> None:
    subjects = [
        (stream.name, subject.removesuffix(">"))
        for stream in STREAMS
        for subject in stream.subjects
    ]
    for (one, left), (other, right) in combinations(subjects, 2):
        assert not left.startswith(right), (one, other)
        assert not right.startswith(left), (one, other)


def test_every_kind_of_ticket_has_a_consumer_and_no_ticket_two() -> None:
    assert (
        len({consumer.name for consumer in CONSUMERS})
        == len(CONSUMERS)
        == len(WORK_KINDS) * len(PRIORITIES)
    )
    for kind, priority in product(WORK_KINDS, PRIORITIES):
        subject = f"ringrift.work.{kind}.{priority}.hex8_2p"
        taking = [
            consumer.name
            for consumer in CONSUMERS
            if any(matches(each, subject) for each in consumer.filter_subjects)
        ]
        assert taking == [consumer_of(kind, priority)]


def test_schemas_describe_the_envelope() -> None:
    schema = json.loads((ROOT / "schemas" / "GameCompleted.v1.json").read_text())
    assert schema["properties"]["type"] == {"const": "ringrift.GameCompleted.v1"}
    assert re.match(schema["properties"]["subject"]["pattern"], "ringrift.game.hex8_2p.completed")
    assert "moves" in schema["$defs"]["GameCompleted"]["required"]
    assert "Seat" in schema["$defs"]
