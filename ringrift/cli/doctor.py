"""`ringrift doctor`: can this machine run the loop, and is the system that runs over the data
directory well?"""

from __future__ import annotations

import argparse
import asyncio

import msgspec
from rich.text import Text

from ringrift.cli.source import console
from ringrift.cluster.doctor_machine import machine_findings
from ringrift.cluster.doctor_system import system_findings
from ringrift.cluster.findings import Finding

EXIT_FAIL = 1
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(options: argparse.Namespace) -> int:
    """Print one line a check; 1 if one fails."""
    found: list[Finding] = []

    def take(finding: Finding) -> None:
        found.append(finding)
        if not options.json:
            _print(finding)

    for finding in machine_findings(options.data):
        take(finding)

    async def ask_system() -> None:
        async for finding in system_findings(options):
            take(finding)

    asyncio.run(ask_system())
    healthy = all(finding.level != "fail" for finding in found)
    if options.json:
        print(msgspec.json.encode({"healthy": healthy, "checks": found}).decode())
    return 0 if healthy else EXIT_FAIL


def _print(finding: Finding) -> None:
    line = Text(f"{finding.level:<5}", style=COLOURS[finding.level]).append(
        f"{finding.name:<13} {finding.text}", style="default"
    )
    if finding.remedy:
        line.append(f"\n      {'':<13}→ {finding.remedy}")
    console().print(line, soft_wrap=True)
