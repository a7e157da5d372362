"""`ringrift cluster rescue|repair`: a log from one disk, and copies that hold less than others."""

from pathlib import Path

from rich.table import Table

from ringrift.cli.common import HERE, Json, Source, opened, show
from ringrift.cluster.terminal import complain
from ringrift.consumers.scrubbing import look_twice, repaired
from ringrift.errors import CommandError
from ringrift.log.login import CREDENTIALS
from ringrift.server.rescue import rescue as make_rescue


async def rescue(*, store: Path, to: Path, json: Json = False) -> int:
    """Make a single server's store of one voter's disk, when most voters are gone for good.

    The disk is only read. The exit status is 1 if the log is known to lack its end.

    Args:
        store: The directory of the voter, or its store; its server must not run.
        to: A new directory, for `ringrift up --data`.
    """
    found = await make_rescue(store, to, report=complain)
    table = Table("stream", "messages", "sequences", box=None)
    for each in found.streams:
        table.add_row(each.stream, f"{each.messages:,}", f"{each.first}..{each.last}")
    lost = "what only the other voters had acknowledged is missing; processes that still run send "
    lost += "what they wrote in the last minutes again"
    created = f"created empty: {', '.join(found.empty)}" if found.empty else None
    after = f"then `ringrift verify --data {to}`, and `ringrift cluster grow --from {to}` onto a "
    show(found, json, table, created, *found.missing, lost, f"{after}new cluster")
    return 1 if found.missing else 0


async def repair(*, source: Source = HERE) -> int:
    """Replace copies of streams that hold less than others, from whole ones.

    The exit status is 1 if a damaged copy is left."""
    async with opened(source) as log:
        found = await look_twice(log)
        if found is None:
            raise CommandError(
                "the servers cannot be asked what they hold: put scrubber.creds beside the file "
                f"that {CREDENTIALS} names; `ringrift cluster init` wrote it"
            )
        for damage in found:
            complain(f"{damage}" if damage.idle else f"{damage}; repairing it")
            if not damage.idle:
                await repaired(log, damage)
        left = await look_twice(log) or []
    print("\n".join(map(str, left)) or "all copies of all streams hold the same")
    return 1 if left else 0
