"""The corpus: bytes of every type and version of events that were ever written, which must always
decode, and the schemas of released versions, which may only grow by optional fields.

`python -m support.corpus`, run in `tests`, adds the types and versions that are missing; with
`--afresh`, before the first release, it rebuilds the newest version of each type and all
schemas."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ringrift.events import REGISTRY, EventType, draft, encode
from support.examples import example

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "data" / "corpus" / "events.jsonl"
SCHEMAS = ROOT / "tests" / "data" / "corpus" / "schemas.json"
TIME = datetime(2026, 11, 29, 12, tzinfo=UTC)


def lines(text: str) -> dict[str, list[bytes]]:
    """The events of a corpus by their type with version."""
    found: dict[str, list[bytes]] = {}
    for line in text.splitlines():
        found.setdefault(json.loads(line)["type"], []).append(line.encode())
    return found


def written(kind: EventType) -> list[bytes]:
    """An event with all fields, and the same with those only that it must have, as other programs
    may write it."""
    whole = encode(draft(example(kind), cause="EVENTS/12", source="planner@node-1", time=TIME))
    short = json.loads(whole)
    for field in msgspec.structs.fields(kind.fact_type):
        if not field.required:
            del short["data"][field.encode_name]
    del short["program"]
    return [whole, msgspec.json.encode(short)]


def schemas() -> dict[str, Any]:
    """The schemas by the names of their files, without prose."""
    files = sorted((ROOT / "schemas").glob("*.v*.json"))
    return {path.name: bare(json.loads(path.read_text())) for path in files}


def bare(schema: Any) -> Any:
    """A schema without titles and descriptions; a field of such a name is kept."""
    if isinstance(schema, list):
        return [bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    prose = ("title", "description")
    return {
        key: bare(value)
        for key, value in schema.items()
        if key not in prose or not isinstance(value, str)
    }


def broken(then: Any, now: Any, path: str = "") -> list[str]:
    """The places where a schema has not only grown by optional fields."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return [] if then == now else [path]
    names = path.split(".")
    grown = names[-1] in ("properties", "$defs", "") or "default" in names
    found = [] if grown else [f"{path}.{key}" for key in now.keys() - then.keys()]
    for key, value in then.items():
        found += broken(value, now.get(key), f"{path}.{key}")
    return found


def add_missing(afresh: bool = False) -> None:
    """Add what is not in the corpus yet; nothing that is there changes, but for the newest version
    of each type if `afresh`."""
    EVENTS.parent.mkdir(exist_ok=True)
    known = lines(EVENTS.read_text() if EVENTS.exists() else "")
    for kind in REGISTRY.values():
        if afresh or kind.wire_name not in known:
            known[kind.wire_name] = written(kind)
    EVENTS.write_text("".join(f"{line.decode()}\n" for found in known.values() for line in found))
    frozen = json.loads(SCHEMAS.read_text()) if SCHEMAS.exists() and not afresh else {}
    pages = {
        name: json.dumps(schema, sort_keys=True) for name, schema in (schemas() | frozen).items()
    }
    rows = ",\n".join(f"{json.dumps(name)}: {page}" for name, page in sorted(pages.items()))
    SCHEMAS.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    add_missing("--afresh" in sys.argv)
