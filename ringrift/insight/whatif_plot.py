"""Decisions over time, as recorded and as another policy would have taken them. Written as PNG (or
what the file's name says)."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from ringrift.insight.whatif import Decision, WhatIf

AMOUNTS = {
    "SelfplayPlanned": "games",
    "TrainingRequested": "samples",
    "EvaluationRequested": "starts",
}
"""what a decision asks for so many of"""
MARGIN = 0.05
"""share of the time axis after the last decision, so that it is seen"""


def decisions_over_time(found: WhatIf, path: Path) -> None:
    """Write the running count of each kind of decision: a line as recorded, dashed as tried. Where
    there is one kind that asks for an amount (games, samples, starts), the running sum of that."""
    figure, axes = pyplot.subplots(figsize=(7.2, 4.2), dpi=120)
    everything = [*found.recorded, *found.tried]
    start = min((item.cause.time for item in everything), default=None)
    end = max((item.cause.time for item in everything), default=None)
    kinds = sorted({type(item.fact).__name__ for item in everything})
    amount = AMOUNTS.get(kinds[0]) if len(kinds) == 1 else None

    def draw(decisions: list[Decision], kind: str, style: str, colour: str, label: str) -> None:
        mine = sorted(
            (item for item in decisions if type(item.fact).__name__ == kind),
            key=lambda item: item.cause.time,
        )
        minutes = [(item.cause.time - start).total_seconds() / 60 for item in mine if start]
        sums = [0, *accumulate(getattr(item.fact, amount) if amount else 1 for item in mine)]
        last = (end - start).total_seconds() / 60 * (1.0 + MARGIN) if start and end else 0.0
        axes.step(
            [0.0, *minutes, last],
            [*sums, sums[-1]],
            style,
            where="post",
            color=colour,
            label=label,
            lw=1.4,
        )

    for number, kind in enumerate(kinds):
        draw(found.recorded, kind, "-", f"C{number}", f"{kind}, recorded")
        draw(found.tried, kind, "--", f"C{number}", f"{kind}, tried")
    if found.differences and start is not None:
        first = found.differences[0]
        item = first.tried or first.recorded
        assert item is not None
        axes.axvline(
            (item.cause.time - start).total_seconds() / 60, color="#8b8170", lw=0.8, ls=":"
        )
    axes.set_title(
        f"{found.policy}: decisions on EVENTS/{found.since + 1}..{found.until}, dotted: first divergence",
        fontsize=10,
    )
    axes.set_xlabel(f"minutes since {start:%Y-%m-%d %H:%M} UTC" if start else "")
    axes.set_ylabel(f"{amount or 'decisions'} so far")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    if kinds:
        axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
