"""The files at the root of the repository are those that the declarations export."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ringrift.analysis.messages import schemas
from ringrift.events import REGISTRY, EventType
from ringrift.insight.process_tables import tables
from ringrift.server import contract

TABLES = tables()
ROOT = Path(__file__).parents[3]


def test_the_files_are_up_to_date() -> None:
    assert contract.check(ROOT, TABLES, schemas()) == [], "run `ringrift contract export`"


def test_export_into_an_empty_folder_writes_every_file_once(tmp_path: Path) -> None:
    assert contract.export(tmp_path, TABLES) == sorted(contract.files(tmp_path, TABLES))
    assert contract.export(tmp_path, TABLES) == []


def test_export_restores_missing_and_changed_files_and_removes_obsolete_ones(
    tmp_path: Path,
) -> None:
    contract.export(tmp_path, TABLES)
    (tmp_path / "streams" / "GAMES.json").write_text("{}")
    (tmp_path / "streams" / "OLD.json").write_text("{}")
    (tmp_path / "nats.conf").unlink()
    differing = ["nats.conf", "streams/GAMES.json", "streams/OLD.json"]
    assert contract.check(tmp_path, TABLES) == differing
    assert contract.export(tmp_path, TABLES) == differing
    assert contract.check(tmp_path, TABLES) == []


def test_schemas_of_earlier_versions_stay(tmp_path: Path) -> None:
    contract.export(tmp_path, TABLES)
    earlier = tmp_path / "schemas" / "ModelPromoted.v0.json"
    earlier.write_text("{}")
    assert contract.export(tmp_path, TABLES) == []
    assert earlier.exists()


def test_a_generated_table_is_replaced_and_the_page_around_it_kept(tmp_path: Path) -> None:
    page = tmp_path / contract.PAGES[0]
    page.parent.mkdir()
    page.write_text("before\n<!-- table: roles -->\nold\n<!-- end -->\nafter\n")
    contract.export(tmp_path, TABLES)
    expected = f"before\n<!-- table: roles -->\n\n{TABLES['roles']}\n<!-- end -->\nafter\n"
    assert page.read_text() == expected


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
