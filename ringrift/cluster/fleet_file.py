"""The fleet as TOML: one `[[node]]` table for each node, or for `count` identical nodes (see
`ops/fleet.toml`)."""

from codecs import BOM_UTF8
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from ringrift.errors import CommandError
from ringrift.events.facts import COUNT_MAX, NodeRegistered, WorkKind
from ringrift.events.patterns import in_words

_REGISTERED = frozenset(NodeRegistered.__struct_fields__) - {
    *("node", "reserved_until_minute", "leaves_at_minute")
}


class FleetNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node. The fields up to `reserved_until` are those of `NodeRegistered`; the simulator
    alone uses the last ones."""

    name: str
    provider: str
    accelerator: str
    vram_gib: float
    cost_per_hour: float
    speed: float = 1.0
    ephemeral: bool = False
    kinds: tuple[WorkKind, ...] = ("training", "evaluation", "selfplay")
    reserved_for: tuple[WorkKind, ...] = ()
    reserved_until: datetime | None = None
    """end of a reservation, with its offset from UTC; without one it lasts until a release"""
    leaves_at: datetime | None = None
    """when the node goes, such as the end of its rent; it gets no work that would not end before"""
    count: int = 1
    """in a file, the number of identical nodes"""
    training_speed: float = 0.0
    """relative to the reference accelerator; in a file, 0 means `speed`"""
    lost_every_hours: float = 500.0
    """mean time between losses"""
    lost_minutes: float = 20.0
    """mean time from a loss to the return"""

    @property
    def fact(self) -> NodeRegistered:
        """The fact that registers the node."""
        fields = {name: value for name, value in asdict(self).items() if name in _REGISTERED}
        until = _minute(self.reserved_until, COUNT_MAX) if self.reserved_for else 0
        leaves = _minute(self.leaves_at, 0)
        named = {"node": self.name, "reserved_until_minute": until, "leaves_at_minute": leaves}
        return msgspec.convert(named | fields, NodeRegistered)


def _minute(time: datetime | None, unknown: int) -> int:
    """Minutes since 1970; a time without an offset is taken for UTC."""
    return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()) // 60 if time else unknown


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    node: tuple[FleetNode, ...]


def read_fleet(path: Path) -> tuple[FleetNode, ...]:
    """The nodes of a fleet file. Raises CommandError, OSError."""
    try:
        nodes = _nodes(msgspec.toml.decode(path.read_bytes().removeprefix(BOM_UTF8), type=_File))
        names = [node.fact.node for node in nodes]
    except msgspec.DecodeError as error:
        raise CommandError(f"fleet {path}: {in_words(error)}") from error
    for name in names:
        if names.count(name) > 1:
            raise CommandError(f"fleet {path}: two nodes are called {name}")
    if not nodes:
        raise CommandError(f"fleet {path}: there is no [[node]]")
    return tuple(nodes)


def copied(nodes: tuple[FleetNode, ...], copies: int) -> tuple[FleetNode, ...]:
    """The nodes, and `copies` - 1 more of each under other names."""
    more = (
        replace(node, name=f"{node.name}-c{number}")
        for number in range(2, copies + 1)
        for node in nodes
    )
    return (*nodes, *more)


def _nodes(file: _File) -> list[FleetNode]:
    found = []
    for table in file.node:
        one = replace(table, count=1, training_speed=table.training_speed or table.speed)
        numbers = range(1, table.count + 1)
        alike = [replace(one, name=f"{one.name}-{number}") for number in numbers]
        found += [one] if table.count == 1 else alike
    return found
