"""`ringrift whatif`: recorded history through a decider with other settings, or through somebody's
own."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
from rich.table import Table

from ringrift.cli.source import console, moment, opened, progress
from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.describe import field_text, important
from ringrift.insight.past import MISSING, changes
from ringrift.insight.whatif import Decision, Difference, PolicyError, Sum, WhatIf, policy
from ringrift.insight.whatif import whatif as compare
from ringrift.log import read

SHOWN_MAX = 40
PLACES_SHOWN_MAX = 8
UNKNOWN = (
    "What history cannot tell: games, networks and scores are those of the decisions that were really taken. A plan for more "
    "games, another training window or a network promoted earlier would have made others; so after the first divergence read the "
    "decisions as what the policy says to this history, not as what would have come of it."
)


async def whatif(options: argparse.Namespace) -> int:
    """Print where decisions would have been others, and what they come to."""
    given = from_arguments(options.set)
    load(given)  # a setting that does not exist is refused before the log is read
    try:
        decider = policy(options.policy)
    except PolicyError as error:
        raise CommandError(str(error)) from error

    def retune(settings: Settings) -> Settings:
        return load(given, base=settings)

    async with opened(options) as log:
        since = await read.seq_at(log, moment(options.since)) if options.since else 0
        until = await read.seq_at(log, moment(options.until) if options.until else 2**62)
        with progress("replaying history") as report:
            found = await compare(log, decider, retune, since=since, until=until, progress=report)
    if options.plot:
        from ringrift.insight.whatif_plot import decisions_over_time

        decisions_over_time(found, options.plot)
    if options.json:
        print(msgspec.json.encode(_document(found)).decode())
    else:
        _print(found)
    return 0


def _document(found: WhatIf) -> dict[str, Any]:
    return {
        "policy": found.policy,
        "since": found.since,
        "until": found.until,
        "recorded": len(found.recorded),
        "tried": len(found.tried),
        "same": found.same,
        "first_divergence": found.differences[0].seq if found.differences else None,
        "differences": [_difference(item) for item in found.differences],
        "summary": {
            config: {"recorded": msgspec.to_builtins(before), "tried": msgspec.to_builtins(after)}
            for config, (before, after) in found.sums.items()
        },
        "taken_in_after_divergence": found.taken_in,
        "of_these_stemming_from_other_decisions": found.stemming,
        "unknown": UNKNOWN,
    }


def _difference(item: Difference) -> dict[str, Any]:
    def side(decision: Decision | None) -> dict[str, Any] | None:
        if decision is None:
            return None
        fact = msgspec.to_builtins(decision.fact)
        return {
            "type": type(decision.fact).__name__,
            "cause": decision.cause.position,
            "position": decision.position,
            "fact": fact,
        }

    fields = {name: msgspec.to_builtins([before, after]) for name, before, after in item.fields}
    return {
        "kind": item.kind,
        "recorded": side(item.recorded),
        "tried": side(item.tried),
        "fields": fields,
    }


def _print(found: WhatIf) -> None:
    out = console()

    def say(text: str) -> None:
        out.print(text, soft_wrap=True, markup=False)

    counts = (
        f"{len(found.recorded)} decisions recorded, {len(found.tried)} tried, {found.same} the same"
    )
    say(f"{found.policy} on EVENTS/{found.since + 1}..{found.until}: {counts}")
    if not found.differences:
        say("no decision would have been another")
        return
    say(f"first divergence: EVENTS/{found.differences[0].seq}")
    for item in found.differences[:SHOWN_MAX]:
        say(f"  {_line(item)}")
    if len(found.differences) > SHOWN_MAX:
        say(f"  and {len(found.differences) - SHOWN_MAX} more, see --json")
    say("what the decisions come to, as far as history tells")
    out.print(_table(found))
    say(
        f"Of {found.taken_in} events taken in after it, {found.stemming} stem from decisions that would have been others."
    )
    say(UNKNOWN)


def _line(item: Difference) -> str:
    """One difference in one line."""
    shown = item.recorded or item.tried
    assert shown is not None
    what = f"{type(shown.fact).__name__} {getattr(shown.fact, 'config', '')}"
    if item.kind in ("dropped", "added"):
        words = " ".join(f"{name}={value}" for name, value in important(shown.fact))
        where = (
            f"{shown.position} on {shown.cause.position}"
            if shown.position
            else f"on {shown.cause.position}"
        )
        return f"{item.kind:<8}{where} {what} {words}"
    assert item.recorded is not None
    assert item.tried is not None
    places = [
        change for name, before, after in item.fields for change in changes(before, after, (name,))
    ]
    fields = " ".join(
        f"{'.'.join(path)}: {_text(before)} → {_text(after)}"
        for path, before, after in places[:PLACES_SHOWN_MAX]
    )
    fields += (
        f" and {len(places) - PLACES_SHOWN_MAX} places more"
        if len(places) > PLACES_SHOWN_MAX
        else ""
    )
    moved = (
        f" decided on {item.tried.cause.position}, not {item.recorded.cause.position}"
        if item.kind == "moved"
        else ""
    )
    return f"{item.kind:<8}{item.recorded.position} {what} generation={getattr(shown.fact, 'generation', '-')}{moved} {fields}"


def _text(value: Any) -> str:
    return repr(value) if value is MISSING else field_text(value)


def _table(found: WhatIf) -> Table:
    table = Table(pad_edge=False)
    table.add_column("config")
    table.add_column("what")
    for name in ("recorded", "tried"):
        table.add_column(name, justify="right")
    for config, (before, after) in found.sums.items():
        for what in Sum.__dataclass_fields__:
            values = [getattr(side, what) for side in (before, after)]
            if what != "decisions" and any(values):
                table.add_row(config, what.replace("_", " "), *(_number(value) for value in values))
        for kind in sorted({**before.decisions, **after.decisions}):
            table.add_row(
                config, kind, *(str(side.decisions.get(kind, 0)) for side in (before, after))
            )
    return table


def _number(value: float | None) -> str:
    return (
        "unknown"
        if value is None
        else f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
    )
