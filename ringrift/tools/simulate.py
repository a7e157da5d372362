"""`ringrift simulate`: two days of a fleet in a minute, and which promises hold."""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import msgspec
from msgspec.structs import replace
from rich.table import Table

from ringrift.cli.source import console, opened
from ringrift.cluster.fleet_file import FleetNode, read_fleet
from ringrift.errors import CommandError
from ringrift.events import Draft, Settings
from ringrift.events.settings import SchedulingSettings, SelfplaySettings, ShardSettings
from ringrift.events.settings_sources import from_arguments, load
from ringrift.log.protocol import BATCH_EVENTS_MAX
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure
from ringrift.tools.simulation.errors import SimulationError
from ringrift.tools.simulation.fault_plan import Fault, read_faults
from ringrift.tools.simulation.findings import Findings, findings
from ringrift.tools.simulation.world import World

CONFIGS = tuple(
    f"{board}_{seats}p"
    for board in ("square8", "square19", "hex8", "hexagonal")
    for seats in (2, 3, 4)
)
FLEET_SETTINGS = Settings(
    configs=CONFIGS, selfplay=SelfplaySettings(games=1024), shard=ShardSettings(games=256)
)
"""where a simulation starts from: every config, and generations and shards as a fleet that plays
thousands of games an hour would have them; after 256 games, the default, it would measure a network
for longer than it played"""


def simulate(options: argparse.Namespace) -> int:
    """Run one seed or several; 1 if a promise does not hold."""
    settings = load(from_arguments(options.set), base=FLEET_SETTINGS)
    fleet = read_fleet(options.nodes)
    try:
        faults = read_faults(options.faults) if options.faults else ()
    except SimulationError as error:
        raise CommandError(str(error)) from error
    unknown = sorted({fault.config for fault in faults if fault.config} - set(settings.configs))
    if unknown:
        raise CommandError(
            f"plan of faults {options.faults}: {', '.join(unknown)} is not switched on; name one of "
            f"{', '.join(settings.configs)}"
        )
    if options.log and options.seeds > 1:
        raise CommandError(f"--log {options.log} has room for one run: leave out --seeds")
    found = []
    for seed in range(options.seed, options.seed + options.seeds):
        began = time.monotonic()
        world = _lived(fleet, settings, seed, options.hours, faults=faults)
        unaware = (
            _lived(fleet, _unaware(settings), seed, options.hours, faults=faults)
            if options.compare
            else None
        )
        found.append(findings(world, seed=seed, hours=options.hours, unaware=unaware))
        if options.log:
            asyncio.run(_keep(world, options.log))
        if options.report:
            _report(options.report, world, unaware, found[-1])
        if not options.json:
            _print(found[-1], time.monotonic() - began, runs=1 + options.compare)
    if options.json:
        print(msgspec.json.encode([asdict(item) for item in found]).decode())
    elif len(found) > 1:
        _print_seeds(found)
    return 0 if all(item.held for item in found) else 1


def _lived(
    fleet: tuple[FleetNode, ...],
    settings: Settings,
    seed: int,
    hours: float,
    *,
    faults: tuple[Fault, ...],
) -> World:
    world = World(fleet, settings, seed=seed, faults=faults)
    world.run(hours)
    return world


def _unaware(settings: Settings) -> Settings:
    scheduling: SchedulingSettings = replace(settings.scheduling, cost_aware=False)
    return replace(settings, scheduling=scheduling)


def _report(folder: Path, world: World, unaware: World | None, found: Findings) -> None:
    from ringrift.tools.simulation.plots import overview

    overview(world, folder / f"simulation-{found.seed}.png", unaware=unaware)
    (folder / f"simulation-{found.seed}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(asdict(found))) + b"\n"
    )


async def _keep(world: World, data: Path) -> None:
    """Write the log of the world as that of a system, for the commands that look at one. Raises
    CommandError."""
    async with opened(argparse.Namespace(server=None, data=data), create=True) as log:
        await ensure(log)
        if stored := await log.tail(EVENTS):
            raise CommandError(
                f"{data} holds a log of {stored} events already: name another directory for --log"
            )
        drafts = [
            Draft(event=event, id=meta.id, cause=meta.cause, source=meta.source, time=meta.time)
            for event, meta in world.log.events
        ]
        for first in range(0, len(drafts), BATCH_EVENTS_MAX):
            await log.append(drafts[first : first + BATCH_EVENTS_MAX])


def _print(found: Findings, seconds: float, *, runs: int) -> None:
    out = console()
    speed = found.hours * 3600.0 * runs / max(seconds, 1e-9)
    out.print(
        f"seed {found.seed}: {found.hours:g} h of {found.nodes} nodes, {found.events:,} events, in {seconds:.1f} s "
        f"({speed:,.0f} times as fast as life)",
        soft_wrap=True,
    )
    table = Table(pad_edge=False)
    for name in ("config", "games", "share", "verdicts", "Elo"):
        table.add_column(name, justify="left" if name == "config" else "right")
    total = max(1, sum(found.games.values()))
    for config, games in found.games.items():
        elo = f"{found.elo[config]:.0f}" if config in found.elo else "-"
        table.add_row(
            config, f"{games:,}", f"{games / total:.1%}", str(found.verdicts[config]), elo
        )
    out.print(table)
    out.print(
        f"cost {found.cost:,.2f}, {found.cost_per_reference_hour:.3f} for games worth an hour of the reference accelerator; "
        f"busy {found.utilisation:.1%}, of it lost {found.wasted:.1%}; queue at most {found.deepest_queue}; preempted "
        f"{found.preempted}, aged {found.aged}, deadlocks broken {found.deadlocks}",
        soft_wrap=True,
    )
    for item in found.properties:
        mark = {True: "holds   ", False: "BROKEN  ", None: "untried "}[item.held]
        out.print(f"{mark}{item.name}: {item.found}", soft_wrap=True, markup=False)


def _print_seeds(found: list[Findings]) -> None:
    """The seeds in one table each: what was promised of the fleet, and of the loops."""
    table = Table(pad_edge=False)
    for name in (
        "seed",
        "games",
        "busy",
        "lost",
        "saved",
        "least share",
        "queue",
        "recovered in",
        "broken",
    ):
        table.add_column(name, justify="right")
    for item in found:
        table.add_row(
            str(item.seed),
            f"{sum(item.games.values()):,}",
            f"{item.utilisation:.1%}",
            f"{item.wasted:.1%}",
            "-" if item.saving is None else f"{item.saving:.1%}",
            f"{item.least_share:.1%}",
            str(item.deepest_queue),
            "-" if item.recovery_hours is None else f"{item.recovery_hours:.1f} h",
            str(sum(each.held is False for each in item.properties)),
        )
    console().print(table)
    loops = Table(pad_edge=False)
    for name in ("loop", "answers", "fewest in a seed", "p50", "longest", "bound"):
        loops.add_column(name, justify="left" if name == "loop" else "right")
    for each in zip(*(item.reactions for item in found), strict=True):
        middle, longest = (
            median(one.seconds_p50 for one in each),
            max(one.seconds_max for one in each),
        )
        loops.add_row(
            each[0].loop,
            str(sum(one.answers for one in each)),
            str(min(one.answers for one in each)),
            f"{middle:.0f} s",
            f"{longest:.0f} s",
            f"{each[0].seconds_bound:.0f} s",
        )
    console().print(loops)
