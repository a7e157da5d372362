"""Events of every version that was ever written decode, and released schemas only grow."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import msgspec
import pytest
from support import corpus

from ringrift.events import REGISTRY, decode, type_of

EVENTS = corpus.lines(corpus.EVENTS.read_text())
REMEDY = (
    "a released version cannot change: make a new one, with an upcaster; a new type or version "
)
REMEDY += "is added by `python -m support.corpus`, run in tests"


def without_new_fields(data: Any, stored: Any) -> Any:
    """`data` without the fields, also of structs within, that `stored` lacks."""
    if isinstance(data, dict) and isinstance(stored, dict):
        return {name: without_new_fields(data.get(name), old) for name, old in stored.items()}
    return data


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_of_the_corpus_decodes(name: str) -> None:
    for body in EVENTS[name]:
        stored = json.loads(body)
        kind = REGISTRY[name.split(".")[1]]
        event, meta = decode(body, stream=kind.stream, seq=9, subject=stored["subject"])
        assert type_of(event) is kind
        assert meta.unknown == (), REMEDY
        assert meta.cause == stored["cause"]
        if kind.wire_name == name:
            again = json.loads(msgspec.json.encode(event))
            assert without_new_fields(again, stored["data"]) == stored["data"], REMEDY


def test_the_corpus_has_every_version_of_every_type() -> None:
    versions = {
        f"ringrift.{kind.name}.v{version}"
        for kind in REGISTRY.values()
        for version in range(1, kind.version + 1)
    }
    assert versions <= EVENTS.keys(), REMEDY


def test_released_schemas_only_grow() -> None:
    now = corpus.schemas()
    frozen = json.loads(corpus.SCHEMAS.read_text())
    assert now.keys() == frozen.keys(), REMEDY
    for name, then in frozen.items():
        assert not corpus.broken(then, now[name]), f"{name}: {REMEDY}"


def test_what_the_last_release_had_is_still_there() -> None:
    tag = git("describe", "--tags", "--match", "v[0-9]*", "--abbrev=0")
    if not tag:
        pytest.skip("nothing is released yet")
    before = git("show", f"{tag}:tests/data/corpus/events.jsonl").splitlines()
    assert set(before) <= set(corpus.EVENTS.read_text().splitlines()), REMEDY
    now = corpus.schemas()
    for path in git("ls-tree", "--name-only", tag, "schemas/").splitlines():
        if re.search(r"\.v\d+\.json$", path):
            then = corpus.bare(json.loads(git("show", f"{tag}:{path}")))
            name = path.rpartition("/")[2]
            assert not corpus.broken(then, now[name]), f"{name} since {tag}: {REMEDY}"


THEN = {"required": ["a"], "properties": {"a": {"type": "integer", "minimum": 0}}, "$defs": {}}


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, []),
        ({"properties": THEN["properties"] | {"b": {"type": "string"}}}, []),
        ({"$defs": {"B": {"type": "object"}}}, []),
        ({"required": ["a", "b"]}, [".required"]),
        ({"properties": {}}, [".properties.a"]),
        ({"properties": {"a": {"type": "integer", "minimum": 1}}}, [".properties.a.minimum"]),
        ({"properties": {"a": {"type": "integer"}}}, [".properties.a.minimum"]),
        (
            {"properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}},
            [".properties.a.maximum"],
        ),
    ],
)
def test_a_schema_may_only_grow(changes: dict[str, object], places: list[str]) -> None:
    assert corpus.broken(THEN, THEN | changes) == places


def git(*arguments: str) -> str:
    """The output of git, nothing if it fails or is not installed."""
    try:
        command = ("git", "-C", str(corpus.ROOT), *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
