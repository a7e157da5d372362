"""The fleet as TOML: one `[[node]]` table for each node, or for `count` alike (see
`ops/fleet.toml`)."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from ringrift.events.facts import NodeRegistered, WorkKind
from ringrift.tools.simulation.errors import SimulationError


class NodeTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes of one sort, as `NodeRegistered` has them, with how often one is lost; what only the
    simulator uses stands last."""

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
    """against the reference accelerator; None: as in self-play"""
    lost_every_hours: float = 500.0
    """mean time between losses"""
    lost_minutes: float = 20.0
    """mean time until it is back"""


class FleetNode(Struct, frozen=True, kw_only=True):
    """One node: what the system is told of it, and what only the simulator knows."""

    fact: NodeRegistered
    speed: float
    training_speed: float
    lost_every_hours: float
    lost_minutes: float


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: tuple[NodeTable, ...]


_TOLD = ("provider", "accelerator", "vram_gib", "cost_per_hour", "speed", "ephemeral", "kinds")


def read_fleet(path: Path) -> tuple[FleetNode, ...]:
    """The nodes of a fleet file. Raises SimulationError."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise SimulationError(f"fleet {path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise SimulationError(f"fleet {path}: {error}") from error
    nodes = tuple(node for table in found.node for node in _nodes(table))
    names = [node.fact.node for node in nodes]
    if not nodes or len(set(names)) != len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        raise SimulationError(
            f"fleet {path}: "
            + (f"two nodes are called {twice}" if twice else "there is no [[node]]")
        )
    return nodes


def _nodes(table: NodeTable) -> list[FleetNode]:
    told = {name: value for name, value in asdict(table).items() if name in _TOLD}
    names = (
        [table.name]
        if table.count == 1
        else [f"{table.name}-{number}" for number in range(1, table.count + 1)]
    )
    return [
        FleetNode(
            fact=msgspec.convert({"node": name, **told}, NodeRegistered),
            speed=table.speed,
            training_speed=table.training_speed or table.speed,
            lost_every_hours=table.lost_every_hours,
            lost_minutes=table.lost_minutes,
        )
        for name in names
    ]
