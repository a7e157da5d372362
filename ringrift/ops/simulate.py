"""`ringrift simulate`: two days of a fleet in a minute, and which promises hold."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.table import Table

from ringrift.analytics.simulation.errors import SimulationError
from ringrift.analytics.simulation.fault_plan import Fault, read_faults
from ringrift.analytics.simulation.findings import Findings, findings
from ringrift.analytics.simulation.fleet_file import FleetNode, read_fleet
from ringrift.analytics.simulation.world import World
from ringrift.events import Settings
from ringrift.events.settings import SchedulingSettings, ShardSettings
from ringrift.events.settings_sources import from_arguments, load
from ringrift.ops.errors import CommandError
from ringrift.ops.source import console

CONFIGS = tuple(f"{board}_{seats}p" for board in ("square8", "square19", "hex8", "hexagonal") for seats in (2, 3, 4))
FLEET_SETTINGS = Settings(configs=CONFIGS, shard=ShardSettings(games=256))
"""where a simulation starts from: every config, and shards as a fleet that plays thousands of games an hour would have them"""


def simulate(options: argparse.Namespace) -> int:
    """Run one seed or several; 1 if a promise does not hold."""
    settings = load(from_arguments(options.set), base=FLEET_SETTINGS)
    try:
        fleet = read_fleet(options.nodes)
        faults = read_faults(options.faults) if options.faults else ()
    except SimulationError as error:
        raise CommandError(str(error)) from error
    unknown = sorted({fault.config for fault in faults if fault.config} - set(settings.configs))
    if unknown:
        raise CommandError(f"plan of faults {options.faults}: {', '.join(unknown)} is not switched on; name one of "
                           f"{', '.join(settings.configs)}")  # fmt: skip
    found = []
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.monotonic()
        world = _lived(fleet, settings, seed, options.hours, faults=faults)
        unaware = _lived(fleet, _unaware(settings), seed, options.hours, faults=faults) if options.compare else None
        found.append(findings(world, seed=seed, hours=options.hours, unaware=unaware))
        if options.report:
            _report(options.report, world, unaware, found[-1])
        if not options.json:
            _print(found[-1], time.monotonic() - began, runs=1 + options.compare)
    if options.json:
        print(msgspec.json.encode([asdict(item) for item in found]).decode())
    return 0 if all(item.held for item in found) else 1


def _lived(fleet: tuple[FleetNode, ...], settings: Settings, seed: int, hours: float, *, faults: tuple[Fault, ...]) -> World:
    world = World(fleet, settings, seed=seed, faults=faults)
    world.run(hours)
    return world


def _unaware(settings: Settings) -> Settings:
    scheduling: SchedulingSettings = replace(settings.scheduling, cost_aware=False)
    return replace(settings, scheduling=scheduling)


def _report(folder: Path, world: World, unaware: World | None, found: Findings) -> None:
    from ringrift.analytics.simulation.plots import overview

    overview(world, folder / f"simulation-{found.seed}.png", unaware=unaware)
    (folder / f"simulation-{found.seed}.json").write_bytes(msgspec.json.format(msgspec.json.encode(asdict(found))) + b"\n")


def _print(found: Findings, seconds: float, *, runs: int) -> None:
    out = console()
    speed = found.hours * 3600.0 * runs / max(seconds, 1e-9)
    out.print(f"seed {found.seed}: {found.hours:g} h of {found.nodes} nodes, {found.events:,} events, in {seconds:.1f} s "
              f"({speed:,.0f} times as fast as life)", soft_wrap=True)  # fmt: skip
    table = Table(pad_edge=False)
    for name in ("config", "games", "share", "verdicts", "Elo"):
        table.add_column(name, justify="left" if name == "config" else "right")
    total = max(1, sum(found.games.values()))
    for config, games in found.games.items():
        elo = f"{found.elo[config]:.0f}" if config in found.elo else "-"
        table.add_row(config, f"{games:,}", f"{games / total:.1%}", str(found.verdicts[config]), elo)
    out.print(table)
    out.print(f"cost {found.cost:,.2f}, {found.cost_per_reference_hour:.3f} for games worth an hour of the reference accelerator; "
              f"busy {found.utilisation:.1%}, of it lost {found.wasted:.1%}; queue at most {found.deepest_queue}; preempted "
              f"{found.preempted}, aged {found.aged}, deadlocks broken {found.deadlocks}", soft_wrap=True)  # fmt: skip
    for item in found.properties:
        mark = {True: "holds   ", False: "BROKEN  ", None: "untried "}[item.held]
        out.print(f"{mark}{item.name}: {item.found}", soft_wrap=True, markup=False)
