"""A what-if as text, as a document, and as a picture of the decisions over time."""

from collections.abc import Iterator
from itertools import accumulate, product
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from ringrift.insight import plot_style as plots
from ringrift.insight.describe import field_text, fields_line, table
from ringrift.insight.past import changes
from ringrift.insight.whatif.trial import Difference, Totals, TrialDecision, WhatIf

SHOWN_MAX, PLACES_SHOWN_MAX = 40, 8
AMOUNTS = {
    "SelfplayPlanned": "games",
    "TrainingRequested": "samples",
    "EvaluationRequested": "starts",
}
"""The field of a decision that says how much it requests."""
MARGIN = 0.05
"""Share of the time axis after the last decision."""
UNKNOWN = (
    "What history cannot show: games, networks and scores result from the recorded decisions. More "
    "games, another training window or an earlier promotion would have changed them. So after the "
    "first divergence, decisions are what the policy answers to this history, not what would have "
    "happened."
)


def whatif_document(found: WhatIf) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "policy": found.policy,
        "since": found.since,
        "until": found.until,
        "recorded": len(found.recorded),
        "tried": len(found.tried),
        "same": found.same,
        "first_divergence": found.differences[0].seq if found.differences else None,
        "differences": [
            {
                "kind": item.kind,
                "recorded": _side(item.recorded),
                "tried": _side(item.tried),
                "fields": {name: sides for name, *sides in item.fields},
            }
            for item in found.differences
        ],
        "summary": {
            config: {"recorded": recorded, "tried": tried}
            for config, (recorded, tried) in found.totals.items()
        },
        "read_after_divergence": found.read,
        "of_these_affected": found.affected,
        "unknown": UNKNOWN,
    }


def _side(decision: TrialDecision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "type": type(decision.fact).__name__,
        "cause": decision.cause.position,
        "position": decision.position,
        "fact": msgspec.to_builtins(decision.fact),
    }


def whatif_lines(found: WhatIf) -> Iterator[str | Table]:
    """Yield the comparison as text."""
    counts = f"{len(found.recorded)} decisions recorded, {len(found.tried)} tried"
    yield f"{found.policy} on EVENTS/{found.since + 1}..{found.until}: {counts}, {found.same} equal"
    if not found.differences:
        yield "no decision would have changed"
        return
    yield f"first divergence: EVENTS/{found.differences[0].seq}"
    for item in found.differences[:SHOWN_MAX]:
        yield f"  {_line(item)}"
    if len(found.differences) > SHOWN_MAX:
        yield f"  and {len(found.differences) - SHOWN_MAX} more, see --json"
    yield "totals of the decisions, as far as history shows them"
    yield table(("config", "total", ">recorded", ">tried"), _rows(found))
    affected = f"{found.affected} rest on decisions that would have changed"
    yield f"Of {found.read} events read after the first divergence, {affected}."
    yield UNKNOWN


def _line(item: Difference) -> str:
    """Return one difference as one line."""
    shown = item.recorded or item.tried
    assert shown is not None
    what = f"{type(shown.fact).__name__} {shown.config}"
    if item.recorded is None or item.tried is None:
        where = f"{shown.position} on" if shown.position else "on"
        return f"{item.kind:<8}{where} {shown.cause.position} {what} {fields_line(shown.fact)}"
    places = [
        place for name, before, after in item.fields for place in changes(before, after, (name,))
    ]
    texts = [
        f"{'.'.join(path)}: {field_text(before)} → {field_text(after)}"
        for path, before, after in places[:PLACES_SHOWN_MAX]
    ]
    if len(places) > PLACES_SHOWN_MAX:
        texts.append(f"and {len(places) - PLACES_SHOWN_MAX} more")
    if item.kind == "moved":
        causes = f"{item.tried.cause.position}, not {item.recorded.cause.position}"
        texts.insert(0, f"decided on {causes}")
    generation = getattr(shown.fact, "generation", "-")
    return f"{item.kind:<8}{shown.position} {what} generation={generation} {' '.join(texts)}"


def _rows(found: WhatIf) -> Iterator[tuple[Any, ...]]:
    for config, sides in found.totals.items():
        for name in Totals.__dataclass_fields__:
            values = [getattr(side, name) for side in sides]
            if name != "decisions" and any(values):
                yield (config, name.replace("_", " "), *map(_number, values))
        for kind in sorted({kind for side in sides for kind in side.decisions}):
            yield (config, kind, *(side.decisions.get(kind, 0) for side in sides))


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def decisions_over_time(found: WhatIf, path: Path) -> None:
    """Draw the running count of each kind of decision, as recorded and as tried (dashed).

    If there is only one kind, and it requests games, samples or starts, their running sum."""
    everything = sorted((*found.recorded, *found.tried), key=lambda item: item.cause.time)
    kinds = sorted({type(item.fact).__name__ for item in everything})
    amount = AMOUNTS.get(kinds[0], "") if len(kinds) == 1 else ""
    title = f"{found.policy}: decisions on EVENTS/{found.since + 1}..{found.until}"
    title, up = f"{title}, dotted: first divergence", f"{amount or 'decisions'} so far"
    start = everything[0].cause.time if everything else None
    with plots.figure(path, title, plots.since(start) if start else "", up) as axes:
        if start is None:
            return

        def minutes(item: TrialDecision) -> float:
            return (item.cause.time - start).total_seconds() / 60

        end = minutes(everything[-1]) * (1.0 + MARGIN)
        sides = {"recorded": (found.recorded, "-"), "tried": (found.tried, "--")}
        for (number, kind), side in product(enumerate(kinds), sides):
            decisions, style = sides[side]
            mine = [item for item in decisions if type(item.fact).__name__ == kind]
            mine.sort(key=minutes)
            sums = [0, *accumulate(getattr(item.fact, amount, 1) for item in mine)]
            look = {"color": f"C{number}", "label": f"{kind}, {side}", "lw": 1.4}
            times = [0.0, *map(minutes, mine), end]
            axes.step(times, [*sums, sums[-1]], style, where="post", **look)
        if found.differences:
            first = found.differences[0].tried or found.differences[0].recorded
            assert first is not None
            axes.axvline(minutes(first), color=plots.FAINT, lw=0.8, ls=":")
        axes.set_ylim(bottom=0)
        plots.legend(axes)
