"""Simulated fleets: the one of `ops/fleet.toml`, and a small one with two configs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from ringrift.cluster.fleet_file import read_fleet
from ringrift.events import Fact, Settings
from ringrift.events.settings import ShardSettings
from ringrift.tools.simulation.fault_plan import Fault, read_faults
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.run import FLEET_SETTINGS, simulate, unaware_of_cost

OPS = Path(__file__).parents[2] / "ops"
NODES = read_fleet(OPS / "fleet.toml")
FAULTS = read_faults(OPS / "faults.toml", FLEET_SETTINGS.configs)
SMALL_NODES = tuple(
    node for node in NODES if node.fact.node in {"lambda-gh200-1", "vast-4090-1", "vast-4090-2"}
)
SMALL_SETTINGS = Settings(configs=("hex8_2p", "square8_2p"), shard=ShardSettings(games=256))

F = TypeVar("F", bound=Fact)


def large_fleet(
    seed: int, hours: float, *, aware: bool = True, faults: tuple[Fault, ...] = ()
) -> Fleet:
    """The fleet of `ops/fleet.toml` after this time; without cost awareness unless `aware`."""
    settings = FLEET_SETTINGS if aware else unaware_of_cost(FLEET_SETTINGS)
    return simulate(NODES, settings, hours, seed=seed, faults=faults)


def small_fleet(seed: int, hours: float, *faults: Fault) -> Fleet:
    """Three nodes with two configs after this time."""
    return simulate(SMALL_NODES, SMALL_SETTINGS, hours, seed=seed, faults=faults)


def facts_of(fleet: Fleet, *kinds: type[F]) -> list[F]:
    """The facts of these kinds in the log of a fleet."""
    return [event for event, _ in fleet.log.events if isinstance(event, kinds)]
