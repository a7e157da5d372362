"""The fleet as TOML: one `[[node]]` table for each node, or for `count` alike nodes (see
`ops/fleet.toml`)."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from ringrift.errors import CommandError
from ringrift.events.facts import NodeRegistered, WorkKind


class NodeTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` alike nodes. The fields up to `kinds` are those of `NodeRegistered`; the others after
    `count` are used by the simulator alone."""

    name: str
    provider: str
    accelerator: str
    vram_gib: float
    cost_per_hour: float
    speed: float = 1.0
    ephemeral: bool = False
    kinds: tuple[WorkKind, ...] = ("training", "evaluation", "selfplay")
    count: int = 1
    training_speed: float | None = None
    """relative to the reference accelerator, by default as `speed`"""
    lost_every_hours: float = 500.0
    """mean time between losses"""
    lost_minutes: float = 20.0
    """mean time from a loss to the return"""


class FleetNode(Struct, frozen=True, kw_only=True):
    """One node: the fact that registers it, and what the simulator needs besides."""

    fact: NodeRegistered
    speed: float
    training_speed: float
    lost_every_hours: float
    lost_minutes: float


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: tuple[NodeTable, ...]


_REGISTERED = frozenset(NodeRegistered.__struct_fields__) - {"node"}


def read_fleet(path: Path) -> tuple[FleetNode, ...]:
    """The nodes of a fleet file. Raises CommandError."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise CommandError(f"fleet {path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise CommandError(f"fleet {path}: {error}") from error
    nodes = tuple(node for table in found.node for node in _nodes(table))
    names = [node.fact.node for node in nodes]
    for name in names:
        if names.count(name) > 1:
            raise CommandError(f"fleet {path}: two nodes are called {name}")
    if not nodes:
        raise CommandError(f"fleet {path}: there is no [[node]]")
    return nodes


def _nodes(table: NodeTable) -> list[FleetNode]:
    registered = {name: value for name, value in asdict(table).items() if name in _REGISTERED}
    names = [table.name]
    if table.count != 1:
        names = [f"{table.name}-{number}" for number in range(1, table.count + 1)]
    return [
        FleetNode(
            fact=msgspec.convert({"node": name, **registered}, NodeRegistered),
            speed=table.speed,
            training_speed=table.training_speed or table.speed,
            lost_every_hours=table.lost_every_hours,
            lost_minutes=table.lost_minutes,
        )
        for name in names
    ]
