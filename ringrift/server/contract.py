"""The contract at the root of the repository, exported from the declarations.

- `nats.conf`: configuration of a server
- `ops/voter.conf`, `ops/users.conf`: what differs between servers, as for a single node
- `streams/<name>.json`: in the form of `nats stream add --config`
- `consumers/<stream>.<name>.json`: in the form of `nats consumer add --config`
- `schemas/<Event>.v<n>.json`: JSON Schema of the whole envelope; those of earlier versions stay
- `schemas/engine/`: JSON Schemas of the lines of the analysis engine
- `schemas/README.md`: which process writes and reads each event
- `schemas/asyncapi.json`: the same as an AsyncAPI 3 document
- the generated tables of `PAGES`
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ringrift.events import REGISTRY, EventType
from ringrift.log import api
from ringrift.log.errors import ServerRefused
from ringrift.log.protocol import Log
from ringrift.log.topology import CONSUMERS, STREAMS, WORK
from ringrift.server import configuration as conf
from ringrift.server.ensure import differences

Tables = Mapping[str, str]
"""Markdown tables, and the AsyncAPI document, by name: from `ringrift.insight.process_tables`"""
NONE: Tables = {}
PAGES = ("ops/README.md", "docs/policies.md")
"""pages with generated tables, each between `<!-- table: NAME -->` and `<!-- end -->`"""
_TABLE = re.compile("(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_EVENTS = """# Events

Written by `ringrift contract export` from `ringrift.events` and the table of processes. One JSON
Schema per type and version describes the whole CloudEvents envelope; `asyncapi.json` describes
subjects, messages and who sends and receives them as an AsyncAPI 3 document. `ringrift` is the
command line. `monitor` also takes the time from every event.

"""
_OWNED = ("streams", "consumers", "schemas")


def files(root: Path, tables: Tables, more: Tables = NONE) -> dict[str, str]:
    """Content of every file of the contract, by its path from the root; `more` are files of rooms
    above this one."""
    found = {
        **more,
        conf.CONF_FILE: conf.SHIPPED_CONF,
        conf.VOTER_FILE: conf.voter_conf(conf.Voter()),
        conf.USERS_FILE: conf.as_json({}),
        "schemas/README.md": _EVENTS + tables["events"],
        "schemas/asyncapi.json": tables["asyncapi"],
    }
    for page in PAGES:
        if (text := _content(root / page)) is not None:
            found[page] = _TABLE.sub(lambda part: f"{part[1]}\n{tables[part[2]]}\n{part[3]}", text)
    found |= definitions(1)
    for kind in REGISTRY.values():
        found[f"schemas/{kind.name}.v{kind.version}.json"] = _pretty(schema(kind))
    return found


def definitions(replicas: int) -> dict[str, str]:
    """Content of the files of streams, with this number of copies, and of consumers, by path."""
    found = {
        f"streams/{stream.name}.json": _pretty(stream.with_replicas(replicas)) for stream in STREAMS
    }
    for consumer in CONSUMERS:
        found[f"consumers/{WORK}.{consumer.name}.json"] = _pretty(msgspec.to_builtins(consumer))
    return found


async def check_server(root: Path, log: Log) -> list[str]:
    """Differences of a server's streams and consumers from the files under `root`, as text. Raises
    ServerRefused, LogUnavailable, ValueError for a file that is no JSON."""
    found = []
    for kind, asking in (("streams", "STREAM.INFO"), ("consumers", "CONSUMER.INFO")):
        for path in sorted((root / kind).glob("*.json")):
            declared = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            try:
                actual = (await log.call(f"{asking}.{path.stem}"))["config"]
            except ServerRefused as error:
                if error.code not in (api.NO_STREAM, api.NO_CONSUMER):
                    raise
                found.append(f"{path.stem}: not on the server")
                continue
            found += map(str, differences(path.stem, declared, actual))
    return found


def export(root: Path, tables: Tables, more: Tables = NONE) -> list[str]:
    """Write the contract under `root`; the paths that changed, including those of removed files."""
    wanted = files(root, tables, more)
    changed = _differing(root, wanted)
    for path in changed:
        target = root / path
        if path in wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(wanted[path])
        else:
            target.unlink()
    return changed


def check(root: Path, tables: Tables, more: Tables = NONE) -> list[str]:
    """Paths under `root` that differ from the declarations: missing, changed, or obsolete."""
    return _differing(root, files(root, tables, more))


def _differing(root: Path, wanted: Mapping[str, str]) -> list[str]:
    present = {
        f"{folder}/{path.name}" for folder in _OWNED for path in (root / folder).glob("*.json")
    }
    obsolete = {path for path in present - wanted.keys() if not _is_earlier_version(path)}
    differing = {path for path, content in wanted.items() if _content(root / path) != content}
    return sorted(differing | obsolete)


def schema(kind: EventType) -> dict[str, Any]:
    """JSON Schema of the envelope and data of one event type."""
    (data,), parts = msgspec.json.schema_components([kind.fact_type], ref_template="#/$defs/{name}")
    for part in parts.values():  # msgspec before 0.23 keeps the indentation of docstrings
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    scope = "all" if kind.scope == "all" else "[^.]+"
    text = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.wire_name,
        "description": kind.summary,
        "type": "object",
        "required": ["specversion", "id", "type", "source", "subject", "time", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**text, "description": "Derived from the cause, so retries are idempotent."},
            "type": {"const": kind.wire_name},
            "source": {**text, "description": "The writer, <process>@<node>."},
            "subject": {**text, "pattern": rf"^ringrift\.{kind.context}\.{scope}\.{kind.word}$"},
            "time": {**text, "format": "date-time"},
            "cause": {
                "type": ["string", "null"],
                "description": "Position of the message that led to it, <stream>/<sequence>.",
            },
            "program": {**text, "description": "The program that wrote it: ringrift 0.1.0."},
            "data": data,
        },
        "$defs": parts,
    }


def _is_earlier_version(path: str) -> bool:
    """Whether a path is the schema of an earlier version, which events in the log may have."""
    form = re.fullmatch(r"schemas/(\w+)\.v(\d+)\.json", path)
    return form is not None and form[1] in REGISTRY and int(form[2]) < REGISTRY[form[1]].version


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _content(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
