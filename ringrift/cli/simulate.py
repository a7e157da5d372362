"""`ringrift simulate`."""

import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import msgspec
from rich.console import RenderableType
from rich.table import Table

from ringrift.cli.common import Assignments, Json, PositiveInt, Source, opened, show
from ringrift.cluster.fleet_file import copied, read_fleet
from ringrift.errors import CommandError
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.describe import table
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure
from ringrift.tools.simulation import run
from ringrift.tools.simulation.fault_plan import read_faults
from ringrift.tools.simulation.findings import Findings, findings
from ringrift.tools.simulation.fleet import Fleet

MARKS = {True: "holds     ", False: "BROKEN    ", None: "untested  "}


async def simulate(
    *,
    nodes: Path,
    copies: PositiveInt = 1,
    hours: float = 48.0,
    seed: int = 1,
    seeds: int = 1,
    faults: Path | None = None,
    compare: bool = False,
    set: Assignments = (),
    report: Path | None = None,
    log: Path | None = None,
    json: Json = False,
) -> int:
    """Run the deciders over a modelled fleet on a virtual clock, and test the promises.

    The exit status is 1 if a promise does not hold.

    Args:
        nodes: TOML file of the fleet, such as ops/fleet.toml.
        copies: Number of nodes for each of the file; generations and shards grow with them.
        hours: Virtual hours.
        seed: Another seed gives another course.
        seeds: Number of seeds to run, from `--seed` on.
        faults: TOML file of faults, such as ops/faults.toml.
        compare: Run each seed without cost awareness too, to see what it saves.
        set: A setting, as in `ringrift up`; may be given several times.
        report: Write the findings as JSON and a page of plots into this directory.
        log: Write the log into this directory, for `ringrift why --data` and other commands.
    """
    if log and seeds > 1:
        raise CommandError(f"--log {log} has room for one run: leave out --seeds")
    fleet_nodes = copied(read_fleet(nodes), copies)
    settings = load(from_arguments(set), base=run.settings_for(len(fleet_nodes)))
    plan = read_faults(faults, settings.configs)
    found = []
    for number in range(seed, seed + seeds):
        began, unaware = time.monotonic(), None
        fleet = run.simulate(fleet_nodes, settings, hours, seed=number, faults=plan)
        if compare:
            other = run.unaware_of_cost(settings)
            unaware = run.simulate(fleet_nodes, other, hours, seed=number, faults=plan)
        found.append(findings(fleet, unaware))
        seconds = (time.monotonic() - began) / (1 + compare)
        if log:
            await _store(fleet, log)
        if report:
            _report(report, fleet, unaware, found[-1])
        if not json:
            show(None, False, *_texts(found[-1], seconds))
    documents = [asdict(item) for item in found]
    show(documents, json, *([_seeds(found), _loops(found)] if seeds > 1 else []))
    return 0 if all(item.held for item in found) else 1


async def _store(fleet: Fleet, data: Path) -> None:
    """Write the log of a run as that of a system. Raises CommandError if there is one already."""
    async with opened(Source(data=data), create=True) as log:
        await ensure(log, replicas=None)
        if stored := await log.tail(EVENTS):
            raise CommandError(
                f"{data} holds a log of {stored} events already: name another directory for --log"
            )
        await run.store(fleet, log)


def _report(folder: Path, fleet: Fleet, unaware: Fleet | None, found: Findings) -> None:
    from ringrift.tools.simulation.plots import overview  # takes half a second to import

    overview(fleet, folder / f"simulation-{found.seed}.png", unaware=unaware)
    document = msgspec.json.format(msgspec.json.encode(asdict(found)))
    (folder / f"simulation-{found.seed}.json").write_bytes(document + b"\n")


def _texts(found: Findings, seconds: float) -> list[RenderableType]:
    """One run in words; `seconds` is the real time that it took."""
    speed = found.hours * 3600.0 / max(seconds, 1e-9)
    total = max(1, sum(found.games.values()))
    rows = []
    for config, games in found.games.items():
        elo = f"{found.elo[config]:.0f}" if config in found.elo else "-"
        rows.append((config, games, f"{games / total:.1%}", found.verdicts[config], elo))
    return [
        f"seed {found.seed}: {found.hours:g} h of {found.nodes} nodes, {found.events:,} events, "
        f"in {seconds:.1f} s ({speed:,.0f} times as fast as life)",
        table(("config", ">games", ">share", ">verdicts", ">Elo"), rows),
        f"cost {found.cost:,.2f}, {found.cost_per_reference_hour:.3f} for games worth an hour of "
        f"the reference accelerator; busy {found.utilisation:.1%}, of it lost {found.wasted:.1%}; "
        f"queue at most {found.deepest_queue}; preempted {found.preempted}, aged {found.aged}, "
        f"deadlocks broken {found.deadlocks}",
        *(f"{MARKS[item.held]}{item.name}: {item.found}" for item in found.properties),
    ]


def _seeds(found: list[Findings]) -> Table:
    """One line for each seed."""
    rows = []
    for item in found:
        saved = "-" if item.saving is None else f"{item.saving:.1%}"
        recovered = "-" if item.recovery_hours is None else f"{item.recovery_hours:.1f} h"
        games, busy = sum(item.games.values()), f"{item.utilisation:.1%}"
        lost, least = f"{item.wasted:.1%}", f"{item.least_share:.1%}"
        broken = sum(each.held is False for each in item.properties)
        times = (item.deepest_queue, recovered, broken)
        rows.append((str(item.seed), games, busy, lost, saved, least, *times))
    names = (">games", ">busy", ">lost", ">saved", ">least share", ">queue", ">recovered in")
    return table(("seed", *names, ">broken"), rows)


def _loops(found: list[Findings]) -> Table:
    """One line for each loop, over all seeds."""
    rows = []
    for each in zip(*(item.reactions for item in found), strict=True):
        answers = [one.answers for one in each]
        middle = median(one.seconds_p50 for one in each)
        longest = max(one.seconds_max for one in each)
        times = [f"{time:.0f} s" for time in (middle, longest, each[0].seconds_bound)]
        rows.append((each[0].loop, sum(answers), min(answers), *times))
    columns = ("loop", ">answers", ">fewest in a seed", ">p50", ">longest", ">limit")
    return table(columns, rows)
