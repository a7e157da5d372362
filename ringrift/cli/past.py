"""`ringrift at` and `ringrift diff`: the system as it was, and what changed between two points
because of what."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
from rich.text import Text

from ringrift.cli.source import console, moment, opened, progress
from ringrift.errors import CommandError
from ringrift.insight import past
from ringrift.insight.changes import MISSING
from ringrift.insight.describe import field_text
from ringrift.insight.past import Changed
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS

CAUSES_SHOWN = 3


async def at(options: argparse.Namespace) -> int:
    """Print the projections at a point."""
    _check(options.projection)
    async with opened(options) as log:
        seq = await _seq(log, options.point)
        with progress("folding history") as report:
            found = await past.at(log, seq, options.projection, report)
    document = {"seq": seq, **found.document()}
    if options.json:
        print(msgspec.json.encode(document).decode())
        return 0
    out = console()
    out.print(f"after EVENTS/{seq}")
    for name, value in document.items():
        if name != "seq":
            out.print(Text(name, style="bold"))
            for line in _lines(value, "  "):
                out.print(line, soft_wrap=True, markup=False)
    return 0


async def diff(options: argparse.Namespace) -> int:
    """Print what changed between two points."""
    _check(options.projection)
    async with opened(options) as log:
        first, second = [await _seq(log, point) for point in (options.first, options.second)]
        if first > second:
            raise CommandError(
                f"{options.first} (EVENTS/{first}) is after {options.second} (EVENTS/{second}): swap them"
            )
        with progress("folding history") as report:
            found = await past.diff(log, first, second, options.projection, report)
    if options.json:
        print(
            msgspec.json.encode(
                {"from": first, "to": second, "changes": [_document(item) for item in found]}
            ).decode()
        )
        return 0
    out = console()
    out.print(f"from EVENTS/{first} to EVENTS/{second}: {len(found)} changes")
    name = ""
    for item in found:
        if item.projection != name:
            name = item.projection
            out.print(Text(name, style="bold"))
        before, after = (_short(value) for value in (item.change.before, item.change.after))
        newest = ", ".join(
            f"{meta.position} {_type(meta.id)}" for meta in item.causes[-CAUSES_SHOWN:]
        )
        more = f"{item.total} events, the newest " if item.total > CAUSES_SHOWN else ""
        out.print(
            f"  {'.'.join(item.change.path)}: {before} → {after}  ← {more}{newest}",
            soft_wrap=True,
            markup=False,
        )
    return 0


async def _seq(log: Log, point: str) -> int:
    """The sequence that a sequence or a time stands for. Raises CommandError for one that is not
    written yet."""
    when, tail = moment(point), await log.tail(EVENTS)
    if isinstance(when, int) and when > tail:
        raise CommandError(f"EVENTS/{when} is not written yet: the log ends with EVENTS/{tail}")
    return await read.seq_at(log, when)


def _check(projection: str | None) -> None:
    if projection and projection not in past.projections():
        raise CommandError(
            f"no projection is called {projection!r}; there are {', '.join(past.projections())}"
        )


def _type(id: str) -> str:
    """The event type that an id begins with."""
    return id.partition(":")[0]


def _short(value: Any) -> str:
    return (
        repr(value)
        if value is MISSING
        else field_text(value if not isinstance(value, dict) else str(value))
    )


def _document(item: Changed) -> dict[str, Any]:
    sides = {
        name: value
        for name, value in (("before", item.change.before), ("after", item.change.after))
        if value is not MISSING
    }
    causes = [{"position": meta.position, "id": meta.id, "time": meta.time} for meta in item.causes]
    path = ".".join(item.change.path)
    return {
        "projection": item.projection,
        "path": path,
        **msgspec.to_builtins(sides),
        "events": item.total,
        "causes": causes,
    }


def _lines(value: Any, indent: str) -> list[str]:
    """Plain values as indented lines; short lists in one."""
    lines = []
    pairs = (
        value.items()
        if isinstance(value, dict)
        else [(f"{i}", item) for i, item in enumerate(value)]
    )
    for name, item in pairs:
        if isinstance(item, dict) and item:
            lines += [f"{indent}{name}", *_lines(item, indent + "  ")]
        elif isinstance(item, list | tuple) and item and isinstance(item[0], dict):
            lines += [
                f"{indent}{name}",
                *(
                    f"{indent}  " + " ".join(f"{k}={_short(v)}" for k, v in row.items())
                    for row in item
                ),
            ]
        elif isinstance(item, list | tuple):
            lines.append(f"{indent}{name}: {_short(tuple(item))}")
        else:
            lines.append(f"{indent}{name}: {_short(item)}")
    return lines or [f"{indent}nothing"]
