"""The table of processes as Markdown, for `schemas/README.md`, `ops/README.md`,
`docs/policies.md` and `reference`, and as an AsyncAPI document."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ringrift.deciders.kit import Decider
from ringrift.events import REGISTRY, EventType, Fact
from ringrift.insight import asyncapi
from ringrift.runtime.authorship import readers, writers
from ringrift.runtime.processes import MIB, PROCESSES, ROLES, ProcessSpec, of_roles

PEOPLE = "people: `ringrift status`, `ringrift events tail` and the live screen"
DAY_SECONDS = 24 * 3600


def tables(*, linked: bool = True) -> dict[str, str]:
    """Every generated table by its name, and the AsyncAPI document; events are `linked` to their
    schemas, in that folder."""
    text = msgspec.json.format(msgspec.json.encode(asyncapi.document()), indent=2).decode()
    return {
        "asyncapi": f"{text}\n",
        "events": _events(linked),
        "roles": _roles(),
        "processes": _processes(),
        "deciders": _deciders(),
    }


def _events(linked: bool) -> str:
    return table(
        ("event", "meaning", "subject", "stream", "written by", "read by"),
        (_event(kind, kind.fact_type, linked) for kind in REGISTRY.values()),
    )


def _event(kind: EventType, fact: type[Fact], linked: bool) -> Sequence[str]:
    scope = "all" if kind.scope == "all" else f"<{kind.scope}>"
    return (
        f"[{kind.name}]({kind.name}.v{kind.version}.json)" if linked else f"`{kind.name}`",
        kind.summary,
        f"`{kind.filter(scope)}`",
        kind.stream,
        _names(writers(fact)),
        _names(readers(fact)) or PEOPLE,
    )


def _roles() -> str:
    return table(
        ("role", "processes", "tickets it takes", "buckets and queues it writes"),
        (_role(role, of_roles([role])) for role in ROLES),
    )


def _role(role: str, specs: Sequence[ProcessSpec]) -> Sequence[str]:
    stores = {store.partition("_")[2] or store for spec in specs for store in spec.stores}
    return (
        role,
        ", ".join(spec.name for spec in specs),
        ", ".join(spec.work for spec in specs if spec.work) or "none",
        ", ".join(f"`{store}`" for store in sorted(stores)),
    )


def _processes() -> str:
    return table(
        ("process", "role", "port", "one acts, under a lease", "memory"),
        (
            (spec.name, spec.role, str(spec.port), _yes(spec.leased), f"{spec.memory // MIB} MB")
            for spec in sorted(PROCESSES.values(), key=lambda spec: spec.port)
        ),
    )


def _deciders() -> str:
    return table(
        ("question", "decider", "process", "decides"),
        (
            _decider(decider, f"{module.replace('.', '/')}.py", spec.name)
            for spec in PROCESSES.values()
            for decider, module in zip(spec.deciders, spec.decides, strict=True)
        ),
    )


def _decider(decider: Decider[Any], path: str, process: str) -> Sequence[str]:
    module = sys.modules[f"ringrift.deciders.{path.removesuffix('.py').replace('/', '.')}"]
    question = (module.__doc__ or "").partition("?")[0]
    return (
        " ".join(question.split()) + "?",
        f"`{path}`",
        process,
        ", ".join(f"`{kind.__name__}`" for kind in decider.writes),
    )


def _names(names: Sequence[str]) -> str:
    return "every process" if PROCESSES.keys() <= set(names) else ", ".join(names)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
