"""The old list of machines, `distributed_hosts.yaml`, as nodes of a fleet file.

Addresses, users and paths of keys stay in the old file: facts are read by everybody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from ringrift.cluster.fleet_file import FleetNode
from ringrift.errors import CommandError
from ringrift.events.facts import WorkKind
from ringrift.events.patterns import in_words

ENDINGS: Final = (".yaml", ".yml")
_PROVIDERS: Final = ("vast", "runpod", "lambda", "nebius", "vultr", "hetzner", "aws")
_UNUSED: Final = ("proxy", "proxy_only", "retired", "terminated", "offline", "disabled")


def read_hosts(path: Path) -> tuple[FleetNode, ...]:
    """The machines that may work. Raises CommandError, OSError."""
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=dict[str, Any])
        hosts = msgspec.convert(found.get("hosts", {}), dict[str, dict[str, Any]])
        known = (_node(name, host) for name, host in hosts.items() if _works(host))
        nodes = tuple(node for node in known if node.kinds)
    except msgspec.DecodeError as error:
        raise CommandError(f"hosts {path}: {in_words(error)}") from error
    names = [node.name for node in nodes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CommandError(f"hosts {path}: two hosts are called {twice}")
    if not nodes:
        raise CommandError(f"hosts {path}: no host under `hosts` may work")
    return nodes


def _works(host: dict[str, Any]) -> bool:
    return not {str(host.get("role")), str(host.get("status"))} & {*_UNUSED}


def _node(name: str, host: dict[str, Any]) -> FleetNode:
    """A node; what the old file does not say, price and speed, has to be corrected in the fleet
    file if the planner is to weigh it."""
    gpu = str(host.get("gpu") or "none")
    name_of_gpu = re.sub(r"[^a-z0-9]+", "-", gpu.split("(")[0].lower()).strip("-")
    accelerator = "cpu" if name_of_gpu in ("", "none") else name_of_gpu
    known = (one for one in _PROVIDERS if any(one in key for key in (name, *host)))
    kinds: list[WorkKind] = []
    if host.get("training_enabled", True) and accelerator != "cpu":
        kinds.append("training")
    if host.get("selfplay_enabled", True):
        kinds += ["evaluation", "selfplay"]
    node = FleetNode(
        name=re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:64],
        provider=next(known, "own"),
        accelerator=accelerator,
        vram_gib=float(host.get("gpu_vram_gb") or 0),
        cost_per_hour=0.0,
        ephemeral=bool(host.get("is_ephemeral", False)),
        kinds=tuple(kinds),
    )
    _ = node.fact  # validates
    return node
