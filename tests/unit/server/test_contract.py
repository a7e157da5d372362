"""The files that `ringrift contract export` writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ringrift.events import REGISTRY, EventType
from ringrift.runtime.process_tables import tables
from ringrift.server import contract

TABLES = tables()
ROOT = Path(__file__).parents[3]


def test_the_files_at_the_root_are_up_to_date() -> None:
    assert contract.check(ROOT, TABLES) == [], "run `ringrift contract export`"


def test_export_writes_missing_and_outdated_files_and_removes_others(tmp_path: Path) -> None:
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
        "schemas of old versions stay, because old events stay"
    )


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)
def test_every_event_is_documented_and_upcast_from_every_version(kind: EventType) -> None:
    assert kind.fact_type.__doc__
    assert set(kind.upcasters) == set(range(1, kind.version))


def test_schemas_describe_the_envelope() -> None:
    schema = json.loads((ROOT / "schemas" / "GameCompleted.v1.json").read_text())
    assert schema["properties"]["type"] == {"const": "ringrift.GameCompleted.v1"}
    assert re.match(schema["properties"]["subject"]["pattern"], "ringrift.game.hex8_2p.completed")
    assert "moves" in schema["$defs"]["GameCompleted"]["required"]
    assert "Seat" in schema["$defs"]
