"""The events as an AsyncAPI 3 document: `schemas/asyncapi.json`, beside the schemas it refers to.

A channel is the subject of one event type, its messages are the versions of the event. An operation
is one process, or the command line `ringrift`, that sends or receives it. See
https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from collections.abc import Iterator
from typing import Any

from ringrift import __version__
from ringrift.events import REGISTRY, EventType
from ringrift.runtime.authorship import readers, writers

SCHEMA_FORMAT = "application/schema+json;version=2020-12"
CONTENT_TYPE = "application/cloudevents+json"
SCOPES = {
    "config": "A board and a number of seats, such as hex8_2p.",
    "node": "A machine that runs processes.",
    "scope": "A config, or all.",
}
"""Meaning of the scopes in subjects; the others are names."""
_ABOUT = """\
Every event is stored for good in a JetStream stream (`x-stream`) under the subject of its channel.
The message is a structured CloudEvents 1.0 envelope in JSON; `data` is the fact. Read events with a
consumer of the stream rather than with a plain subscription, which misses what was stored before.
"""


def document() -> dict[str, Any]:
    """Return the whole document."""
    kinds = REGISTRY.values()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "RingRift events",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "`ringrift up` prints the port of its server.",
            }
        },
        "channels": {kind.name: _channel(kind) for kind in kinds},
        "operations": dict(item for kind in kinds for item in _operations(kind)),
        "components": {"messages": dict(item for kind in kinds for item in _messages(kind))},
    }


def _channel(kind: EventType) -> dict[str, Any]:
    everywhere = kind.scope == "all"
    scope = {kind.scope: {"description": SCOPES.get(kind.scope, f"A {kind.scope}.")}}
    return {
        "address": kind.filter("all" if everywhere else f"{{{kind.scope}}}"),
        "summary": kind.summary,
        **({} if everywhere else {"parameters": scope}),
        "messages": {
            name: _reference(f"components/messages/{name}") for name, _ in _messages(kind)
        },
        "x-stream": kind.stream,
    }


def _messages(kind: EventType) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and description of every version, the newest first: a log may hold all of them."""
    for version in range(kind.version, 0, -1):
        name = f"{kind.name}.v{version}"
        yield (
            name,
            {
                "name": f"ringrift.{name}",
                "title": kind.name,
                "summary": kind.summary,
                "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./{name}.json"}},
            },
        )


def _operations(kind: EventType) -> Iterator[tuple[str, dict[str, Any]]]:
    channel = _reference(f"channels/{kind.name}")
    for action, names in ("send", writers(kind.fact_type)), ("receive", readers(kind.fact_type)):
        for name in names:
            tags = [{"name": name}]
            yield (
                f"{name}-{action}-{kind.name}",
                {"action": action, "channel": channel, "tags": tags},
            )


def _reference(path: str) -> dict[str, str]:
    return {"$ref": f"#/{path}"}
