"""`ringrift doctor`."""

from rich.text import Text

from ringrift.cli.common import TABLE, Tabular, console, opened, show_rows
from ringrift.cluster.doctor import Finding
from ringrift.log.errors import StreamError

EXIT_FAIL = 1
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


async def doctor(*, session: Tabular = TABLE) -> int:
    """Check this machine, the data directory and the running system.

    The exit status is 1 if a check fails."""
    from ringrift.cluster.doctor.machine import machine_findings
    from ringrift.cluster.doctor.system import no_system, system_findings

    found: list[Finding] = []

    def take(finding: Finding) -> None:
        found.append(finding)
        if session.form == "table":
            console().print(_line(finding), soft_wrap=True)

    for finding in machine_findings(session.data):
        take(finding)
    try:
        async with opened(session, start=False) as log:
            async for finding in system_findings(log):
                take(finding)
    except (StreamError, OSError) as error:  # TimeoutError is one
        take(no_system(error, session.data, session.server))
    healthy = all(finding.level != "fail" for finding in found)
    show_rows(session, {"healthy": healthy, "checks": found}, found)
    return 0 if healthy else EXIT_FAIL


def _line(finding: Finding) -> Text:
    line = Text(f"{finding.level:<5}", style=COLOURS[finding.level])
    line.append(f"{finding.name:<13} {finding.text}", style="default")
    if finding.remedy:
        line.append(f"\n      {'':<13}→ {finding.remedy}")
    return line
