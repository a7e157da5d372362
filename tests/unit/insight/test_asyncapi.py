"""The AsyncAPI document is valid by the schema of AsyncAPI, and says what the table of processes
says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, ValidationError

from ringrift.events import REGISTRY
from ringrift.runtime.authorship import NODE, WRITTEN_BY_NODES
from ringrift.runtime.processes import COMMANDS, PROCESSES, WRITTEN_BY_COMMANDS

ROOT = Path(__file__).parents[3]
DOCUMENT = json.loads((ROOT / "schemas" / "asyncapi.json").read_text())
SCHEMA = json.loads(gzip.decompress((ROOT / "tests/data/asyncapi/3.0.0.json.gz").read_bytes()))


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for part in value.values():
            yield from references(part)


def sent_by(name: str) -> set[str]:
    """Names of the facts that a process sends, by the document."""
    found = DOCUMENT["operations"].values()
    mine = [one for one in found if one["action"] == "send" and one["tags"] == [{"name": name}]]
    return {one["channel"]["$ref"].rpartition("/")[2] for one in mine}


def test_the_document_follows_the_schema_of_asyncapi() -> None:
    Draft7Validator(SCHEMA).validate(DOCUMENT)
    wrong = DOCUMENT | {"operations": {"x": {"action": "publish", "channel": {"$ref": "#/x"}}}}
    with pytest.raises(ValidationError):
        Draft7Validator(SCHEMA).validate(wrong)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        file, _, path = reference.partition("#/")
        if file:
            title = json.loads((ROOT / "schemas" / file).read_text())["title"]
            assert title == f"ringrift.{file.removeprefix('./').removesuffix('.json')}"
            continue
        found = DOCUMENT
        for part in path.split("/"):
            found = found[part]


def test_channels_are_the_subjects_of_all_events() -> None:
    channels = DOCUMENT["channels"]
    assert channels.keys() == REGISTRY.keys()
    for kind in REGISTRY.values():
        channel = channels[kind.name]
        scope = "all" if kind.scope == "all" else f"{{{kind.scope}}}"
        assert channel["address"] == kind.filter(scope)
        assert f"{kind.name}.v{kind.version}" in channel["messages"]


def test_operations_are_those_of_the_table_of_processes() -> None:
    by_nodes = {fact.__name__ for fact in WRITTEN_BY_NODES}  # with the rights of their processes
    assert sent_by(NODE) == by_nodes
    for spec in PROCESSES.values():
        assert sent_by(spec.name) == {fact.__name__ for fact in spec.writes} - by_nodes
    assert sent_by(COMMANDS) == {fact.__name__ for fact in WRITTEN_BY_COMMANDS}
