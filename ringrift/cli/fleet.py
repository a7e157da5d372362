"""`ringrift fleet register`: tell the system what its nodes are, what they cost and what they may
do."""

from __future__ import annotations

import argparse
import time

from ringrift.cli.source import opened
from ringrift.cluster.fleet_file import read_fleet
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.tools.simulation.errors import SimulationError


async def register(options: argparse.Namespace) -> int:
    """Write a fact for every node of a fleet file; one that was registered before is as this file
    says from now on."""
    try:
        fleet = read_fleet(options.file)
    except SimulationError as error:
        raise CommandError(str(error)) from error
    async with opened(options) as log:
        for node in fleet:
            await log.append(
                [
                    draft(
                        node.fact,
                        cause=None,
                        source="ringrift",
                        key=f"{node.fact.node}.{time.time_ns()}",
                    )
                ]
            )
    print(
        f"{len(fleet)} nodes registered, {sum(node.fact.cost_per_hour for node in fleet):,.2f} an hour"
    )
    return 0
